from __future__ import annotations

import pytest

from alerting.notify.redact import redact
from alerting.notify.urls import fault, scheme


@pytest.mark.parametrize(
    ("text", "url", "clean"),
    [
        ("no route to ntfy.sh", "ntfys://user:passw0rd@ntfy.sh/topic", "no route to ntfy.sh"),
        ("bad passw0rd of user1", "ntfys://user1:passw0rd@ntfy.sh/topic", "bad *** of ***"),
        ("token 123456789:AAbbCC is bad", "tgram://123456789:AAbbCC/42", "token ***:*** is bad"),
        ("HTTPSConnection(/bot12345%3Axyz1234)", "tgram://12345:xyz1234/1", "HTTPSConnection(/bot***%3A***)"),
        ("see https://hooks.example/T000", "json://host", "see https://***"),
        ("p%40ssword and p@ssword", "json://u:p%40ssword@host/", "*** and ***"),
        ("one\ntwo\x00three", "json://host", "one two three"),
        ("webhookid1234 refused", "discord://webhookid1234/tokentoken", "*** refused"),
    ],
)
def test_no_part_of_a_url_is_repeated(text: str, url: str, clean: str) -> None:
    assert redact(text, url) == clean


def test_a_reason_is_short() -> None:
    assert len(redact("x" * 1000, "json://host")) == 300


def test_what_can_be_said_of_a_url_without_apprise() -> None:
    assert (scheme("NTFYS://ntfy.sh/a"), scheme("nothing")) == ("ntfys", "")
    assert fault("json://host/?Retry=1") is not None
    assert fault("json://host/retry=1") is None
