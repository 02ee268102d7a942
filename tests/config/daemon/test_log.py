from __future__ import annotations

import asyncio
import logging
import sys
from logging.handlers import BufferingHandler

import pytest
from aiohttp import web

from config.daemon.log import KeyValueFormatter, event, to_stderr


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


async def test_nobody_fills_the_journal_with_requests_that_are_none(capsys: pytest.CaptureFixture[str]) -> None:
    async def fails(_: web.Request) -> web.Response:
        raise RuntimeError("ours")

    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    app = web.Application()
    app.router.add_get("/fails", fails)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        to_stderr()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        port = runner.addresses[0][1]
        for request in (
            b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\n\r\n",
            b"nonsense\r\n\r\n",
            b"GET /fails HTTP/1.0\r\n\r\n",
        ):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(request)
            answer = await reader.readline()
            assert answer.split()[1] == (b"500" if b"fails" in request else b"400")
            writer.close()
            await writer.wait_closed()
    finally:
        root.handlers[:] = before
        root.setLevel(level)
        await runner.cleanup()
    (line,) = capsys.readouterr().err.splitlines()
    assert "RuntimeError: ours" in line
