"""The configuration is shown; what opens a door is not."""

from __future__ import annotations

import shutil
from pathlib import Path

import yaml

from alerting.api.configtext import config_text
from config.load import load

CONFIG = Path(__file__).parents[3] / "config"


def test_receivers_show_only_how_many_urls_they_have(tmp_path: Path) -> None:
    shutil.copy(CONFIG / "cluster.yaml", tmp_path)
    written = (CONFIG / "alerting.yaml").read_text()
    written = written.replace(
        "- url: ${TIERWATCH_PHONE_URL:-}", "- url: json://user:hunter2@example.org\n      - url: ${B}"
    )
    (tmp_path / "alerting.yaml").write_text(written)
    text = config_text(load(tmp_path, environ={"B": "json://other:swordfish@example.org"}))
    assert "hunter2" not in text
    assert "swordfish" not in text
    shown = yaml.safe_load(text)
    receivers = {receiver["name"]: receiver["apprise"] for receiver in shown["alerting"]["receivers"]}
    assert receivers == {"phone": ["<secret>", "<secret>"], "page-only": []}
    assert shown["cluster"]["nodes"]["AGX0"]["address"] == "192.168.1.154"
    assert shown["cluster"]["tiers"]["1"] == "API gateway"
    assert shown["alerting"]["timing"]["scrape_interval"] == 5.0
