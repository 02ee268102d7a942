"""The aggregator as it runs, living through days within minutes: ``python -m tests.bench.days_process DAYS OPTIONS``.

Everything is there (scraper, rules, outbox, page, API), with the options of ``tierwatch aggregator``; but its clock is
that of a ``ClusterDay``, which a thread feeds into its store as fast as it can. After each day a line of JSON says what
it holds. The last day evaluates the rules at each step as in life, those before once a minute, which is quicker.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import threading
import time
from pathlib import Path

import alerting.cli
from alerting.clock import SystemClock
from tests.bench.prepared import START_MS

DAY_MS = 86_400_000
RULES_EVERY = 4


def main(days: float, options: list[str]) -> int:
    now = [START_MS]
    SystemClock.now_ms = lambda _: now[0]  # type: ignore[assignment,method-assign]
    from alerting.app import App

    start = App.start

    async def start_and_feed(app: App) -> None:
        await start(app)
        threading.Thread(target=_feed, args=(app, days, now), daemon=True).start()

    async def never(_: App) -> None:
        """The feed flushes, in its own time."""
        await asyncio.Event().wait()

    App.start = start_and_feed  # type: ignore[assignment,method-assign]
    App._flush_forever = never  # type: ignore[assignment,method-assign]
    return alerting.cli.main(options)


def _feed(app: object, days: float, now: list[int]) -> None:
    from tests.bench.cluster_day import ClusterDay

    store = app.store  # type: ignore[attr-defined]
    day = ClusterDay(store, START_MS)
    end_ms = START_MS + round(days * DAY_MS)
    began = time.process_time()
    peak = step = 0
    while day.now_ms < end_ms:
        step += 1
        day.step(rules=step % RULES_EVERY == 0 or day.now_ms >= end_ms - DAY_MS)
        now[0] = day.now_ms
        if step % 240 == 0:
            peak = max(peak, resident())
        if (day.now_ms - START_MS) % DAY_MS == 0 or day.now_ms >= end_ms:
            stats = store.stats()
            told = {
                "days": (day.now_ms - START_MS) / DAY_MS,
                "resident": resident(),
                "peak": max(peak, resident()),
                "series": stats.series,
                "samples": stats.samples_appended,
                "chunk_bytes": stats.chunk_bytes,
                "file_bytes": stats.file_bytes,
                "written": stats.bytes_written,
                "cpu": time.process_time() - began,
            }
            sys.stdout.write(json.dumps(told) + "\n")
            sys.stdout.flush()


def resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


if __name__ == "__main__":
    sys.exit(main(float(sys.argv[1]), sys.argv[2:]))
