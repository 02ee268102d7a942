"""What becomes of the requests to Ollama's models, from the lines that it logs for each.

Ollama tells neither how many requests wait nor how many it refuses, and no page of it ever refuses for want of room:
only requests to a model do, with status 503 (``OLLAMA_MAX_QUEUE``). The line is that of gin, its web framework:
``[GIN] 2026/11/23 - 11:42:21 | 503 |   42.044125ms |       127.0.0.1 | POST     "/api/generate"``.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from exporters.catalog.services import OLLAMA_REQUESTS
from exporters.collector import Family, NoData
from exporters.sources.docker_engine import Engine
from exporters.sources.docker_logs import LogFollower

if TYPE_CHECKING:
    from exporters.registry import Settings

# Colours are there when the container has a terminal.
_COLOUR = re.compile(rb"\x1b\[[0-9;]{0,10}m")
_REQUEST = re.compile(
    rb"\[GIN\] [^|]{10,40}\| *([1-5][0-9][0-9]) \|[^|]{1,40}\|[^|]{1,80}\| *POST +"
    rb'"/(?:api/(?:generate|chat|embed|embeddings)|v1/(?:chat/completions|completions|embeddings|responses|messages))'
    rb'["?]'
)
# Told from the beginning, so that the first refusal is a growth.
ALWAYS = ("200", "503")
MAX_CODES = 16


def watched(settings: Settings) -> OllamaRequests:
    """The collector, with its followers begun on the running event loop; they end with the exporter."""
    services = [(one.name, one.container) for one in settings.services if one.kind == "ollama" and one.container]
    found = OllamaRequests()
    for service, container in services:
        engine = Engine(settings.docker_socket or "")
        follower = LogFollower(engine, container, found.reader(service), wall=settings.wall)
        found.add(service, follower)
        follower.start()
        settings.on_stop(follower.stop)
    return found


class OllamaRequests:
    """Counts by status; a service whose log was never read has none."""

    def __init__(self) -> None:
        self._counts: dict[str, Counter[str]] = {}
        self._followers: dict[str, LogFollower] = {}

    def reader(self, service: str) -> _Reader:
        """What takes the lines of a service's log."""
        return _Reader(self._counts.setdefault(service, Counter(dict.fromkeys(ALWAYS, 0))))

    def add(self, service: str, follower: LogFollower) -> None:
        self._followers[service] = follower

    def collect(self) -> Sequence[Family]:
        rows = [
            ((service, code), float(count))
            for service, follower in self._followers.items()
            if follower.heard
            for code, count in sorted(self._counts[service].items())
        ]
        if not rows:
            raise NoData("no log of Ollama has been read yet")
        return [Family(OLLAMA_REQUESTS, rows)]


class _Reader:
    def __init__(self, counts: Counter[str]) -> None:
        self._counts = counts

    def __call__(self, line: bytes) -> None:
        if b"[GIN]" not in line:
            return
        found = _REQUEST.search(_COLOUR.sub(b"", line))
        if found is not None:
            code = found[1].decode()
            if code in self._counts or len(self._counts) < MAX_CODES:
                self._counts[code] += 1
