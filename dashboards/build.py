"""``tierwatch dashboards``: write the dashboards, or compare those on the disk with what the inventory gives."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from config.cluster import Cluster
from config.load import default_directory, load_cluster
from config.problems import ConfigError

GENERATED = Path(__file__).resolve().parent / "generated"


def main(argv: Sequence[str]) -> int:
    """Exit status 0; 1 when ``--check`` finds a difference or a file cannot be written; 2 for a bad inventory."""
    parser = argparse.ArgumentParser(prog="tierwatch dashboards", description="Make the Grafana dashboards.")
    parser.add_argument("command", nargs="?", choices=["build"], default="build", help="write the dashboards")
    parser.add_argument("--config", type=Path, default=default_directory(), metavar="DIR", help="default: %(default)s")
    parser.add_argument("--out", type=Path, default=GENERATED, metavar="DIR", help="default: %(default)s")
    parser.add_argument("--check", action="store_true", help="write nothing; 1 when a file differs, with its name")
    arguments = parser.parse_args(argv)
    try:
        cluster = load_cluster(arguments.config)
    except ConfigError as error:
        sys.stderr.write(f"{error}\ntierwatch dashboards: the inventory cannot be used\n")
        return 2
    made = files(cluster)
    if arguments.check:
        different = differences(made, arguments.out)
        for line in different:
            sys.stdout.write(f"{line}\n")
        if different:
            sys.stderr.write("tierwatch dashboards: make them again with: tierwatch dashboards build\n")
        return 1 if different else 0
    try:
        write(made, arguments.out)
    except OSError as error:
        sys.stderr.write(f"tierwatch dashboards: {arguments.out}: {error.strerror or error}\n")
        return 1
    sys.stdout.write(f"{len(made)} dashboards in {arguments.out}\n")
    return 0


def files(cluster: Cluster) -> dict[str, str]:
    """File name -> content, the same for the same inventory."""
    from dashboards.boards import all_boards
    from dashboards.panels import dashboard

    made = {}
    for board in all_boards(cluster):
        text = json.dumps(dashboard(board), indent=2, sort_keys=True, ensure_ascii=False)
        made[f"{board.uid}.json"] = f"{text}\n"
    return made


def differences(made: dict[str, str], folder: Path) -> list[str]:
    """``NAME: missing``, ``NAME: differs`` or ``NAME: not made any more``, by name."""
    present = {path.name: path for path in folder.glob("*.json")}
    found = []
    for name in sorted(made.keys() | present.keys()):
        if name not in present:
            found.append(f"{name}: missing")
        elif name not in made:
            found.append(f"{name}: not made any more")
        elif present[name].read_text(encoding="utf-8") != made[name]:
            found.append(f"{name}: differs")
    return found


def write(made: dict[str, str], folder: Path) -> None:
    """Put the files there, whole or not at all, and take away dashboards that are not made any more. Raises OSError."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in made.items():
        fresh = folder / f".{name}.new"
        fresh.write_text(text, encoding="utf-8")
        fresh.replace(folder / name)
    for path in folder.glob("tierwatch-*.json"):
        if path.name not in made:
            path.unlink()
