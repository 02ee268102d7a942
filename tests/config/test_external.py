"""``external_labels``: variables filled in, shown as they are."""

from __future__ import annotations

import json
from pathlib import Path

from alerting.api.configtext import config_text
from config.load import load
from tests.config.support import ALERTING, write


def test_variables_are_filled_in_and_empty_ones_left_out(tmp_path: Path) -> None:
    block = "external_labels:\n  site: ${SITE}\n  __replica__: a\n  rack: ${RACK:-}\n"
    config = load(write(tmp_path, alerting=ALERTING + block), {"SITE": "home"})
    assert config.external_labels == {"site": "home", "__replica__": "a"}
    assert json.loads(config_text(config))["alerting"]["external_labels"] == {"site": "home", "__replica__": "a"}


def test_without_the_key_there_are_none(tmp_path: Path) -> None:
    assert load(write(tmp_path), {}).external_labels == {}
