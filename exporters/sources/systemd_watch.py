"""Keeps a reading of systemd's units fresh in a thread: told by the bus, and asked each quarter of a minute in any
case, so that a signal that never came costs seconds, not the alert.

A unit in trouble that the inventory does not name is told too, and for a while after its trouble ended: a crash loop
shows itself in how often it starts again, which wants more than one reading.
"""

from __future__ import annotations

import logging
import os
import select
import threading
import time
from collections.abc import Callable, Sequence

from exporters.sources import systemd_show
from exporters.sources.systemd import MAX_UNITS, Reading, SystemdError

log = logging.getLogger(__name__)

POLL_SECONDS = 15.0
# Signals come in groups: what follows within this is read together, and readings never follow closer than the other.
GATHER_SECONDS = 0.02
LEAST_SECONDS = 0.1
STALE_SECONDS = 3 * POLL_SECONDS
TROUBLE_SECONDS = 900.0
MAX_TROUBLED = 32
FIRST_BACKOFF, LONGEST_BACKOFF = 0.5, 5.0
STOP_SECONDS = 2.0


class UnitWatch:
    """``changed`` is called, in the thread, after a reading that differs from the one before."""

    def __init__(
        self,
        wanted: Sequence[str],
        changed: Callable[[], None],
        *,
        bus_path: str,
        wall: Callable[[], float],
        polled: bool = True,
    ) -> None:
        """``bus_path``: the socket of the system bus; ``polled``: whether systemctl may be asked where there is none.
        ``wall``: seconds since the epoch."""
        self.wanted = tuple(dict.fromkeys(wanted))[: MAX_UNITS - MAX_TROUBLED]
        self.fault = ""
        """Why there is no fresh reading, in words; empty while there is."""
        self._changed = changed
        self._bus_path = bus_path
        self._wall = wall
        self._polled = polled
        self._latest: Reading | None = None
        self._first = threading.Event()
        self._troubled: dict[str, float] = {}
        self._told = ""
        self._thread: threading.Thread | None = None
        self._stopping = threading.Event()
        self._wake_read, self._wake_write = os.pipe()

    def start(self) -> None:
        self._thread = threading.Thread(target=self._run, name="systemd", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Ends the thread; waits at most ``STOP_SECONDS`` for a call that is under way."""
        self._stopping.set()
        os.write(self._wake_write, b"x")
        if self._thread is not None:
            self._thread.join(STOP_SECONDS)
            if self._thread.is_alive():
                return  # it still holds the pipe, and ends when its call does
        os.close(self._wake_read)
        os.close(self._wake_write)

    def latest(self, patience: float = 0.0) -> Reading | None:
        """The newest reading; waits for the first one for ``patience`` seconds."""
        if self._latest is None:
            self._first.wait(patience)
        return self._latest

    def _run(self) -> None:
        backoff = FIRST_BACKOFF
        while not self._stopping.is_set():
            began = time.monotonic()
            try:
                if self._has_bus():
                    self._follow_bus()
                elif self._polled:
                    self._poll()
                else:
                    raise SystemdError(f"{self._bus_path}: there is no system bus")
            except SystemdError as error:
                reason = str(error)
            except Exception as error:  # an answer in a form that we do not know costs this reading, not the thread
                log.debug("systemd", exc_info=error)
                reason = f"{type(error).__name__}: {error}"
            else:
                return
            self.fault = reason
            level = logging.DEBUG if reason == self._told else logging.WARNING
            self._told = reason
            log.log(level, "units cannot be read: %s; tried again", reason)
            if time.monotonic() - began > LONGEST_BACKOFF:
                backoff = FIRST_BACKOFF
            self._sleep(backoff)
            backoff = min(2 * backoff, LONGEST_BACKOFF)

    def _has_bus(self) -> bool:
        return bool(os.environ.get("DBUS_SYSTEM_BUS_ADDRESS")) or os.path.exists(self._bus_path)  # noqa: PTH110

    def _sleep(self, seconds: float, *files: int) -> bool:
        """Wait; True when one of the files has something, at once when the thread is to end."""
        poll = select.poll()
        for file in (self._wake_read, *files):
            poll.register(file, select.POLLIN)
        return any(file in files for file, _ in poll.poll(max(0.0, seconds) * 1000))

    def _poll(self) -> None:
        """Ask systemctl until told to end."""
        while not self._stopping.is_set():
            self._take(systemd_show.read([*self.wanted, *self._troubled], self._wall(), time.monotonic()))
            self._sleep(POLL_SECONDS)
            if self._has_bus():
                raise SystemdError("a system bus is there now")

    def _follow_bus(self) -> None:
        """Listen until told to end."""
        from exporters.sources.systemd_bus import BusUnits  # a node without a bus does without the library

        units = BusUnits(self._bus_path, self.wanted)
        try:
            self._take(units.read(self._troubled, whole=True))
            whole_at = time.monotonic() + POLL_SECONDS
            while not self._stopping.is_set():
                # What came together with the last answers is no longer in the socket, which would not wake us for it.
                units.bus.pump()
                if not units.signalled and self._sleep(whole_at - time.monotonic(), units.bus.fileno()):
                    units.bus.pump()
                if units.signalled:
                    self._sleep(GATHER_SECONDS)
                    units.bus.pump()
                whole = time.monotonic() >= whole_at
                if self._stopping.is_set() or not (whole or units.signalled):
                    continue
                began = time.monotonic()
                now = began
                self._troubled.update((name, now) for name in units.noticed)
                units.noticed.clear()
                self._take(units.read(self._troubled, whole=whole))
                if whole:
                    whole_at = began + POLL_SECONDS
                self._sleep(began + LEAST_SECONDS - time.monotonic())
        finally:
            units.close()

    def _take(self, reading: Reading) -> None:
        before, self._latest = self._latest, reading
        if self.fault:
            log.info("units are read again")
        self.fault = self._told = ""
        self._first.set()
        self._troubled.update((unit.name, reading.at) for unit in reading.units if unit.troubled)
        young = sorted(((at, name) for name, at in self._troubled.items() if reading.at - at < TROUBLE_SECONDS))
        self._troubled = {name: at for at, name in young[-MAX_TROUBLED:]}
        if before is not None and before.state() != reading.state():
            self._changed()
