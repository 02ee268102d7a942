"""The aggregator as an object: start it, ask where it listens, reload it, stop it. The command line is elsewhere.

Everything long-lived is made here and handed to those who need it; nothing else makes objects for others.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import time
from collections.abc import Callable, Coroutine, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiohttp import web

from alerting.api.app import POOL_STATS, REQUEST_STATS, build_app
from alerting.api.configtext import config_text
from alerting.api.ports import ConfigState, Services
from alerting.build import Prepared, prepare
from alerting.clock import Clock, SystemClock
from alerting.dispatch.dispatcher import AlertView, Dispatcher
from alerting.dispatch.store import open_database
from alerting.model.alert import Alert
from alerting.notify.children import ChildSender
from alerting.notify.deliverer import Deliverer
from alerting.notify.outbox import JournalEntry, Outbox
from alerting.page.source import PageSource
from alerting.page.stream import Page
from alerting.promql.engine import Engine
from alerting.promql.nodes import Expr
from alerting.promql.value import Result
from alerting.remote.link import RemoteStorage
from alerting.rules.expressions import evaluate_with
from alerting.rules.group import Surroundings
from alerting.rules.manager import Options as RuleOptions
from alerting.rules.manager import RuleManager
from alerting.rules.state_store import SqliteStateStore
from alerting.scrape.http import HttpPages
from alerting.scrape.manager import ScrapeManager
from alerting.scrape.report import ScrapeReport, TargetView
from alerting.selfmetrics import ConfigReload, SelfMetrics, Sources
from alerting.storage.lock import InUse, alone
from alerting.storage.ports import StorageError
from alerting.storage.store import Store, StoreOptions
from config.daemon.footprint import give_back
from config.daemon.log import event
from config.load import Config
from config.problems import ConfigError

log = logging.getLogger(__name__)

FLUSH_SECONDS = 8.0
READ_AHEAD_SECONDS = 1.0
FLUSHES_UNTIL_GIVEN_BACK = 75
KEEP_ALIVE_SECONDS = 75.0
LONGEST_URL = 64 * 1024  # a long query asked with GET


class CannotStart(Exception):
    """The aggregator cannot run; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class Options:
    """``listen``: address and port, port 0 takes a free one. ``data``: a folder of its own, made when missing."""

    config: Path
    data: Path
    listen: tuple[str, int] | None = None


@dataclass(frozen=True, slots=True)
class ReloadState:
    """How the last (re)load went. ``loaded_ms``: when what runs was read; ``error``: why the newest was refused."""

    loaded_ms: int
    error: str = ""


