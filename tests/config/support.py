"""A small sound configuration to spoil."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from config.load import load
from config.problems import ConfigError

FIXTURES = Path(__file__).parent.parent / "fixtures" / "config"
SHIPPED = Path(__file__).parent.parent.parent / "config"
CLUSTER = (FIXTURES / "good" / "cluster.yaml").read_text(encoding="utf-8")
ALERTING = (FIXTURES / "good" / "alerting.yaml").read_text(encoding="utf-8")


def write(directory: Path, cluster: str = CLUSTER, alerting: str = ALERTING) -> Path:
    """A configuration folder, with a rule file, so that nothing is to be noted about it."""
    (directory / "cluster.yaml").write_text(cluster, encoding="utf-8")
    (directory / "alerting.yaml").write_text(alerting, encoding="utf-8")
    (directory / "rules").mkdir(exist_ok=True)
    (directory / "rules" / "node.yml").write_text("groups: []\n", encoding="utf-8")
    return directory


def changed(text: str, *changes: tuple[str, str]) -> str:
    """``text`` with each first part replaced once; it must be there."""
    for old, new in changes:
        assert old in text, old
        text = text.replace(old, new, 1)
    return text


def problems(directory: Path, environ: Mapping[str, str] | None = None) -> list[str]:
    """What is wrong with a folder, as printed, without the folder's name; empty when nothing is."""
    try:
        load(directory, environ or {})
    except ConfigError as error:
        return [str(problem).replace(f"{directory}/", "").replace(str(directory), "DIR") for problem in error.problems]
    return []
