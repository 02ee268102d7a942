"""The kinds of text the schema knows beyond text and number (``Meta(extra={"kind": ...})``): text in, value out."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from typing import Any

from config.units import parse_duration, parse_size

_LONGEST_SHOWN = 60


def show(value: Any) -> str:
    """A value as it reads in a message, shortened. Of anything with ``://`` only the scheme: URLs hold passwords."""
    if value is None:
        return "nothing"
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list):
        return "a list"
    if isinstance(value, bool):
        return str(value).lower()
    text = hide_url(str(value))
    if len(text) > _LONGEST_SHOWN:
        text = f"{text[:_LONGEST_SHOWN]}…"
    return f'"{text}"' if isinstance(value, str) else text


def hide_url(text: str) -> str:
    """The text without what follows ``://``."""
    scheme, found, _ = text.partition("://")
    return f"{scheme}://…" if found else text


def _duration(value: Any) -> float:
    if isinstance(value, str):
        return parse_duration(value)
    if value == 0 and not isinstance(value, bool):
        return 0.0
    raise ValueError(f"expected a duration with its unit, such as 5s, 1m30s or 30d, got {show(value)}")


def _size(value: Any) -> int:
    if isinstance(value, str):
        if size := parse_size(value):
            return size
        raise ValueError(f"expected a size above zero, got {show(value)}")
    raise ValueError(f"expected a size with its unit, such as 512MiB or 1TB, got {show(value)}")


def _address(value: Any) -> str:
    try:
        return str(ipaddress.ip_address(value if isinstance(value, str) else ""))
    except ValueError:
        raise ValueError(f"expected an IP address such as 192.168.1.10, got {show(value)}") from None


def _network(value: Any) -> str:
    text = value if isinstance(value, str) else ""
    try:
        return str(ipaddress.ip_network(text))
    except ValueError:
        pass
    try:
        meant = f"; did you mean {ipaddress.ip_network(text, strict=False)}?"
    except ValueError:
        meant = ""
    raise ValueError(f"expected a network such as 192.168.1.0/24, got {show(value)}{meant}")


def _name(value: Any) -> str:
    if isinstance(value, str) and re.fullmatch(r"[A-Za-z][A-Za-z0-9_-]{0,62}", value):
        return value
    raise ValueError(f"expected a name (a letter, then letters, digits, - or _; at most 63), got {show(value)}")


def _container(value: Any) -> str:
    if isinstance(value, str) and re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}", value):
        return value
    raise ValueError(f"expected a container's name as docker ps shows it (no slash, no image), got {show(value)}")


def _unit(value: Any) -> str:
    # systemd.unit(5); a template without an instance is no unit that could run
    if (
        isinstance(value, str)
        and re.fullmatch(
            r"(?=.{1,240}$)[A-Za-z0-9:_.\\-]+(?:@[A-Za-z0-9:_.\\-]*[A-Za-z0-9_][A-Za-z0-9:_.\\-]*)?", value
        )
        and "@." not in value
    ):
        return value
    raise ValueError(f"expected a systemd unit as systemctl shows it, such as nginx.service, got {show(value)}")


def _secret(value: Any) -> str:
    if isinstance(value, str):
        return value
    raise ValueError("expected text in quotes (what is there is not shown, it may be secret)")


# Each raises ValueError with the reason; the second is the value that stands in when there is none.
KINDS: dict[str, tuple[Callable[[Any], Any], Any]] = {
    "duration": (_duration, 0.0),
    "size": (_size, 0),
    "address": (_address, ""),
    "network": (_network, ""),
    "name": (_name, ""),
    "container": (_container, ""),
    "unit": (_unit, ""),
    "secret": (_secret, ""),
}
