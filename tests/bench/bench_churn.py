"""What a node costs whose containers never live long: memory over simulated days, with the clock as an argument.

    python -m tests.bench.bench_churn [--days 7] [--step 15] [--without-rules]

One node of the inventory shows a page of 586 series and twenty containers of 30 series each; each minute the oldest
ends, and one with a new name and id takes its place: 43,200 new series a day. The page goes through the real loop of a
target into a real store; the shipped rules are evaluated each sixteenth step, the store is flushed at each.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import tempfile
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from alerting.promql.engine import Engine
from alerting.rules.expressions import evaluate_with
from alerting.rules.group import RunningGroup, Surroundings
from alerting.rules.load import load_rules
from alerting.scrape.loop import Surroundings as Around
from alerting.scrape.loop import TargetLoop
from alerting.scrape.source import Body
from alerting.scrape.targets import NODE_JOB, targets_of
from alerting.storage.options import DAY_MS
from alerting.storage.store import Store, StoreOptions
from config.daemon.footprint import give_back, limit_arenas, map_from
from config.load import load
from tests.bench.cluster_day import CONFIG
from tests.bench.motion import PEER_PAGE, LivingPage

START_MS = 1_700_006_400_000
CONTAINERS = 20
SERIES = 30
LIFE_MS = 60_000  # between two containers
RULES_EVERY = 16
GIVE_BACK_EVERY = 40
BATCH = 240


class SimulatedClock:
    """``now_ms`` is set by whoever simulates."""

    def __init__(self, now_ms: int) -> None:
        self.now = now_ms

    def now_ms(self) -> int:
        return self.now


class RestlessPage:
    """A ``PageSource`` whose page changes with the clock."""

    def __init__(self, clock: SimulatedClock, step_s: float) -> None:
        self._clock = clock
        self._living = LivingPage(PEER_PAGE, apart_s=15.0, step_s=step_s, seed=1)
        self._values = self._rows()
        self._containers: deque[tuple[int, list[str]]] = deque()

    def _rows(self) -> Iterator[bytes]:
        while True:
            yield from map(self._living.text, self._living.next_values(BATCH))

    async def fetch(self, url: str, timeout: float, body_bytes: int, *, gzip: bool = True) -> Body:  # noqa: ASYNC109
        """The page of now."""
        now = self._clock.now // LIFE_MS
        while not self._containers or self._containers[-1][0] < now:
            number = self._containers[-1][0] + 1 if self._containers else now - CONTAINERS + 1
            self._containers.append((number, container(number)))
            if len(self._containers) > CONTAINERS:
                self._containers.popleft()
        text = next(self._values)
        age = self._clock.now // 1000
        rows = [f"{line} {age % 1000 + place}\n" for _, lines in self._containers for place, line in enumerate(lines)]
        return Body(text + "".join(rows).encode(), gzip=False)


def container(number: int) -> list[str]:
    """The lines of a container but for their values."""
    own = (
        f'name="job-{number}",id="{number * 2654435761 % 2**48:012x}",image="registry.example/team/job:1.{number % 9}"'
    )
    return [f"container_series_{at:02d}{{{own}}}" for at in range(SERIES)]


def resident_mib() -> float:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


async def live(folder: Path, days: float, step_ms: int, *, rules: bool) -> None:
    store = Store.open(folder / "metrics.db", StoreOptions(), START_MS)
    config = load(CONFIG, {})
    target = next(target for target in targets_of(config) if target.job == NODE_JOB)
    target = replace(target, interval=step_ms / 1000)
    clock = SimulatedClock(START_MS)
    writer = store.source(f"scrape/{target.name}")
    loop = TargetLoop(target, writer, Around(RestlessPage(clock, step_ms / 1000), clock, lambda _: None))
    around = Surroundings(evaluate_with(Engine(store)), store, default_interval_ms=step_ms)
    groups = [RunningGroup(group, around) for group in load_rules(config.rule_paths())] if rules else []
    began = time.process_time()
    step = 0
    while clock.now < START_MS + days * DAY_MS:
        step += 1
        clock.now += step_ms
        await loop._guarded(clock.now, early=False)
        assert loop.view.health == "up", loop.view.last_error
        for group in groups if step % RULES_EVERY == 0 else ():
            outcome = group.evaluate(clock.now)
            assert not outcome.failures, [state.last for state in group.rules if state.last and state.last.error]
        assert store.flush(clock.now)
        if step % GIVE_BACK_EVERY == 0:
            give_back()
        if (clock.now - START_MS) % (DAY_MS // 4) == 0:
            stats = store.stats()
            print(
                f"{(clock.now - START_MS) / DAY_MS:5.2f} days {resident_mib():7.1f} MiB {writer.width:7d} columns "
                f"{stats.series:7d} series {stats.head_samples * 8 / 2**20:7.1f} MiB of rows "
                f"{stats.blocks:5d} blocks {stats.file_bytes / 2**20:7.1f} MiB on disk "
                f"{time.process_time() - began:7.1f} s of CPU",
                flush=True,
            )
    store.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--days", type=float, default=7.0)
    parser.add_argument("--step", type=float, default=15.0)
    parser.add_argument("--without-rules", action="store_true")
    options = parser.parse_args()
    limit_arenas()
    map_from(128 * 1024)
    with tempfile.TemporaryDirectory(prefix="tw-churn-") as name:
        asyncio.run(live(Path(name), options.days, round(options.step * 1000), rules=not options.without_rules))


if __name__ == "__main__":
    main()
