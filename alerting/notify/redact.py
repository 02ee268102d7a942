"""Taking the secrets of a URL out of a text that quotes it."""

from __future__ import annotations

import re
from urllib.parse import unquote

_SPLIT = re.compile(r"[/:@?&=#,;\s]+")
_HOST = re.compile(r"(?=.{1,64}$)(?:localhost|[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*\.[A-Za-z0-9]{1,12}|\[[0-9a-fA-F:]+\])")
_ANY_URL = re.compile(r"\b([A-Za-z][A-Za-z0-9+.-]*)://\S+")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]+")
# Shorter parts (a port, "v1") are words that texts hold anyway.
_SHORTEST_SECRET = 5
_CHARACTERS = 300


def redact(text: str, url: str) -> str:
    """``text`` on one line, at most 300 characters, with every URL in it, and every part of ``url`` but its scheme and
    a plain host name, replaced by ``***``."""
    text = _ANY_URL.sub(r"\1://***", text)
    rest = url.partition("://")[2]
    host = re.split(r"[/?#]", rest, maxsplit=1)[0].rpartition("@")[2].partition(":")[0]
    parts = {part for word in _SPLIT.split(rest) for part in (word, unquote(word))}
    parts |= {unquote(rest), rest}
    if _HOST.fullmatch(host):
        parts.discard(host)
    for part in sorted(parts, key=len, reverse=True):
        if len(part) >= _SHORTEST_SECRET:
            text = text.replace(part, "***")
    text = _CONTROL.sub(" ", text).strip()
    return text if len(text) <= _CHARACTERS else f"{text[: _CHARACTERS - 1]}…"
