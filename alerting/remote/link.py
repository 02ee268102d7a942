"""Remote storage as the application sees it: switched on and off by the configuration.

Nothing else of this room is imported until the configuration names a remote.
"""

from __future__ import annotations

import hashlib
import logging
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from alerting.clock import Clock
from alerting.model.labels import NO_LABELS, Labels
from alerting.remote.stats import RemoteStats, missing_library
from alerting.storage.ports import Querier, StorageError
from alerting.storage.store import Store
from config.daemon.log import event
from config.remote import Endpoint, Remote
from config.units import format_duration

if TYPE_CHECKING:
    from alerting.remote.fanout import FanOut, Session
    from alerting.remote.http import Http
    from alerting.remote.writer import RemoteWriter

log = logging.getLogger(__name__)

WRITES_BEHIND_S = 300.0
DATABASE = "remote.db"


class RemoteStorage:
    """``use`` is told whom queries are to ask: the store, or both. ``apply`` and ``close`` wait for a request under way
    and for each other: not on the event loop."""

    def __init__(self, store: Store, folder: Path, clock: Clock, use: Callable[[Querier], None], version: str) -> None:
        self._store = store
        self._folder = folder
        self._clock = clock
        self._use = use
        self._version = version
        self._lock = threading.Lock()
        self._external = NO_LABELS
        self._reading: tuple[Endpoint | None, bool, Labels] = (None, False, self._external)
        self._writing: tuple[Endpoint | None, float, Labels] = (None, 0.0, self._external)
        self._read: tuple[Http, FanOut] | None = None
        self._writer: RemoteWriter | None = None
        self._trouble = ""

    def apply(self, remote: Remote, external_labels: Mapping[str, str] | None = None) -> None:
        """Take a configuration. What of it cannot be used is told in the log and by ``notes``; nothing is raised.

        ``external_labels`` are what this cluster's series are known by in the other store.
        """
        with self._lock:
            self._trouble = ""
            self._external = external = Labels.of(external_labels or {})
            reading = (remote.query, remote.read_recent, external)
            writing = (remote.write, remote.max_lag, external)
            if reading != self._reading:
                self._reading = reading if self._tried(self._switch_reading, remote) else (None, False, external)
            if writing != self._writing:
                self._writing = writing if self._tried(self._switch_writing, remote) else (None, 0.0, external)

    def _tried(self, switch: Callable[[Remote], None], remote: Remote) -> bool:
        """What cannot be used is off, and tried again at the next reload."""
        try:
            switch(remote)
        except StorageError as error:
            self._trouble = str(error)
            event(log, logging.ERROR, "remote storage is not used", error=self._trouble)
            return False
        return True

    def begin(self, _: float | None, warn: Callable[[str], None]) -> Session | Store:
        """What a query for series and labels asks."""
        read = self._read  # here and below looked at once: another thread may switch it off meanwhile
        return self._store if read is None else read[1].begin(None, warn)

    def stats(self) -> RemoteStats:
        """Blocks for as long as the store's sources take to be looked through."""
        read, writer = self._read, self._writer
        return RemoteStats(None if read is None else read[1].stats, None if writer is None else writer.stats())

    def notes(self) -> list[str]:
        """What the owner should know, in whole sentences."""
        notes = []
        trouble, read, writer = self._trouble, self._read, self._writer
        if trouble:
            notes.append(f"Remote storage is not used: {trouble}")
        if read is not None and (why := read[1].pause.why):
            notes.append(f"Remote storage does not answer, what only it has is missing: {why}")
        if writer is not None:
            stats = writer.stats()
            if stats.lag > WRITES_BEHIND_S:
                why = stats.tally.error or "catching up"
                notes.append(f"Remote storage is {format_duration(round(stats.lag))} behind: {why}")
        return notes

    def close(self) -> None:
        """Stop writing; what was sent is written down."""
        self.apply(Remote())

    def _switch_reading(self, remote: Remote) -> None:
        before, self._read = self._read, None
        self._use(self._store)
        if before is not None:
            before[0].close()
        if remote.query is None:
            return
        from alerting.remote.fanout import FanOut
        from alerting.remote.http import Http
        from alerting.remote.own_part import OwnPart
        from alerting.remote.querier import RemoteQuerier

        http = Http(remote.query, self._version)
        theirs = RemoteQuerier(http)
        both = FanOut(
            self._store, OwnPart(theirs, self._external) if self._external else theirs, read_recent=remote.read_recent
        )
        self._read = http, both
        self._use(both)
        event(log, logging.INFO, "remote storage is asked", url=remote.query.url, recent=remote.read_recent)

    def _switch_writing(self, remote: Remote) -> None:
        before, self._writer = self._writer, None
        if before is not None:
            before.stop()
        if remote.write is None:
            return
        try:
            from alerting.remote import writer
        except ModuleNotFoundError as error:
            raise StorageError(missing_library(error.name)) from error
        from alerting.remote.cursors import Cursors
        from alerting.remote.http import Http
        from alerting.storage.follow import Follower

        now_ms = self._clock.now_ms()
        http = Http(remote.write, self._version)
        cursors = Cursors(self._folder / DATABASE, _destination(remote.write), now_ms)
        self._writer = writer.RemoteWriter(
            Follower(self._store),
            cursors,
            http,
            self._clock,
            max_lag_ms=round(remote.max_lag * 1000),
            idle_s=writer.IDLE_S,
            external=self._external,
        )
        self._writer.start()
        event(log, logging.INFO, "remote storage is written to", url=remote.write.url)


def _destination(endpoint: Endpoint) -> str:
    """Names a receiver and what it tells tenants apart by, but no secret: how far it was written is its own."""
    headers = [f"{name}={value.reveal()}" for name, value in endpoint.headers if name != "Authorization"]
    return hashlib.sha256("\n".join([endpoint.url, *headers]).encode()).hexdigest()
