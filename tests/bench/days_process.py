"""The aggregator as it runs, living through days within minutes: ``python -m tests.bench.days_process DAYS OPTIONS``.

Everything is there (scraper, rules, outbox, page, API), with the options of ``tierwatch aggregator``; but its clock is
that of a ``ClusterDay``, which a thread feeds into its store as fast as it can. After each day a line of JSON says what
it holds. The last day evaluates the rules at each step as in life, those before each sixteenth, which is quicker.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import alerting.cli
from alerting.clock import SystemClock
from config.daemon.footprint import give_back
from tests.bench.prepared import START_MS

if TYPE_CHECKING:
    from alerting.app import App

DAY_MS = 86_400_000
RULES_EVERY = 16
GIVE_BACK_EVERY = 40  # ten minutes, as the aggregator does
TOLD = ("series", "samples_appended", "chunk_bytes", "file_bytes", "bytes_written")


def main(days: float, options: list[str]) -> int:
    now = [START_MS]
    SystemClock.now_ms = lambda _: now[0]  # type: ignore[assignment,method-assign]
    from alerting.app import App

    start = App.start

    async def start_and_feed(app: App, given_up: Callable[[], bool] = lambda: False) -> None:
        await start(app, given_up)
        threading.Thread(target=_feed, args=(app, days, now), daemon=True).start()

    async def never(_: App) -> None:
        """The feed flushes, in its own time."""
        await asyncio.Event().wait()

    App.start = start_and_feed  # type: ignore[assignment,method-assign]
    App._flush_forever = never  # type: ignore[assignment,method-assign]
    return alerting.cli.main(options)


def _feed(app: App, days: float, now: list[int]) -> None:
    from tests.bench.cluster_day import STEP_MS, ClusterDay
    from tests.bench.living_pages import stream

    end_ms = START_MS + round(days * DAY_MS)
    began = time.process_time()
    peak = step = 0
    with stream(STEP_MS / 1000) as pages:
        day = ClusterDay(app.store, pages, START_MS, app.rules._groups)
        while day.now_ms < end_ms:
            step += 1
            day.step(rules=step % RULES_EVERY == 0 or day.now_ms >= end_ms - DAY_MS)
            now[0] = day.now_ms
            if step % GIVE_BACK_EVERY == 0:
                give_back()
            if step % 240 == 0:
                peak = max(peak, resident())
            if (day.now_ms - START_MS) % DAY_MS == 0 or day.now_ms >= end_ms:
                told = {"days": (day.now_ms - START_MS) / DAY_MS, "peak": max(peak, resident())}
                stats = app.store.stats()
                told |= {name: getattr(stats, name) for name in TOLD}
                told["cpu"] = time.process_time() - began
                sys.stdout.write(json.dumps(told) + "\n")
                sys.stdout.flush()


def resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


if __name__ == "__main__":
    sys.exit(main(float(sys.argv[1]), sys.argv[2:]))
