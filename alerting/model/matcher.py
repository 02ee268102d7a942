"""Label matchers, shared by selectors, routing and inhibition. Regular expressions are fully anchored."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from alerting.model.regex import Anchored, RegexError, compile_anchored

Op = Literal["=", "!=", "=~", "!~"]


@dataclass(frozen=True, slots=True)
class Matcher:
    """One condition on one label. A missing label matches as the empty string.

    Raises ValueError at construction when a regular expression does not compile.
    """

    name: str
    op: Op
    value: str
    _regex: Anchored | None = field(init=False, repr=False, compare=False, default=None)

    def __post_init__(self) -> None:
        if self.op in ("=~", "!~"):
            try:
                compiled = compile_anchored(self.value)
            except RegexError as error:
                raise ValueError(str(error)) from error
            object.__setattr__(self, "_regex", compiled)

    def matches(self, value: str) -> bool:
        if self._regex is None:
            return (value == self.value) is (self.op == "=")
        return (self._regex.fullmatch(value) is not None) is (self.op == "=~")

    def __str__(self) -> str:
        return f'{self.name}{self.op}"{self.value}"'


def all_match(matchers: Iterable[Matcher], labels: Mapping[str, str]) -> bool:
    """True when every matcher accepts the label set."""
    return all(matcher.matches(labels.get(matcher.name, "")) for matcher in matchers)
