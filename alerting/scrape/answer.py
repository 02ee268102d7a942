"""One answer to a GET, read from bytes as they come: HTTP/1.1 and 1.0 (RFC 9112), as far as a page needs it.

Every part has a bound. Lines may end without CR, as small devices write them (RFC 9112, 2.2). What is not understood is
an error: a page is taken whole or not at all.
"""

from __future__ import annotations

import re

from alerting.scrape.source import Body, ScrapeError, refusal, too_large

MAX_HEAD_BYTES = 16 * 1024
# Answers that only say that the answer will come (RFC 9110, 15.2).
MAX_INTERIM = 8
MAX_CHUNKS = 200_000
MAX_CHUNK_LINE = 1024

_BEGINNING = b"HTTP/1."
_HEAD_END = re.compile(rb"\r?\n\r?\n")
_STATUS = re.compile(r"HTTP/1\.([01]) ([1-9]\d\d)(?: (.*))?", re.ASCII)
_SIZE = re.compile(rb"([0-9a-fA-F]{1,16})[ \t]*(?:;.*)?", re.DOTALL)
_DIGITS = re.compile(r"\d{1,18}", re.ASCII)


class Answer:
    """To be fed until it is complete. ``begun``: something came; ``reusable``: when complete, the connection may be
    asked again."""

    __slots__ = (
        "_after_chunk",
        "_chunked",
        "_chunks",
        "_gzip",
        "_in_head",
        "_interim",
        "_left",
        "_limit",
        "_parts",
        "_rest",
        "_size",
        "_trailer",
        "begun",
        "complete",
        "reusable",
    )

    def __init__(self, limit: int) -> None:
        """``limit``: bytes of the body, as it is on the wire."""
        self.begun = False
        self.complete = False
        self.reusable = False
        self._limit = limit
        self._in_head = True
        self._interim = 0
        self._rest = b""
        self._parts: list[bytes] = []
        self._size = 0
        self._gzip = False
        self._chunked = False
        self._left: int | None = None  # of the body or of a chunk; None: the body goes on until the connection ends
        self._chunks = 0
        self._after_chunk = False
        self._trailer: int | None = None  # bytes of it so far

    def feed(self, data: bytes) -> bool:
        """Take what came next; True when the answer is complete. Raises ScrapeError: no page, or not within bounds."""
        self.begun = True
        while self._in_head:
            rest = self._head(data)
            if rest is None:
                return False
            data = rest
        if self._chunked:
            self._feed_chunks(data)
        elif self._left is None:
            self._add(data)
        else:
            self._add(data[: self._left])
            left = self._left - len(data)
            self._left = max(left, 0)
            self.reusable = self.reusable and left >= 0  # what follows was not asked for
            self.complete = left <= 0
        return self.complete

    def end(self, *, broken: bool) -> None:
        """The connection ended, ``broken`` or in order. Raises ScrapeError unless the answer is complete now."""
        if self.complete:
            return
        if not self.begun:
            raise ScrapeError("the server closed the connection without an answer")
        if self._in_head:
            raise ScrapeError("the connection ended before the page began")
        if self._chunked or self._left is not None or broken:
            raise ScrapeError("the connection ended in the middle of the page")
        self.complete = True

    @property
    def missing(self) -> int:
        """Bytes that will come, as far as is known: of the body, or of its present chunk."""
        return 0 if self.complete else self._left or 0

    def body(self) -> Body:
        """The page; the answer must be complete."""
        parts = self._parts
        return Body(parts[0] if len(parts) == 1 else b"".join(parts), self._gzip)

    def _head(self, data: bytes) -> bytes | None:
        """Look for the end of the head; what follows it, None when it has not come yet."""
        seen = len(self._rest)
        if seen:
            data = self._rest + data
        if not data.startswith(_BEGINNING[: len(data)]):
            raise _not_http(f"it begins with {data[:40]!r}")
        found = _HEAD_END.search(data, max(seen - 3, 0), MAX_HEAD_BYTES)
        if found is None:
            if len(data) >= MAX_HEAD_BYTES:
                raise _not_http(f"its head is longer than {MAX_HEAD_BYTES} bytes")
            self._rest = data
            return None
        self._rest = b""
        self._read_head(data[: found.start()].decode("latin-1"))
        return data[found.end() :]

    def _read_head(self, head: str) -> None:
        first, *lines = head.split("\n")
        found = _STATUS.fullmatch(first.removesuffix("\r"))
        if found is None:
            raise _not_http(f"it begins with {first[:40]!r}")
        minor, status, reason = found.groups(default="")
        if status[0] == "1" and status != "101":
            self._interim += 1
            if self._interim > MAX_INTERIM:
                raise _not_http("it never comes to the point")
            return
        fields = _fields(lines)
        encoding = fields.get("content-encoding", "")
        if refused := refusal(int(status), reason.strip(), fields.get("location", ""), encoding):
            raise ScrapeError(refused)
        self._in_head = False
        self._gzip = encoding.lower() == "gzip"
        wishes = {wish.strip() for wish in fields.get("connection", "").lower().split(",")}
        self.reusable = "close" not in wishes and (minor == "1" or "keep-alive" in wishes)
        self._read_framing(fields)

    def _read_framing(self, fields: dict[str, str]) -> None:
        """How long the body is (RFC 9112, 6.3)."""
        coding, length = fields.get("transfer-encoding"), fields.get("content-length")
        if coding is not None:
            if coding.lower() != "chunked":
                raise _not_http(f"Transfer-Encoding {coding[:40]!r} is not understood")
            self._chunked, self._left = True, 0
            self.reusable = self.reusable and length is None
            return
        if length is None:
            self.reusable = False
            return
        # The same length may have been said twice.
        lengths = {part.strip() for part in length.split(",")}
        (only,) = lengths if len(lengths) == 1 else ("",)
        if not _DIGITS.fullmatch(only):
            raise _not_http(f"Content-Length {length[:40]!r} is no number")
        self._left = int(only)
        if self._left > self._limit:
            raise too_large(self._limit)

    def _add(self, piece: bytes) -> None:
        self._size += len(piece)
        if self._size > self._limit:
            raise too_large(self._limit)
        if piece:
            self._parts.append(piece)

    def _feed_chunks(self, data: bytes) -> None:
        """RFC 9112, 7.1."""
        if self._rest:
            data = self._rest + data
            self._rest = b""
        at, left = 0, self._left or 0
        while True:
            if left:
                piece = data[at : at + left]
                self._add(piece)
                at += len(piece)
                left -= len(piece)
                if left:
                    break
                self._after_chunk = True
            end = data.find(b"\n", at)
            if end < 0 or end - at > MAX_CHUNK_LINE:
                if len(data) - at > MAX_CHUNK_LINE:
                    raise _not_http("a line between its chunks has no end")
                self._rest = data[at:]
                break
            line = data[at:end].removesuffix(b"\r")
            at = end + 1
            if self._trailer is not None:
                if not line:
                    self.complete = True
                    self.reusable = self.reusable and at == len(data)
                    break
                self._trailer += len(line)
                if self._trailer > MAX_HEAD_BYTES:
                    raise _not_http(f"what follows its chunks is longer than {MAX_HEAD_BYTES} bytes")
            elif self._after_chunk:
                if line:
                    raise _not_http("a chunk is longer than it says")
                self._after_chunk = False
            else:
                left = self._chunk_size(line)
        self._left = left

    def _chunk_size(self, line: bytes) -> int:
        found = _SIZE.fullmatch(line)
        if found is None:
            raise _not_http(f"expected the size of a chunk, got {line[:40]!r}")
        size = int(found[1], 16)
        if self._size + size > self._limit:
            raise too_large(self._limit)
        self._chunks += 1
        if self._chunks > MAX_CHUNKS:
            raise _not_http(f"more than {MAX_CHUNKS} chunks")
        if size == 0:
            self._trailer = 0
        return size


def _fields(lines: list[str]) -> dict[str, str]:
    """The fields of a head, names in lower case; what was said twice is joined by commas."""
    fields: dict[str, str] = {}
    name = ""
    for line in lines:
        if line[:1] in (" ", "\t") and name:
            fields[name] += " " + line.strip(" \t\r")  # folded, as it was once allowed
            continue
        name, colon, value = line.partition(":")
        if not colon or not name or name != name.strip():
            raise _not_http(f"expected a header field, got {line[:40]!r}")
        name, value = name.lower(), value.strip(" \t\r")
        fields[name] = f"{fields[name]}, {value}" if name in fields else value
    return fields


def _not_http(why: str) -> ScrapeError:
    return ScrapeError(f"the answer is not HTTP: {why}")