class App:
    """One aggregator. To be started once."""

    def __init__(self, options: Options, clock: Clock | None = None, version: str = "dev") -> None:
        self._options = options
        self._version = version
        self._clock = clock or SystemClock()
        self._stack = AsyncExitStack()
        self._tasks: list[asyncio.Task[None]] = []
        self._reloading = asyncio.Lock()
        self._failed = asyncio.Event()
        self.prepared: Prepared
        self.store: Store
        self.engine: Engine
        self.remote: RemoteStorage
        self.scrape: ScrapeManager
        self.rules: RuleManager
        self.dispatcher: Dispatcher
        self.outbox: Outbox
        self.deliverer: Deliverer
        self.page: Page
        self._own_metrics: SelfMetrics
        self.reload_state = ReloadState(self._clock.now_ms())
        self._web: web.AppRunner | None = None

    @property
    def address(self) -> tuple[str, int]:
        """Where it listens, after ``start``."""
        if self._web is None or not self._web.addresses:
            raise RuntimeError("the aggregator is not listening")
        host, port = self._web.addresses[0][:2]
        return str(host), int(port)

    async def start(self, given_up: Callable[[], bool] = lambda: False) -> None:
        """Bring everything up. Raises ConfigError or CannotStart; nothing is left running then, nor when it is
        ``given_up`` meanwhile: asked before the store is opened, and before anything runs."""
        self.prepared = await asyncio.to_thread(prepare, self._options.config)
        if given_up():
            return
        async with AsyncExitStack() as stack:
            self._open_store(stack)
            pages = await stack.enter_async_context(HttpPages(self._version))
            self._make_notify(stack)
            self._make_scrape_and_rules(pages, stack)
            stack.push_async_callback(asyncio.to_thread, self.remote.close)
            await asyncio.to_thread(self.remote.apply, self.config.remote, self.config.external_labels)
            await self._listen(stack)
            if given_up():
                return
            self._run_all(stack)
            self._stack = stack.pop_all()
        # What was made so far lives as long as the process: the collector need not look at it again and again.
        gc.collect()
        gc.freeze()
        host, port = self.address
        event(log, logging.INFO, "watching", nodes=len(self.prepared.config.cluster.nodes), address=f"{host}:{port}")

    async def stop(self) -> None:
        """Stop in the reverse order of the start: nothing new comes in, what is known is written down."""
        await self._stack.aclose()

    async def wait_failed(self) -> None:
        """Returns when a part of the aggregator has ended that never should: then the process must end too."""
        await self._failed.wait()

    async def reload(self) -> None:
        """Read the configuration again. Everything that can fail is done first: a bad edit leaves what runs running,
        and is told in the log, on the page and as a metric."""
        async with self._reloading:
            now_ms = self._clock.now_ms()
            try:
                prepared = await asyncio.to_thread(prepare, self._options.config)
                await self.deliverer.reload(prepared.config.urls)
            except Exception as error:
                expected = isinstance(error, ConfigError | CannotStart)
                self.reload_state = ReloadState(self.reload_state.loaded_ms, str(error))
                event(log, logging.ERROR, "configuration refused, the one before goes on", error=str(error))
                if not expected:
                    log.exception("unexpected while reloading")
                self.page.changed()
                return
            self.prepared = prepared
            self.dispatcher.set_policy(prepared.policy)
            self.rules.reload(prepared.groups, self._surroundings(prepared.config))
            self.dispatcher.retain_rules(prepared.alert_names, now_ms)
            await self.scrape.reload(prepared.targets)
            await asyncio.to_thread(self.remote.apply, prepared.config.remote, prepared.config.external_labels)
            self.reload_state = ReloadState(now_ms)
            event(log, logging.INFO, "configuration taken", rules=sum(len(g.rules) for g in prepared.groups))
            self.page.changed()

    # --- what the page and the API ask --------------------------------------------------------------------------------

    @property
    def config(self) -> Config:
        return self.prepared.config

    def targets(self) -> Sequence[TargetView]:
        return self.scrape.targets()

    def active_alerts(self) -> Sequence[Alert]:
        return self.rules.active()

    def told_alerts(self) -> Sequence[AlertView]:
        return self.dispatcher.alerts()

    def journal(self, limit: int) -> Sequence[JournalEntry]:
        """Blocks on the disk."""
        return self.outbox.journal(limit)

    def query(self, expr: Expr, time_ms: int) -> Result:
        """Blocks for as long as the query takes."""
        return self.engine.instant(expr, time_ms)

    def query_range(self, expr: Expr, start_ms: int, end_ms: int, step_ms: int) -> Result:
        """Blocks for as long as the query takes."""
        return self.engine.range(expr, start_ms, end_ms, step_ms)

    def notes(self) -> Sequence[str]:
        """What the owner should know of the aggregator itself, in whole sentences."""
        notes = []
        if self.reload_state.error:
            first = self.reload_state.error.splitlines()[0]
            notes.append(f"The configuration was changed but not taken: {first}")
        config = self.prepared.config
        if not any(config.urls[node.receiver] for node in self.prepared.policy.root.walk()):
            notes.append("Nobody is told of alerts: no receiver has a URL (alerting.yaml says how to give it one)")
        if not self.prepared.groups:
            notes.append("No alert rules are loaded")
        if trouble := self.store.trouble:
            notes.append(f"The disk takes no samples, the newest are in memory only: {trouble}")
        if self.outbox.in_memory:
            notes.append("The disk takes nothing: what people were told since is known in memory only")
        notes += self.remote.notes()
        if self.rules.learning:
            notes.append("Just started: rules wait until every target was asked once")
        return notes

    # --- making -----------------------------------------------------------------------------------------------------

    def _open_store(self, stack: AsyncExitStack) -> None:
        data = self._options.data
        try:
            data.mkdir(mode=0o700, parents=True, exist_ok=True)
            # Two aggregators on one folder would both tell everybody everything.
            stack.enter_context(alone(data, "aggregator"))
        except InUse as error:
            wait = "; it can be started when the import is done" if error.writer == "import" else ""
            raise CannotStart(f"{error}{wait}") from None
        except StorageError as error:
            raise CannotStart(str(error)) from error
        except OSError as error:
            raise CannotStart(f"{data}: cannot be used as data folder: {error.strerror or error}") from error
        settings = self.prepared.config.alerting.storage
        options = StoreOptions(retention_ms=round(settings.retention * 1000), max_bytes=settings.max_bytes)
        self.store = Store.open(data / "metrics.db", options, self._clock.now_ms())
        stack.callback(self.store.close)
        self.engine = Engine(self.store)
        self.remote = RemoteStorage(self.store, data, self._clock, self.engine.use, self._version)

    def _make_notify(self, stack: AsyncExitStack) -> None:
        now_ms = self._clock.now_ms()
        database = open_database(self._options.data / "alerts.db", now_ms)
        stack.callback(database.close)
        urls = self.prepared.config.urls
        self.outbox = Outbox(database, urls)
        self.outbox.adopt(urls, now_ms)
        self.deliverer = Deliverer(
            self.outbox, ChildSender(), urls, self._clock, on_damaged=lambda now_ms: self.dispatcher.mend(now_ms)
        )
        self.dispatcher = Dispatcher(
            database,
            self.outbox,
            self.prepared.policy,
            self._clock,
            on_queued=self.deliverer.kick,
            on_waiting=self.deliverer.prepare,
        )
        self.dispatcher.retain_rules(self.prepared.alert_names, now_ms)

    def _make_scrape_and_rules(self, pages: HttpPages, stack: AsyncExitStack) -> None:
        now_ms = self._clock.now_ms()
        self.scrape = ScrapeManager(self.store.source, pages, self._clock, self._on_scrape, pages)
        states = SqliteStateStore(self._options.data / "states.db", now_ms)
        stack.callback(states.close)
        around = self._surroundings(self.config)
        self.rules = RuleManager(
            self.prepared.groups,
            around,
            sink=self.dispatcher,
            clock=self._clock,
            store=states,
            options=RuleOptions(ready=lambda _: self.scrape.first_round_done),
        )
        going_on = self.rules.restore()
        if going_on:
            event(log, logging.INFO, "alerts go on from before the start", alerts=going_on)

    def _surroundings(self, config: Config) -> Surroundings:
        return Surroundings(
            evaluate_with(self.engine),
            self.store,
            default_interval_ms=round(config.alerting.timing.evaluation_interval * 1000),
            external_labels=config.external_labels,
            external_url=config.alerting.external_url,
        )

    async def _listen(self, stack: AsyncExitStack) -> None:
        self.page = Page(PageSource(self, self._clock))
        app = build_app(self._services())
        self._own_metrics = self._self_metrics(app)
        self.page.add_routes(app)
        self._web = web.AppRunner(
            app,
            access_log=None,
            handle_signals=False,
            keepalive_timeout=KEEP_ALIVE_SECONDS,
            shutdown_timeout=3.0,
            max_line_size=LONGEST_URL,
        )
        await self._web.setup()
        stack.push_async_callback(self._web.cleanup)
        host, port = self._options.listen or self.prepared.listen
        try:
            await web.TCPSite(self._web, host, port).start()
        except OSError as error:
            raise CannotStart(f"cannot listen on {host}:{port}: {error.strerror or error}") from error

    def _services(self) -> Services:
        return Services(
            queries=self.engine,
            index=self.remote,
            rules=self.rules,
            targets=self.scrape,
            clock=self._clock,
            not_ready=self._not_ready,
            metrics=lambda: self._own_metrics.render(),
            config=self._config_state,
            version=self._version,
            started_ms=self._clock.now_ms(),
            retention=self.config.alerting.storage.retention,
        )

    def _config_state(self) -> ConfigState:
        state = self.reload_state
        return ConfigState(config_text(self.config), state.loaded_ms, not state.error, state.error)

    def _self_metrics(self, app: web.Application) -> SelfMetrics:
        return SelfMetrics(
            Sources(
                version=self._version,
                scrape=lambda: self.scrape.stats,
                events=lambda: self.scrape.event_stats,
                targets=self.scrape.targets,
                store=self.store.stats,
                rules=lambda: self.rules.stats,
                groups=self.rules.groups,
                receivers=lambda: self.outbox.stats(self._clock.now_ms()),
                queries=lambda: app[POOL_STATS],
                requests=lambda: app[REQUEST_STATS],
                reload=lambda: ConfigReload(not self.reload_state.error, self.reload_state.loaded_ms),
                page_viewers=lambda: self.page.viewers,
                remote=self.remote.stats,
            )
        )

    def _not_ready(self) -> str:
        return "" if self.scrape.first_round_done else "not every target has been asked once yet"

    def _run_all(self, stack: AsyncExitStack) -> None:
        # Ended in the reverse order: the page and the scrapers first, what is told last.
        self._run("store", self._flush_forever, stack)
        self._run("deliverer", self.deliverer.run, stack)
        self._run("dispatcher", self.dispatcher.run, stack)
        self._run("rules", self.rules.run, stack)
        self.scrape.start(self.prepared.targets)
        stack.push_async_callback(self.scrape.stop)
        self._run("page", self.page.run, stack)
        stack.push_async_callback(self.page.close)

    def _run(self, name: str, work: Callable[[], Coroutine[Any, Any, None]], stack: AsyncExitStack) -> None:
        task = asyncio.get_running_loop().create_task(work(), name=name)
        self._tasks.append(task)
        task.add_done_callback(self._part_ended)
        stack.push_async_callback(_cancel, task)

    def _part_ended(self, task: asyncio.Task[None]) -> None:
        if task.cancelled():
            return
        log.critical("%s ended: the aggregator cannot go on", task.get_name(), exc_info=task.exception())
        self._failed.set()

    async def _flush_forever(self) -> None:
        # The first dashboard after a start is answered sooner; the flush after it must not come too late.
        await asyncio.to_thread(self.store.read_ahead, self._clock.now_ms(), time.monotonic() + READ_AHEAD_SECONDS)
        while True:
            for _ in range(FLUSHES_UNTIL_GIVEN_BACK):
                await asyncio.sleep(FLUSH_SECONDS)
                await asyncio.to_thread(self.store.flush, self._clock.now_ms())
            # What sealing, merging and queries used and freed.
            await asyncio.to_thread(give_back)

    def _on_scrape(self, report: ScrapeReport) -> None:
        if report.changed:
            self.rules.evaluate_now(report.changed)
        if report.up_changed:
            self.page.changed()


async def _cancel(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.wait([task])
