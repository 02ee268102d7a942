from __future__ import annotations

import logging
import sys
from logging.handlers import BufferingHandler

from config.daemon.log import KeyValueFormatter, event


def formatted(record: logging.LogRecord) -> str:
    return KeyValueFormatter().format(record).split(" ", 1)[1]


def test_fields_are_quoted_when_they_must_be() -> None:
    logger = logging.Logger("test")
    handler = BufferingHandler(10)
    logger.addHandler(handler)
    event(logger, logging.ERROR, "two words", address="127.0.0.1:9191", error='a "b"\nc\\', empty="")
    assert formatted(handler.buffer[0]) == (
        'level=error msg="two words" address=127.0.0.1:9191 error="a \\"b\\"\\nc\\\\" empty=""'
    )


def test_an_exception_stays_on_one_line() -> None:
    try:
        raise ValueError("no")
    except ValueError:
        record = logging.LogRecord("x", logging.ERROR, "f", 1, "it %s", ("broke",), sys.exc_info())
    text = formatted(record)
    assert text.startswith('level=error msg="it broke" error="Traceback')
    assert "\n" not in text
