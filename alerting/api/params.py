"""Parameters of a request: from the URL and the form together, read as Prometheus reads them."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final
from urllib.parse import parse_qsl

from aiohttp import web
from multidict import MultiDict

from alerting.api.answer import ApiError, invalid_parameter
from alerting.model.matcher import Matcher
from alerting.promql import nodes
from alerting.promql.errors import ExecutionError, QueryError
from alerting.promql.parse import parse

# Times beyond are cut: Grafana probes with milliseconds where seconds are meant (year 58864), Prometheus' own
# minTime and maxTime are 292 million years away, and an int64 of milliseconds must survive a subtraction.
MIN_MS: Final = -(1 << 61)
MAX_MS: Final = 1 << 61
MAX_SECONDS: Final = (1 << 63) / 1e9
# Selectors in one request: each is looked up on its own.
MOST_SELECTORS: Final = 500

_FORM = "application/x-www-form-urlencoded"
_PARTS = "multipart/form-data"
_MOST_FIELDS = 2000
_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_INFINITY = re.compile(r"[+-]?inf(?:inity)?", re.IGNORECASE)
_RFC3339 = re.compile(
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})T([0-9]{2}):([0-9]{2}):([0-9]{2})([.,][0-9]+)?(?:Z|([+-])([0-9]{2}):([0-9]{2}))"
)
_DURATION = re.compile(
    r"(?:([0-9]+)y)?(?:([0-9]+)w)?(?:([0-9]+)d)?(?:([0-9]+)h)?(?:([0-9]+)m)?(?:([0-9]+)s)?(?:([0-9]+)ms)?"
)
_UNITS_S = (365 * 86400.0, 7 * 86400.0, 86400.0, 3600.0, 60.0, 1.0, 0.001)
_EXTREMES = {"-292273086-05-16T16:47:06Z": MIN_MS, "292277025-08-18T07:12:54.999999999Z": MAX_MS}


class Params:
    """The parameters of one request. A name in the form goes before the same name in the URL; lists hold both."""

    def __init__(self, values: MultiDict[str]) -> None:
        self._values = values

    @classmethod
    async def of(cls, request: web.Request) -> Params:
        """Read URL and form. Raises ApiError for a form that cannot be read."""
        values: MultiDict[str] = MultiDict()
        try:
            if request.method == "POST":
                values.extend(await _form(request))
            values.extend(_pairs(request.rel_url.raw_query_string))
        except (ValueError, LookupError) as error:
            raise ApiError("bad_data", f"error parsing form values: {error}") from error
        return cls(values)

    def text(self, name: str, default: str = "") -> str:
        return self._values.get(name, default)

    def all(self, name: str) -> list[str]:
        return self._values.getall(name, [])

    def time(self, name: str, default: int | None = None) -> int:
        """Milliseconds since the epoch. Without a default the parameter must be there. Raises ApiError."""
        text = self.text(name)
        if not text and default is not None:
            return default
        try:
            return parse_time(text)
        except ValueError as error:
            prefix = "" if default is None else f"invalid time value for '{name}': "
            raise invalid_parameter(name, f"{prefix}{error}") from error

    def seconds(self, name: str) -> float:
        """A duration in seconds. Raises ApiError."""
        try:
            return parse_duration(self.text(name))
        except ValueError as error:
            raise invalid_parameter(name, str(error)) from error

    def limit(self, name: str = "limit") -> int:
        """A bound on the answer; 0 for none. Raises ApiError."""
        text = self.text(name)
        if not text:
            return 0
        if not re.fullmatch(r"[+-]?[0-9]{1,18}", text):
            raise invalid_parameter(name, f'strconv.Atoi: parsing "{text[:100]}": invalid syntax')
        if int(text) < 0:
            raise invalid_parameter(name, "limit must be non-negative")
        return int(text)

    def flag(self, name: str) -> bool:
        """A boolean as Go writes them, in any case. Raises ApiError."""
        text = self.text(name).lower()
        if text in ("1", "t", "true"):
            return True
        if text in ("", "0", "f", "false"):
            return False
        raise invalid_parameter(name, f'error converting {name}: strconv.ParseBool: parsing "{text}": invalid syntax')

    def matcher_sets(self, *, named: bool = False) -> list[Sequence[Matcher]]:
        """The selectors in all ``match[]``; errors say the parameter's name when ``named``. Raises ApiError."""
        texts = self.all("match[]")
        if len(texts) > MOST_SELECTORS:
            raise ApiError("bad_data", f"{len(texts)} match[] parameters were given, at most {MOST_SELECTORS} are read")
        try:
            return [parse_selector(text) for text in texts]
        except ValueError as error:
            if named:
                raise invalid_parameter("match[]", str(error)) from error
            raise ApiError("bad_data", str(error)) from error

    def selector(self, name: str) -> Sequence[Matcher]:
        """The matchers of one selector, none where there is none. Raises ApiError."""
        try:
            return parse_selector(self.text(name)) if self.text(name) else ()
        except ValueError as error:
            raise invalid_parameter(name, str(error)) from error

    def expression(self, name: str = "query") -> nodes.Expr:
        """A query. Raises ApiError."""
        try:
            return parse(self.text(name))
        except ExecutionError as error:
            raise ApiError("execution", str(error)) from error
        except QueryError as error:
            raise invalid_parameter(name, str(error)) from error


