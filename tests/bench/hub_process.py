"""The aggregator as it runs, at another time: ``python -m tests.bench.hub_process MS OPTIONS`` starts it with its clock
at ``MS`` milliseconds since the epoch and the options of ``tierwatch aggregator``."""

from __future__ import annotations

import sys
import time

import alerting.cli
from alerting.clock import SystemClock


def main(start_ms: int, options: list[str]) -> int:
    began = time.monotonic()

    def now_ms(_: SystemClock) -> int:
        return start_ms + int((time.monotonic() - began) * 1000)

    SystemClock.now_ms = now_ms  # type: ignore[assignment,method-assign]
    return alerting.cli.main(options)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), sys.argv[2:]))
