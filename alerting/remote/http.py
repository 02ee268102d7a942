"""Requests to the other store: one whole answer within a time and a size, on connections that are kept. Blocks.

Proxies of the environment are not used, redirects are not followed, cookies are not kept.
"""

from __future__ import annotations

import os
import re
import socket
import ssl
import threading
import time
import zlib
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from urllib.parse import urlsplit

from alerting.storage.ports import StorageError
from config.remote import Endpoint

KEPT_CONNECTIONS = 4
_READ = 1 << 16
_GZIP = 16 + zlib.MAX_WBITS
_WORDS = 300
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]+")


class RemoteFailed(StorageError):
    """No answer came: the other store cannot be reached, took too long, or broke off."""


class TooLarge(StorageError):
    """The answer has more bytes than were asked for."""


@dataclass(frozen=True, slots=True)
class Answer:
    """``retry_after``: what the server asks to wait, in seconds, where it says so."""

    status: int
    body: bytes
    retry_after: float | None = None


class Http:
    """Requests to one endpoint. Any thread may call; each request takes a connection of its own."""

    def __init__(self, endpoint: Endpoint, version: str) -> None:
        parts = urlsplit(endpoint.url)
        self._host, self._port = parts.hostname or "", parts.port
        self._base = parts.path
        self.name = f"{parts.scheme}://{parts.netloc}"
        """Who is asked, as it may be told."""
        self._context = _context(endpoint) if parts.scheme == "https" else None
        self._endpoint = endpoint
        self._headers = {"User-Agent": f"Tierwatch/{version}", "Accept-Encoding": "gzip"}
        self._lock = threading.Lock()
        self._idle: list[HTTPConnection] = []
        self._busy: set[HTTPConnection] = set()
        self._closed = False

    def ask(
        self,
        path: str,
        body: bytes | None,
        headers: Mapping[str, str],
        *,
        deadline: float | None = None,
        most_bytes: int,
        harmless: bool = True,
    ) -> Answer:
        """The answer to a POST (a GET without ``body``) at ``path`` below the endpoint, whatever its status.

        It takes no longer than the endpoint's timeout, nor past ``deadline`` (a reading of time.monotonic()).
        ``harmless``: the server may get it twice. Raises RemoteFailed, and TooLarge for an answer of more than
        ``most_bytes``, unpacked.
        """
        end = time.monotonic() + self._endpoint.timeout
        end = end if deadline is None else min(end, deadline)
        secrets = {name: value.reveal() for name, value in self._endpoint.headers}
        sent = {**self._headers, **secrets, **headers}
        connection, kept = self._take()
        try:
            try:
                answer, again = self._ask(connection, path, body, sent, end, most_bytes)
            except (ConnectionError, HTTPException):
                if not (kept and harmless):
                    raise
                # A kept connection may have been closed while nobody looked.
                self._drop(connection)
                connection = self._new()
                answer, again = self._ask(connection, path, body, sent, end, most_bytes)
        except TooLarge:
            self._drop(connection)
            raise
        except (OSError, HTTPException, zlib.error, ValueError) as error:
            self._drop(connection)
            raise RemoteFailed(f"{self.name}: {_reason(error, end)}") from error
        except BaseException:
            self._drop(connection)
            raise
        self._put_back(connection, again)
        return answer

    def close(self) -> None:
        """Let go of every connection; requests under way fail at once, later ones too."""
        with self._lock:
            self._closed = True
            connections = [*self._idle, *self._busy]
            self._idle = []
        for connection in connections:
            sock = connection.sock  # looked at once: whoever uses it may be done with it meanwhile
            if sock is not None:
                with suppress(OSError):  # gone already
                    sock.shutdown(socket.SHUT_RDWR)
            if connection not in self._busy:
                connection.close()

    def _ask(  # noqa: PLR0917
        self,
        connection: HTTPConnection,
        path: str,
        body: bytes | None,
        headers: Mapping[str, str],
        end: float,
        most: int,
    ) -> tuple[Answer, bool]:
        """The answer, and whether the connection may be used again."""
        connection.timeout = _left(end)
        if connection.sock is None:
            connection.connect()
            self._check_open()  # ``close`` does not see one that is being made
        else:
            connection.sock.settimeout(_left(end))
        connection.request("GET" if body is None else "POST", self._base + path, body, dict(headers))
        response = connection.getresponse()
        text = _body(connection, response, end, most)
        answer = Answer(response.status, text, _retry_after(response.headers.get("Retry-After", "")))
        return answer, not response.will_close

    def _take(self) -> tuple[HTTPConnection, bool]:
        with self._lock:
            if self._idle:
                connection = self._idle.pop()
                self._busy.add(connection)
                return connection, True
        return self._new(), False

    def _new(self) -> HTTPConnection:
        connection: HTTPConnection
        if self._context is None:
            connection = HTTPConnection(self._host, self._port)
        else:
            connection = HTTPSConnection(self._host, self._port, context=self._context)
        with self._lock:
            self._check_open()
            self._busy.add(connection)
        return connection

    def _check_open(self) -> None:
        """Raises RemoteFailed once nobody is to be asked any more."""
        if self._closed:
            raise RemoteFailed(f"{self.name}: is not asked any more")

    def _put_back(self, connection: HTTPConnection, again: bool) -> None:
        with self._lock:
            self._busy.discard(connection)
            if again and not self._closed and len(self._idle) < KEPT_CONNECTIONS:
                self._idle.append(connection)
                return
        connection.close()

    def _drop(self, connection: HTTPConnection) -> None:
        with self._lock:
            self._busy.discard(connection)
        connection.close()


