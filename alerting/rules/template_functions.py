"""The functions of Prometheus' alert templates, with the outputs of Prometheus' own.

Documented at https://prometheus.io/docs/prometheus/latest/configuration/template_reference/ and
https://pkg.go.dev/text/template#hdr-Functions. ``and`` and ``or`` stop early, so the evaluator has them.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote_plus

from alerting.model.linear import is_harmless, parsed
from alerting.model.regex import RegexError, translate
from alerting.rules.gofmt import float_text, plain, sprint, sprintf, type_name
from config.units import parse_duration

_LARGE = ("k", "M", "G", "T", "P", "E", "Z", "Y")
_LARGE_1024 = ("ki", "Mi", "Gi", "Ti", "Pi", "Ei", "Zi", "Yi")
_SMALL = ("m", "u", "n", "p", "f", "a", "z", "y")
_MAX_PATTERN = 1000  # characters of a regular expression


class CallError(Exception):
    """A function cannot work with what it was given; the message says why."""


@dataclass(frozen=True, slots=True)
class TemplateSample:
    """One element of a query's result."""

    labels: Mapping[str, str]
    value: float


def _number(value: object) -> float:
    if isinstance(value, bool):
        raise CallError("can't convert bool to float")
    if isinstance(value, int | float):
        return float(value)
    if isinstance(value, str):
        try:
            return float(value.strip() if value == value.strip() else "x")
        except ValueError:
            raise CallError(f'strconv.ParseFloat: parsing "{value}": invalid syntax') from None
    raise CallError(f"can't convert {type_name(value)} to float")


def _short(value: float) -> str:
    return float_text(value, "g", 4)


def _finite(value: float) -> bool:
    return not (math.isnan(value) or math.isinf(value))


def humanize(given: object) -> str:
    """1234567 -> ``1.235M``."""
    value = _number(given)
    if value == 0 or not _finite(value):
        return _short(value)
    if abs(value) >= 1:
        return _scaled(value, 1000, _LARGE)
    return _shrunk(value)


def humanize1024(given: object) -> str:
    """1048576 -> ``1Mi``."""
    value = _number(given)
    if abs(value) <= 1 or not _finite(value):
        return _short(value)
    return _scaled(value, 1024, _LARGE_1024)


def _scaled(value: float, base: int, units: Sequence[str]) -> str:
    prefix = ""
    for unit in units:
        if abs(value) < base:
            break
        prefix = unit
        value /= base
    return _short(value) + prefix


def _shrunk(value: float) -> str:
    prefix = ""
    for unit in _SMALL:
        if abs(value) >= 1:
            break
        prefix = unit
        value *= 1000
    return _short(value) + prefix


def humanize_duration(given: object) -> str:
    """Seconds as ``1d 2h 3m 4s``."""
    value = _number(given)
    if not _finite(value):
        return _short(value)
    if value == 0:
        return "0s"
    if abs(value) < 1:
        return f"{_shrunk(value)}s"
    sign = "-" if value < 0 else ""
    value = abs(value)
    minutes, seconds = divmod(int(value), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    if days:
        return f"{sign}{days}d {hours}h {minutes}m {seconds}s"
    if hours:
        return f"{sign}{hours}h {minutes}m {seconds}s"
    if minutes:
        return f"{sign}{minutes}m {seconds}s"
    return f"{sign}{_short(value)}s"


def humanize_percentage(given: object) -> str:
    """A ratio as a percentage: 0.1234 -> ``12.34%``."""
    return f"{_short(_number(given) * 100)}%"


def humanize_timestamp(given: object) -> str:
    """Seconds since the epoch as Go prints a time in UTC, to the millisecond."""
    value = _number(given)
    if not _finite(value):
        return _short(value)
    nanoseconds = value * 1e9
    if not -(2.0**63) <= nanoseconds < 2.0**63:
        raise CallError(f"{plain(value)} cannot be represented as a nanoseconds timestamp since it overflows int64")
    milliseconds = math.trunc(int(nanoseconds) / 1_000_000) if nanoseconds < 0 else int(nanoseconds) // 1_000_000
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=milliseconds)
    fraction = f".{moment.microsecond // 1000:03d}".rstrip("0").rstrip(".")
    return f"{moment:%Y-%m-%d %H:%M:%S}{fraction} +0000 UTC"


def title(text: str) -> str:
    """The first letter of each word in upper case, the rest as it is."""
    return re.sub(r"(?<!\w)\w", lambda match: match.group().upper(), text)


def _pattern(pattern: str) -> re.Pattern[str]:
    if len(pattern) > _MAX_PATTERN:
        raise CallError("the regular expression is too long")
    try:
        text = translate(pattern)
        if not is_harmless(parsed(text, 0)):
            raise CallError("a repetition inside another may take for ever; write the regular expression without")
        return re.compile(text)
    except (RegexError, re.error, OverflowError, RecursionError) as error:
        raise CallError(f"error parsing regexp: {error}") from error


def re_replace_all(pattern: str, replacement: str, text: str) -> str:
    """Every match replaced; ``$1`` and ``${name}`` in the replacement are groups, unknown ones are empty."""

    def expand(match: re.Match[str]) -> str:
        def group(reference: re.Match[str]) -> str:
            if reference.group() == "$$":
                return "$"
            name = reference["braced"] or reference["bare"]
            try:
                return match[int(name) if name.isdigit() else name] or ""
            except (IndexError, KeyError):
                return ""

        return re.sub(r"\$\$|\$\{(?P<braced>\w+)\}|\$(?P<bare>\w+)", group, replacement)

    return _pattern(pattern).sub(expand, text)


def match(pattern: str, text: str) -> bool:
    return _pattern(pattern).search(text) is not None


