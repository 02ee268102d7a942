"""What can be said of an Apprise URL without Apprise."""

from __future__ import annotations

import re
from urllib.parse import parse_qsl

_SCHEME = re.compile(r"\s*([A-Za-z][A-Za-z0-9+._-]{0,31}):/")


def scheme(url: str) -> str:
    """The part before ``://`` in lower case; empty when there is none. No secret."""
    match = _SCHEME.match(url)
    return match.group(1).lower() if match else ""


def fault(url: str) -> str | None:
    """What is wrong with a URL on the face of it, without quoting it; None when nothing is."""
    if not scheme(url):
        return "not an Apprise URL: expected something like ntfys://ntfy.sh/topic"
    _, _, query = url.partition("?")
    if any(name.strip().lower() == "retry" for name, _ in parse_qsl(query, keep_blank_values=True)):
        return "retry= in the URL: Tierwatch tries again by itself; take it out"
    return None
