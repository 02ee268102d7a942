"""Tells systemd that the service is ready and alive: the sd_notify(3) protocol, a datagram to ``$NOTIFY_SOCKET``."""

from __future__ import annotations

import socket
from collections.abc import Mapping


class ServiceManager:
    """Does nothing when not started by systemd with ``Type=notify``."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        address = environment.get("NOTIFY_SOCKET", "")
        # "@" stands for the NUL byte of an abstract address.
        self._address = "\0" + address[1:] if address.startswith("@") else address
        usec = environment.get("WATCHDOG_USEC", "")
        self._watchdog = int(usec) / 1e6 if self._address and usec.isdecimal() else None

    @property
    def heartbeat(self) -> float | None:
        """Seconds between two heartbeats: half of what systemd allows; None when it wants none."""
        return self._watchdog / 2 if self._watchdog else None

    def tell(self, state: str) -> None:
        """``READY=1``, ``WATCHDOG=1``, ``STOPPING=1``. A manager that does not listen is no reason to stop serving."""
        if not self._address:
            return
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK) as sender:
            try:
                sender.sendto(state.encode(), self._address)
            except OSError:
                return
