from __future__ import annotations

import asyncio

import pytest

from exporters import app as module
from exporters.app import App, Options
from exporters.registry import TABLE
from tests.exporters.support import FAR, only, settings


async def test_free_memory_goes_back_now_and_then_until_it_stops(monkeypatch: pytest.MonkeyPatch) -> None:
    times: list[None] = []
    monkeypatch.setattr(module, "GIVE_BACK_SECONDS", 0.01)
    monkeypatch.setattr(module, "give_back", lambda: times.append(None))
    app = App(Options(settings("vm"), ("127.0.0.1", 0), only({"events"}, TABLE)))
    await app.start()
    async with asyncio.timeout(FAR):
        while len(times) < 3:  # noqa: ASYNC110  # told by nobody
            await asyncio.sleep(0.01)
    await app.stop()
    before = len(times)
    await asyncio.sleep(0.05)
    assert len(times) <= before + 1, "one may be under way"


async def test_one_source_that_does_not_end_keeps_no_other_from_ending(caplog: pytest.LogCaptureFixture) -> None:
    app = App(Options(settings("vm"), ("127.0.0.1", 0), only({"events"}, TABLE)))
    await app.start()
    ended: list[int] = []

    def fail() -> None:
        raise TimeoutError

    app._cleanups += [lambda: ended.append(1), fail, lambda: ended.append(2)]
    await app.stop()
    assert ended == [2, 1]
    assert [record.levelname for record in caplog.records if record.name == "exporters.app"][-1] == "ERROR"
