"""The aggregator as it runs, but for two things: ``python -m tests.bench.hub_process MS OPTIONS`` starts it with its
clock at ``MS`` milliseconds since the epoch (``now``: the real one), and with room for as many series as hundreds of
targets have. The options are those of ``tierwatch aggregator``."""

from __future__ import annotations

import functools
import sys
import time

import alerting.cli
import alerting.storage.options as storage_options
from alerting.clock import SystemClock

MAX_SERIES = 1_000_000


def main(start: str, options: list[str]) -> int:
    if start != "now":
        _set_clock(int(start))
    # Before the program imports it, which it does late.
    storage_options.StoreOptions = functools.partial(  # type: ignore[assignment,misc]
        storage_options.StoreOptions, max_series=MAX_SERIES
    )
    return alerting.cli.main(options)


def _set_clock(start_ms: int) -> None:
    began = time.monotonic()

    def now_ms(_: SystemClock) -> int:
        return start_ms + int((time.monotonic() - began) * 1000)

    SystemClock.now_ms = now_ms  # type: ignore[assignment,method-assign]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