def words(body: bytes) -> str:
    """What a server says of an error, as one short line."""
    text = _CONTROL.sub(" ", body[: 4 * _WORDS].decode("utf-8", "replace")).strip()
    return text if len(text) <= _WORDS else f"{text[: _WORDS - 1]}…"


def _body(connection: HTTPConnection, response: HTTPResponse, end: float, most: int) -> bytes:
    """The whole body, unpacked."""
    packed = response.headers.get("Content-Encoding", "").lower() == "gzip"
    unpacker = zlib.decompressobj(_GZIP) if packed else None
    parts: list[bytes] = []
    size = 0
    while True:
        if connection.sock is not None:
            connection.sock.settimeout(_left(end))
        piece = response.read1(_READ)
        if not piece:
            break
        if unpacker is not None:
            piece = unpacker.decompress(piece, most - size + 1)
        size += len(piece)
        if size > most:
            raise TooLarge(f"the answer has more than {most >> 20} MiB")
        parts.append(piece)
    if response.length or (unpacker is not None and not unpacker.eof and size):
        raise ValueError("the answer is cut off")
    response.close()  # read1 leaves it open, and the connection unusable
    return b"".join(parts)


def _left(end: float) -> float:
    left = end - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left


def _reason(error: Exception, end: float) -> str:
    if isinstance(error, TimeoutError) or time.monotonic() >= end:
        return "no complete answer in time"
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted: {error.verify_message} (storage.remote.ca_file)"
    if isinstance(error, ssl.SSLError):
        return f"no encrypted connection: {error.reason}"
    if isinstance(error, socket.gaierror):
        return "its name cannot be resolved"
    if isinstance(error, OSError) and error.errno is not None and error.errno > 0:
        return f"{os.strerror(error.errno)}"
    if isinstance(error, ValueError | zlib.error):
        return f"the answer cannot be read: {words(str(error).encode())}"
    if isinstance(error, ConnectionError):
        return "the connection was closed without an answer"
    return f"the answer is not HTTP: {type(error).__name__}"


def _retry_after(text: str) -> float | None:
    """Seconds; the form with a date is not used by these servers."""
    return float(text) if text.isdecimal() and len(text) < 7 else None


def _context(endpoint: Endpoint) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=None if endpoint.ca_file is None else str(endpoint.ca_file))
    except (OSError, ValueError) as error:
        raise StorageError(f"{endpoint.ca_file}: cannot be used as certificates: {error}") from error
