"""Where pages and streams of events come from, seen from the scraper: the ports, what goes wrong, a page as it came."""

from __future__ import annotations

import os
import ssl
import zlib
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol

_GZIP = 16 + zlib.MAX_WBITS
# Unpacked piece by piece: of a page that is too long little more than the limit is ever there.
_PIECE = 1 << 20


class ScrapeError(Exception):
    """The page could not be had; the message says why, in words for the owner."""


class NoStream(Exception):
    """The server answers and has no stream of events: an exporter of another make, or of an older version."""


class HostGone(Exception):
    """The machine itself does not answer (not: nobody listens there); the message says how."""


@dataclass(frozen=True, slots=True)
class Body:
    """A page as it came: at most the limit long, maybe compressed."""

    data: bytes
    gzip: bool


class PageSource(Protocol):
    """Where pages come from."""

    async def fetch(  # the timeout is sent to the exporter
        self,
        url: str,
        timeout: float,  # noqa: ASYNC109
        body_bytes: int,
        *,
        gzip: bool = False,
    ) -> Body:
        """The page of a URL within ``timeout`` seconds and ``body_bytes``; ``gzip``: it may come compressed. Raises
        ScrapeError."""


class EventSource(Protocol):
    """Where streams of events come from."""

    def listen(self, url: str) -> AbstractAsyncContextManager[AsyncIterator[bytes]]:
        """An open stream: its bytes as they come, until it ends. Raises NoStream, ScrapeError (also while reading)."""

    async def knock(self, url: str, timeout: float) -> None:  # noqa: ASYNC109
        """Whether the machine of a URL is there: a connection, nothing else. Raises HostGone, ScrapeError."""


def too_large(limit: int) -> ScrapeError:
    return ScrapeError(f"the page is larger than {limit} bytes (limits.body_bytes)")


def refusal(status: int, reason: str, location: str, encoding: str) -> str:
    """Why an answer is no page, from its head alone; empty when it may be one. ``location`` and ``encoding``: what its
    head says, empty when nothing."""
    if 300 <= status < 400:
        where = (location or "nowhere")[:200]
        return f"server answered with a redirect to {where}: not followed, put that path in the inventory"
    if status != 200:
        return f"server returned HTTP status {status} {reason}".rstrip()
    if encoding.lower() not in ("identity", "gzip", ""):
        return f"server sent Content-Encoding {encoding.lower()[:40]}, which was not asked for"
    return ""


def reason(error: Exception) -> str:
    """Connection refused (the host is there) or no route to it (it is not): the owner does different things then.
    asyncio puts the address in the place of those words."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted: {error.verify_message}"
    if isinstance(error, ssl.SSLError):  # its numbers are not the system's
        return f"TLS failed: {error.reason or error}"
    if not isinstance(error, OSError):
        return str(error)
    if error.errno is not None and error.errno > 0:
        return os.strerror(error.errno)
    return error.strerror or str(error)


def inflate(data: bytes, limit: int) -> bytes:
    """Unpack a gzip body into at most ``limit`` bytes. Raises ScrapeError; never holds more than the limit."""
    unpacker = zlib.decompressobj(_GZIP)
    pieces: list[bytes] = []
    size = 0
    try:
        while piece := unpacker.decompress(data, min(limit + 1, _PIECE)):
            size += len(piece)
            if size > limit:
                raise too_large(limit)
            pieces.append(piece)
            data = unpacker.unconsumed_tail
    except zlib.error as error:
        raise ScrapeError(f"the compressed page is damaged: {error}") from error
    if not unpacker.eof:
        raise ScrapeError("the compressed page is cut off")
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)
