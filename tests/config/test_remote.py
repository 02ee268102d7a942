"""The other store's addresses and what opens its door: put together, and shown nowhere."""

from __future__ import annotations

import base64
import json
from itertools import takewhile
from pathlib import Path

import pytest

from alerting.api.configtext import config_text
from config.load import Config, load
from config.remote import Remote, shown_url
from tests.config.support import ALERTING, SHIPPED, changed, problems, write


def loaded(directory: Path, block: str, environ: dict[str, str] | None = None) -> Config:
    indented = "".join(f"    {line}\n" for line in block.splitlines())
    text = changed(ALERTING, ("  max_bytes: 2GiB\n", f"  max_bytes: 2GiB\n  remote:\n{indented}"))
    return load(write(directory, alerting=text), environ or {})


def headers(config: Config) -> dict[str, str]:
    assert config.remote.query is not None
    return {name: value.reveal() for name, value in config.remote.query.headers}


def test_without_the_key_there_is_none(tmp_path: Path) -> None:
    assert load(write(tmp_path), {}).remote == Remote()


def test_a_variable_that_may_be_missing_switches_it_off(tmp_path: Path) -> None:
    assert loaded(tmp_path, "query_url: ${OTHER:-}").remote.query is None
    found = loaded(tmp_path, "query_url: ${OTHER:-}", {"OTHER": "http://10.0.0.9:8428/"}).remote.query
    assert found is not None
    assert found.url == "http://10.0.0.9:8428"


def test_password_and_token_come_from_files(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("hunter2\nsecond line\n")
    basic = loaded(tmp_path, "query_url: http://a\nusername: pi\npassword_file: secret\nheaders: {X-Scope-OrgID: home}")
    expected = "Basic " + base64.b64encode(b"pi:hunter2").decode()
    assert headers(basic) == {"Authorization": expected, "X-Scope-OrgID": "home"}
    bearer = loaded(tmp_path, "query_url: http://a\ntoken_file: secret")
    assert headers(bearer) == {"Authorization": "Bearer hunter2"}


def test_a_user_in_the_address_becomes_a_header(tmp_path: Path) -> None:
    config = loaded(tmp_path, "query_url: https://me:p%40ss@[::1]:9090/prometheus/")
    assert config.remote.query is not None
    assert config.remote.query.url == "https://[::1]:9090/prometheus"
    assert headers(config) == {"Authorization": "Basic " + base64.b64encode(b"me:p@ss").decode()}


def test_nothing_secret_is_shown(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("swordfish\n")
    block = "query_url: http://10.0.0.9:9090\nwrite_url: http://10.0.0.9:9090/api/v1/write\ntoken_file: secret\n"
    config = loaded(tmp_path, block + "headers: {X-Api-Key: hunter2}")
    for text in (config_text(config), repr(config)):
        assert "hunter2" not in text
        assert "swordfish" not in text
    shown = json.loads(config_text(config))["alerting"]["storage"]["remote"]
    assert shown["query_url"] == "http://10.0.0.9:9090"
    assert shown["headers"] == {"X-Api-Key": "<secret>"}
    with_user = loaded(tmp_path, "query_url: http://me:hunter2@10.0.0.9:9090")
    assert "hunter2" not in config_text(with_user) + repr(with_user)


@pytest.mark.parametrize("url", ["http://me:hunter2@host:1/a?b=hunter2#c", "http://hunter2@host:1/a/"])
def test_an_address_is_shown_without_its_user(url: str) -> None:
    assert shown_url(url) == "http://host:1/a"
    assert shown_url("http://[hunter2") == ""


def test_the_commented_example_of_the_shipped_file_is_right(tmp_path: Path) -> None:
    """Taken out of its comment it loads."""
    (tmp_path / "remote.password").write_text("x\n")
    (tmp_path / "ca.pem").write_text("x\n")
    lines = (SHIPPED / "alerting.yaml").read_text().splitlines()
    start = lines.index("  # remote:")
    block = [line.replace("  # ", "  ", 1) for line in takewhile(lambda line: line.startswith("  #"), lines[start:])]
    text = changed(ALERTING, ("  max_bytes: 2GiB\n", "  max_bytes: 2GiB\n" + "\n".join(block) + "\n"))
    directory = write(tmp_path, alerting=text)
    assert problems(directory) == []
    remote = load(directory, {}).remote
    assert remote.query is not None
    assert remote.write is not None
    assert remote.read_recent
    assert remote.max_lag == 6 * 3600
