"""Many targets with the shipped rules: CPU of a start, of a round of scrapes and of rules, and of ending.

    python -m tests.bench.bench_scale [--targets 7 70 700] [--moments 1.2 4 12] [--rounds 8]

First in one process, with the clock as an argument: a round is the page of node_exporter (586 series) of each target,
all rules, what they tell, and a flush. Then the aggregator itself over as many loopback addresses: a SIGTERM once it
has used so many seconds of CPU, and how much more it takes until it has ended. All figures are CPU: they hold on a busy
machine too.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path

from alerting.clock import FakeClock
from alerting.promql.engine import Engine
from alerting.rules.expressions import evaluate_with
from alerting.rules.group import RunningGroup, Surroundings
from alerting.rules.load import load_rules
from alerting.scrape.loop import Surroundings as Around
from alerting.scrape.loop import TargetLoop
from alerting.scrape.source import Body
from alerting.scrape.targets import targets_of
from alerting.storage.store import Store, StoreOptions
from config.load import load
from tests.acceptance.exporter_process import cpu_seconds
from tests.bench.bench_churn import resident_mib
from tests.bench.bench_ingest import page_server
from tests.bench.hub import write_config
from tests.bench.hub_process import MAX_SERIES
from tests.bench.motion import PEER_PAGE, LivingPage
from tests.support.ports import free_port

STEP_S = 15
QUERY_S = 600.0  # a rule may take this long here


class OnePage:
    """A ``PageSource``: the same living page for every target."""

    def __init__(self, rounds: int) -> None:
        living = LivingPage(PEER_PAGE, apart_s=15.0, step_s=STEP_S, seed=1)
        self._pages = [living.text(row) for row in living.next_values(rounds)]
        self.number = 0

    async def fetch(self, url: str, timeout: float, body_bytes: int, *, gzip: bool = True) -> Body:  # noqa: ASYNC109
        return Body(self._pages[self.number], gzip=False)


async def rounds(folder: Path, count: int, targets: int) -> None:
    config = load(folder / "config", {})
    clock, pages = FakeClock(), OnePage(count)
    store = Store.open(folder / "metrics.db", StoreOptions(max_series=MAX_SERIES), clock.now_ms())
    around = Around(pages, clock, lambda _: None)
    loops = [TargetLoop(target, store.source(f"scrape/{target.name}"), around) for target in targets_of(config)]
    surroundings = Surroundings(evaluate_with(Engine(store), QUERY_S), store, default_interval_ms=STEP_S * 1000)
    groups = [RunningGroup(group, surroundings) for group in load_rules(config.rule_paths())]
    for number in range(count):
        pages.number = number
        clock.advance(STEP_S)
        times = [time.process_time()]
        for loop in loops:
            await loop._guarded(clock.now_ms(), early=False)
        times.append(time.process_time())
        store.flush(clock.now_ms())
        times.append(time.process_time())
        for group in groups:
            assert not group.evaluate(clock.now_ms() + 1).failures
        times.append(time.process_time())
        scrapes, flush, rules = (1000 * (late - early) for early, late in pairwise(times))
        alerts = sum(len(state.alerts) for group in groups for state in group.rules)
        print(
            f"{targets:4} targets, round {number + 1}: scrapes {scrapes:6.0f} ms, flush {flush:5.0f} ms, rules "
            f"{rules:5.0f} ms with {alerts} alerts active, {resident_mib():.0f} MiB",
            flush=True,
        )
    store.close()


def ended(folder: Path, addresses: Mapping[str, tuple[str, int]], moment: float) -> None:
    """A SIGTERM at ``moment``, in seconds of CPU."""
    command = [sys.executable, "-m", "tests.bench.hub_process", "now", "--config", str(folder / "config")]
    command += ["--data", str(folder / f"data-{moment}"), "--listen", f"127.0.0.1:{free_port()}"]
    with (folder / "hub.log").open("ab") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env={**os.environ, "MALLOC_ARENA_MAX": "2"})
    while process.poll() is None and cpu_seconds(process.pid) < moment:
        time.sleep(0.01)
    before, began = cpu_seconds(process.pid), time.monotonic()
    process.send_signal(signal.SIGTERM)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    more = usage.ru_utime + usage.ru_stime - before
    print(
        f"{len(addresses):4} targets, SIGTERM after {before:.1f} s of CPU: {more:.1f} s more, "
        f"{time.monotonic() - began:.1f} s here (load {os.getloadavg()[0]:.0f}), exit status {process.returncode}",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--targets", type=int, nargs="+", default=[7, 70, 700])
    parser.add_argument("--moments", type=float, nargs="*", default=[1.2, 4.0, 12.0])
    parser.add_argument("--rounds", type=int, default=8)
    options = parser.parse_args()
    for targets in options.targets:
        with tempfile.TemporaryDirectory(prefix="tw-scale-") as name, page_server(targets, STEP_S) as served:
            addresses = {f"N{number}": address for number, address in enumerate(served)}
            write_config(Path(name) / "config", addresses, interval_s=STEP_S, rules=True)
            asyncio.run(rounds(Path(name), options.rounds, targets))
            for moment in options.moments:
                ended(Path(name), addresses, moment)


if __name__ == "__main__":
    main()
