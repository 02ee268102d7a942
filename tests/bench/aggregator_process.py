"""The aggregator as it runs, telling each few seconds what it used: ``python -m tests.bench.aggregator_process SECONDS
OPTIONS`` with the options of ``tierwatch aggregator``.

A line is a JSON object: seconds of CPU since the start (``all``: the process; the others: parts of it, measured on
their threads) and resident bytes.
"""

from __future__ import annotations

import functools
import json
import os
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import alerting.cli
from alerting.dispatch.dispatcher import Dispatcher
from alerting.rules.group import RunningGroup
from alerting.scrape.exposition import PageReader
from alerting.storage.head import Head
from alerting.storage.store import Store

PARTS: list[tuple[str, Any, str]] = [
    ("rules", RunningGroup, "evaluate"),
    ("read", PageReader, "read"),
    ("append", Head, "append"),
    ("flush", Store, "flush"),
    ("dispatch", Dispatcher, "process"),
]


def measured(used: defaultdict[str, float], part: str, work: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(work)
    def wrapper(*arguments: Any, **named: Any) -> Any:
        began = time.thread_time()
        try:
            return work(*arguments, **named)
        finally:
            used[part] += time.thread_time() - began

    return wrapper


def tell(used: defaultdict[str, float], every: float) -> None:
    due = time.monotonic()
    while True:
        due += every
        time.sleep(max(0.0, due - time.monotonic()))
        resident = int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
        line = {**dict(used), "all": time.process_time(), "resident": resident}
        sys.stdout.write(json.dumps(line) + "\n")
        sys.stdout.flush()


def main(every: float, options: list[str]) -> int:
    used: defaultdict[str, float] = defaultdict(float)
    for part, owner, name in PARTS:
        setattr(owner, name, measured(used, part, getattr(owner, name)))
    threading.Thread(target=tell, args=(used, every), daemon=True).start()
    return alerting.cli.main(options)


if __name__ == "__main__":
    sys.exit(main(float(sys.argv[1]), sys.argv[2:]))