def parse_time(text: str) -> int:
    """Float seconds since the epoch, or RFC 3339; in milliseconds. Raises ValueError with Prometheus' words."""
    if _NUMBER.fullmatch(text):
        seconds = float(text)
        return MAX_MS if seconds > MAX_MS / 1000 else MIN_MS if seconds < MIN_MS / 1000 else round(seconds * 1000)
    if text in _EXTREMES:
        return _EXTREMES[text]
    found = _RFC3339.fullmatch(text)
    if found is not None:
        try:
            moment = datetime(*(int(found[part]) for part in range(1, 7)), tzinfo=UTC)  # type: ignore[misc,arg-type]
        except ValueError:
            moment = None
        if moment is not None:
            shift = timedelta(hours=int(found[9] or 0), minutes=int(found[10] or 0)) // timedelta(milliseconds=1)
            whole = (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)
            fraction = int(float(f"0.{(found[7] or '.0')[1:]}") * 1000)
            return whole + fraction - (shift if found[8] == "+" else -shift)
    raise ValueError(f'cannot parse "{text[:100]}" to a valid timestamp')


async def _form(request: web.Request) -> Iterable[tuple[str, str]]:
    """The fields of a form. Raises ValueError for one that cannot be read."""
    if request.content_type == _FORM:
        return _pairs((await request.read()).decode("ascii", "surrogateescape"))
    if request.content_type == _PARTS:
        return [(name, value) for name, value in (await request.post()).items() if isinstance(value, str)]
    return ()


def _pairs(encoded: str) -> list[tuple[str, str]]:
    """Names and values; what is no UTF-8 would be a text that nobody wrote. Raises ValueError."""
    try:
        encoded = encoded.encode("utf-8", "surrogateescape").decode("utf-8")
        return parse_qsl(encoded, keep_blank_values=True, errors="strict", max_num_fields=_MOST_FIELDS)
    except UnicodeDecodeError as error:
        raise ValueError("invalid UTF-8") from error


def parse_duration(text: str) -> float:
    """Float seconds, or a Prometheus duration such as ``1h30m``; in seconds, 0 for less than a nanosecond. Raises
    ValueError."""
    if _NUMBER.fullmatch(text) or _INFINITY.fullmatch(text):
        seconds = float(text)
        if not abs(seconds) < MAX_SECONDS:
            raise ValueError(f'cannot parse "{text[:100]}" to a valid duration. It overflows int64')
        return seconds if abs(seconds) >= 1e-9 else 0.0
    found = _DURATION.fullmatch(text)
    if text and len(text) < 100 and found is not None:
        seconds = math.fsum(int(part) * unit for part, unit in zip(found.groups("0"), _UNITS_S, strict=True))
        if seconds < MAX_SECONDS:
            return seconds
    raise ValueError(f'cannot parse "{text[:100]}" to a valid duration')


def parse_selector(text: str) -> Sequence[Matcher]:
    """The matchers of ``up{job="node"}``. Raises ValueError when it is more than a plain selector or matches all."""
    try:
        expr = parse(text)
    except QueryError as error:
        if "at least one non-empty matcher" in str(error):
            raise ValueError("match[] must contain at least one non-empty matcher") from error
        raise
    if not isinstance(expr, nodes.VectorSelector) or expr.at is not None or expr.offset_ms:
        raise ValueError(f"expected a series selector, got {text[:100]!r}")
    return expr.matchers
