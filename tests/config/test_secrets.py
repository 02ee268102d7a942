"""Secrets reach the receiver and nothing else: no repr, no message, no traceback text."""

from __future__ import annotations

import os
import traceback
from pathlib import Path

import pytest

from config.load import load
from config.problems import ConfigError
from config.secrets import Secret, expand, from_file
from tests.config.support import ALERTING, changed, write

PASSWORD = "Geheim-7Zwerge"
URL = f"ntfys://user:{PASSWORD}@ntfy.sh/topic"
SOURCE = "- url: ${PHONE_URL:-}"


def test_a_secret_shows_only_when_asked() -> None:
    secret = Secret(PASSWORD)
    assert secret.reveal() == PASSWORD
    for shown in (repr(secret), str(secret), f"{secret}", f"{secret!r:>20}", "%s" % secret, repr([secret])):  # noqa: UP031
        assert PASSWORD not in shown
    assert secret == Secret(PASSWORD)
    assert hash(secret) == hash(Secret(PASSWORD))
    assert secret != PASSWORD
    assert bool(secret)
    assert not Secret("")


@pytest.mark.parametrize("source", [SOURCE, f"- url: {URL}", "- url_file: phone.url", "- {url_file: '${NAME}.url'}"])
def test_a_loaded_configuration_does_not_show_it(source: str, tmp_path: Path) -> None:
    (tmp_path / "phone.url").write_text(f"\ufeff {URL} \nsecond line\n", encoding="utf-8")
    write(tmp_path, alerting=changed(ALERTING, (SOURCE, source)))
    config = load(tmp_path, {"PHONE_URL": URL, "NAME": "phone"})
    assert [secret.reveal() for secret in config.urls["phone"]] == [URL]
    assert PASSWORD not in repr(config)
    assert PASSWORD not in str(config.alerting)


@pytest.mark.parametrize(
    "source",
    [
        f"- {URL}",
        f"- {PASSWORD}",
        f"- url: [{URL}]",
        f"- url: {{{PASSWORD}: 1}}",
        f"- url_file: {URL}",
        f"- {{url: '{URL}', url_file: x}}",
        f"- urll: {URL}",
        f"- '{URL}': ",
        f"- url: !!int {URL}",
        f"- url: !!timestamp {PASSWORD}",
        f"- url: '{URL}/${{MISSING}}'",
        f"- url: '{URL}/${{MISSING'",
        f"- url: {URL}\n        x: - [{PASSWORD}",
        f"- url: '{URL}\n",
        f"- url: {URL}\n    apprise: again",
    ],
)
def test_a_mistake_does_not_show_it(source: str, tmp_path: Path) -> None:
    write(tmp_path, alerting=changed(ALERTING, (SOURCE, source)))
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, {"PHONE_URL": URL})
    assert PASSWORD not in "".join(traceback.format_exception(caught.value))
    assert PASSWORD not in repr(caught.value.problems)


def test_expand() -> None:
    environ = {"A": "1", "EMPTY": "", "ODD": "${A}"}
    assert expand("x${A}y${B:-2}z${EMPTY:-3}", environ) == "x1y2z"
    assert expand("${ODD}", environ) == "${ODD}".replace("ODD", "A"), "values are not expanded again"
    assert expand("plain $A and 5$", environ) == "plain $A and 5$"


@pytest.mark.parametrize("text", ["${", "${A", "${1}", "${A-b}", "${}", "${a b}"])
def test_expand_refuses_what_it_cannot_read(text: str) -> None:
    with pytest.raises(ValueError, match=r"expected \${NAME}"):
        expand(text, {"A": "1"})


def test_expand_names_the_missing_variable() -> None:
    with pytest.raises(ValueError, match="environment variable TOKEN is not set"):
        expand("tgram://${TOKEN}", {})


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "its first line is empty"),
        (b"\n" + URL.encode(), "its first line is empty"),
        (b"a" * 9000, "its first line is longer than 8192 bytes"),
        (PASSWORD.encode() + b"\xff", "its first line is not UTF-8 text"),
    ],
)
def test_from_file_refuses(data: bytes, reason: str, tmp_path: Path) -> None:
    path = tmp_path / "phone.url"
    path.write_bytes(data)
    with pytest.raises(ValueError, match=reason) as caught:
        from_file(path)
    assert PASSWORD not in str(caught.value)


def test_from_file_does_not_wait_for_a_pipe(tmp_path: Path) -> None:
    path = tmp_path / "phone.url"
    os.mkfifo(path)
    with pytest.raises(ValueError, match="is not a file"):
        from_file(path)