def first(vector: Sequence[TemplateSample]) -> TemplateSample:
    if not vector:
        raise CallError("first() called on vector with no elements")
    return vector[0]


def strip_port(address: str) -> str:
    """``pi41:9191`` -> ``pi41``; text that is no host and port stays as it is."""
    if found := re.fullmatch(r"\[([^\]]*)\]:[^:]*|([^:\[\]]*):[^:]*", address):
        return found[1] if found[1] is not None else found[2]
    return address


def strip_domain(address: str) -> str:
    """``pi41.home.arpa:9191`` -> ``pi41:9191``; an IP address stays as it is."""
    host, port = address, ""
    if found := re.fullmatch(r"([^:\[\]]*):([^:]*)", address):
        host, port = found[1], f":{found[2]}"
    if ":" in host or re.fullmatch(r"\d+(?:\.\d+){3}", host):
        return address
    return host.partition(".")[0] + port


def _parse_duration(text: str) -> float:
    try:
        return parse_duration(text)
    except ValueError as error:
        raise CallError(f'not a valid duration string: "{text}"') from error


def length(value: object) -> int:
    if isinstance(value, str):
        return len(value.encode())
    if isinstance(value, Mapping | Sequence):
        return len(value)
    raise CallError(f"len of type {type_name(value)}")


def index(value: Any, *keys: Any) -> Any:
    for key in keys:
        if isinstance(value, Mapping):
            if not isinstance(key, str):
                raise CallError(f"value has type {type_name(key)}; should be string")
            value = value.get(key, "")
        elif isinstance(value, Sequence) and not isinstance(value, str):
            if not isinstance(key, int) or isinstance(key, bool):
                raise CallError(f"cannot index slice/array with type {type_name(key)}")
            if not 0 <= key < len(value):
                raise CallError(f"index out of range: {key}")
            value = value[key]
        else:
            raise CallError(f"can't index item of type {type_name(value)}")
    return value


def _kind(value: object) -> type:
    kinds = (bool, int, float, str)
    for kind in kinds:
        if isinstance(value, kind):
            return kind
    raise CallError("invalid type for comparison")


def _alike(left: object, right: object) -> None:
    if _kind(left) is not _kind(right):
        raise CallError("incompatible types for comparison")


def equal(left: object, *others: object) -> bool:
    if not others:
        raise CallError("missing argument for comparison")
    for other in others:
        if left is None or other is None:
            if left is other:
                return True
            continue
        _alike(left, other)
        if left == other:
            return True
    return False


def not_equal(left: object, right: object) -> bool:
    return not equal(left, right)


def less(left: Any, right: Any) -> bool:
    _alike(left, right)
    if isinstance(left, bool):
        raise CallError("invalid type for comparison")
    return bool(left.encode() < right.encode() if isinstance(left, str) else left < right)


def less_or_equal(left: object, right: object) -> bool:
    return less(left, right) or equal(left, right)


def is_true(value: object) -> bool:
    """What ``if`` and ``with`` go by: zero, empty and nil are false."""
    return value != 0 if isinstance(value, int | float) else bool(value)


@dataclass(frozen=True, slots=True)
class Function:
    """``takes``: a letter for each argument: s text, f float, v query result, e element of one, * anything;
    a trailing + repeats the last one. ``fewest``: how many must be given at least."""

    call: Callable[..., Any]
    takes: str
    fewest: int

    @property
    def counts(self) -> tuple[int, int | None]:
        return self.fewest, None if self.takes.endswith("+") else len(self.takes)


FUNCTIONS: dict[str, Function] = {
    "humanize": Function(humanize, "*", 1),
    "humanize1024": Function(humanize1024, "*", 1),
    "humanizeDuration": Function(humanize_duration, "*", 1),
    "humanizePercentage": Function(humanize_percentage, "*", 1),
    "humanizeTimestamp": Function(humanize_timestamp, "*", 1),
    "parseDuration": Function(_parse_duration, "s", 1),
    "title": Function(title, "s", 1),
    "toUpper": Function(str.upper, "s", 1),
    "toLower": Function(str.lower, "s", 1),
    "stripPort": Function(strip_port, "s", 1),
    "stripDomain": Function(strip_domain, "s", 1),
    "match": Function(match, "ss", 2),
    "reReplaceAll": Function(re_replace_all, "sss", 3),
    "args": Function(lambda *given: {f"arg{number}": item for number, item in enumerate(given)}, "*+", 0),
    "first": Function(first, "v", 1),
    "value": Function(lambda sample: sample.value, "e", 1),
    "label": Function(lambda name, sample: sample.labels.get(name, ""), "se", 2),
    "strvalue": Function(lambda sample: sample.labels.get("__value__", ""), "e", 1),
    "sortByLabel": Function(
        lambda name, vector: sorted(vector, key=lambda sample: str(sample.labels.get(name, ""))), "sv", 2
    ),
    "safeHtml": Function(lambda text: text, "s", 1),
    "print": Function(lambda *given: sprint(given), "*+", 0),
    "println": Function(lambda *given: " ".join(map(plain, given)) + "\n", "*+", 0),
    "printf": Function(lambda template, *given: sprintf(template, given), "s*+", 1),
    "urlquery": Function(lambda *given: quote_plus(sprint(given), safe=""), "*+", 0),
    "len": Function(length, "*", 1),
    "index": Function(index, "**+", 1),
    "not": Function(lambda value: not is_true(value), "*", 1),
    "eq": Function(equal, "**+", 1),
    "ne": Function(not_equal, "**", 2),
    "lt": Function(less, "**", 2),
    "le": Function(less_or_equal, "**", 2),
    "gt": Function(lambda left, right: not less_or_equal(left, right), "**", 2),
    "ge": Function(lambda left, right: not less(left, right), "**", 2),
}
