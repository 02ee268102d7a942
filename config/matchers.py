"""Label matchers as text: ``severity="critical"``, ``node=~"AGX.*"``, ``tier!=2``. Alertmanager's notation."""

from __future__ import annotations

import re
from typing import Literal, NamedTuple, cast

_MATCHER = re.compile(r'\s*([a-zA-Z_][a-zA-Z0-9_]*)\s*(=~|!~|!=|=)\s*(?:"((?:[^"\\]|\\.)*)"|([^"{}!=~,\s]*))\s*')
_ESCAPES = {"n": "\n", '"': '"', "\\": "\\"}


class MatcherText(NamedTuple):
    """A matcher's parts, checked: a regular expression compiles."""

    name: str
    op: Literal["=", "!=", "=~", "!~"]
    value: str


def parse_matcher(text: str) -> MatcherText:
    """Parse one matcher. Raises ValueError saying what was expected."""
    match = _MATCHER.fullmatch(text)
    if match is None:
        raise ValueError(f'expected a matcher such as severity="critical" or node=~"AGX.*", got "{text}"')
    name, op, quoted, bare = match.groups()
    value = bare if quoted is None else re.sub(r"\\(.)", lambda m: _ESCAPES.get(m.group(1), m.group(0)), quoted)
    if op in ("=~", "!~"):
        try:
            re.compile(value)
        except re.error as error:
            raise ValueError(f'"{value}" is not a regular expression: {error}') from error
    return MatcherText(name, cast(Literal["=", "!=", "=~", "!~"], op), value)
