from __future__ import annotations

import shutil
from pathlib import Path
from unittest.mock import patch

import pytest

from alerting.notify import check
from alerting.notify.check import CannotCheck, check_urls, unknown_urls
from config.load import load

HERE = Path(__file__).resolve().parents[3] / "config"
ALERTING = """\
route: {receiver: phone}
receivers:
  - name: phone
    apprise:
      - url: nosuch://very-secret
      - url: ${PHONE}
  - name: nobody
"""


def test_a_url_nobody_knows_is_named_by_receiver_and_line(tmp_path: Path) -> None:
    shutil.copy(HERE / "cluster.yaml", tmp_path)
    (tmp_path / "alerting.yaml").write_text(ALERTING)
    config = load(tmp_path, {"PHONE": "json://127.0.0.1/very-secret?retry=1"})
    problems = [str(problem) for problem in unknown_urls(config)]
    assert problems == [
        f'{tmp_path}/alerting.yaml:5: receiver "phone", URL 1: Apprise knows no service "nosuch://"',
        f'{tmp_path}/alerting.yaml:6: receiver "phone", URL 2: retry= in the URL: Tierwatch tries again by itself; '
        "take it out",
    ]


def test_nothing_is_started_when_there_is_nothing_to_ask(tmp_path: Path) -> None:
    config = load(HERE, {})
    with patch.object(check, "WORKER", ("/no/such/program",)):
        assert unknown_urls(config) == []
        assert check_urls(["nonsense"]) == ["not an Apprise URL: expected something like ntfys://ntfy.sh/topic"]
        with pytest.raises(CannotCheck, match="did not answer"):
            check_urls(["json://x"])
