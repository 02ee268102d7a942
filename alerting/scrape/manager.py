"""All targets: start them, exchange them on reload, stop them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any

from alerting.clock import Clock
from alerting.scrape.events import EventStats
from alerting.scrape.line import Metadata
from alerting.scrape.listener import Listener, Room
from alerting.scrape.loop import Surroundings, TargetLoop
from alerting.scrape.report import OnScrape, ScrapeReport, ScrapeStats, TargetView
from alerting.scrape.schedule import places
from alerting.scrape.source import EventSource, PageSource
from alerting.scrape.targets import Target
from alerting.storage.ports import FrameWriter

log = logging.getLogger(__name__)

Source = Callable[[str], FrameWriter]


def _nobody(_: ScrapeReport) -> None:
    pass


@dataclass(slots=True)
class _Running:
    """A target at work; ``listener`` and its task are there when it may have a stream of events."""

    loop: TargetLoop
    tasks: list[asyncio.Task[None]]
    listener: Listener | None = None


class ScrapeManager:
    """Runs one loop a target. ``source`` is ``Storage.source``; the writer of a target is ``scrape/JOB/INSTANCE``.

    ``start``, ``reload`` and ``stop`` are called by the event loop's thread, one after the other.
    """

    def __init__(
        self,
        source: Source,
        pages: PageSource,
        clock: Clock,
        on_scrape: OnScrape = _nobody,
        events: EventSource | None = None,
    ) -> None:
        """``events``: None when no node is to be listened to."""
        self._source = source
        self._on_scrape = on_scrape
        self._around = Surroundings(pages, clock, self._scraped)
        self._room = Room(events) if events is not None else None
        self._running: dict[str, _Running] = {}
        self._first_round: list[asyncio.Event] = []
        self._started = False

    @property
    def stats(self) -> ScrapeStats:
        return self._around.stats

    @property
    def event_stats(self) -> EventStats:
        return self._room.stats if self._room is not None else EventStats()

    @property
    def first_round_done(self) -> bool:
        """True when every target of the start was tried once: before, what is missing may only not have been read."""
        return self._started and all(event.is_set() for event in self._first_round)

    async def wait_first_round(self) -> None:
        for event in self._first_round:
            await event.wait()

    def start(self, targets: Sequence[Target]) -> None:
        """Begin scraping. Every target has its first scrape within about a second."""
        self._around.places = places(len(targets))
        for target in targets:
            self._launch(target)
        self._first_round = [running.loop.tried for running in self._running.values()]
        self._started = True

    async def reload(self, targets: Sequence[Target]) -> None:
        """Exchange the targets. Unchanged ones keep loop and history; the series of those that left end now.

        Same name, page and labels count as the same target: a new interval or limit does not end its series.
        """
        wanted = {target.name: target for target in targets}
        self._around.places = places(len(wanted))
        leaving = [
            name
            for name, running in self._running.items()
            if name not in wanted or not _same(running.loop.target, wanted[name])
        ]
        for name in leaving:
            running = self._running.pop(name)
            await _cancel(running.tasks)
            running.loop.tried.set()
            running.loop.end()
        for name, target in wanted.items():
            if name not in self._running:
                self._launch(target)
            elif self._running[name].loop.target != target:
                self._running[name].loop.change(target)
        if leaving:
            log.info("no longer scraped: %s", ", ".join(leaving))

    async def stop(self) -> None:
        """Stop scraping. Nothing is marked as ended: after a restart the series go on."""
        running, self._running = self._running, {}
        await _cancel([task for entry in running.values() for task in entry.tasks])

    def scrape_now(self, name: str) -> bool:
        """Scrape a target (``JOB/ADDRESS:PORT``) as soon as possible; False when there is none of that name.

        May be called as often as anything happens: requests that come together make one scrape.
        """
        running = self._running.get(name)
        if running is None:
            return False
        running.loop.wake()
        return True

    def targets(self) -> list[TargetView]:
        """How every target is doing, sorted by name. May be called in any thread."""
        views = [running.loop.view for running in list(self._running.values())]
        return sorted(views, key=lambda view: view.target.name)

    def metadata(self) -> list[tuple[Target, dict[str, Metadata]]]:
        """What the latest page of each target says of its families, by target name. May be called in any thread."""
        loops = [running.loop for running in list(self._running.values())]
        found = [(loop.target, loop.metadata()) for loop in loops]
        return sorted(found, key=lambda item: item[0].name)

    def _launch(self, target: Target) -> None:
        loop = TargetLoop(target, self._source(f"scrape/{target.name}"), self._around)
        running = _Running(loop, [_task(loop.run(), f"scrape {target.name}")])
        if self._room is not None and target.events:
            running.listener = Listener(target.name, target.events, loop, self._room)
            running.tasks.append(_task(running.listener.run(), f"events of {target.name}"))
        self._running[target.name] = running

    def _scraped(self, report: ScrapeReport) -> None:
        running = self._running.get(report.target.name)
        if report.ok and running is not None and running.listener is not None:
            running.listener.answered()
        self._on_scrape(report)


def _task(work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
    return asyncio.get_running_loop().create_task(work, name=name)


def _same(old: Target, new: Target) -> bool:
    return old.url == new.url and old.labels == new.labels


async def _cancel(tasks: Sequence[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait(tasks)
