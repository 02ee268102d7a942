"""Regular expressions on which Python's ``re`` may take for ever, matched in time linear in the text, as RE2 does.

``re`` tries one way after the other, and ``([a-z]+)*!`` has more ways than atoms on a name of fifty letters; meanwhile
it holds the interpreter's lock, so that nothing else runs: one query would end all watching. Here all ways are followed
at the same time: Pike's virtual machine, https://swtch.com/~rsc/regexp/regexp2.html. That is slower on harmless
expressions, so ``is_harmless`` tells them apart.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from re import _compiler, _constants, _parser  # type: ignore[attr-defined]
from typing import Any

# More ways than this through an expression, each repetition of a character counted as so many, are too many.
MOST_WAYS = 300_000
_WAYS_OF_A_REPETITION = 64
_MOST_INSTRUCTIONS = 20_000
_MOST_REMEMBERED = 512
_ONE_CHARACTER = frozenset({_constants.LITERAL, _constants.NOT_LITERAL, _constants.ANY, _constants.IN})
_REPEATS = frozenset({_constants.MAX_REPEAT, _constants.MIN_REPEAT})
_START = frozenset({_constants.AT_BEGINNING, _constants.AT_BEGINNING_STRING})
_BOUNDARIES = frozenset({_constants.AT_BOUNDARY, _constants.AT_NON_BOUNDARY})

# What Python's parser makes of an expression: pairs of an operation and its argument.
Parsed = Any
# Whether a place in the text (text, position) is one of some kind.
_Here = Callable[[str, int], bool]
_Saved = tuple[int, ...]


class TooLarge(ValueError):
    """The expression would need too many instructions, or is of a kind that is not known here."""


def parsed(pattern: str, flags: int) -> Parsed:
    """Raises re.error."""
    return _parser.parse(pattern, flags)


def is_harmless(tree: Parsed) -> bool:
    """Whether ``re`` can be trusted with it."""
    return _ways(tree) <= MOST_WAYS


def _ways(tree: Iterable[tuple[Any, Any]]) -> int:
    """In how many ways a sequence may be tried, at most; anything above the limit is as good as the limit."""
    ways = 1
    for operation, argument in tree:
        if operation in _REPEATS:
            ways *= _ways_of_repeat(*argument)
        elif operation is _constants.BRANCH:
            ways *= sum(_ways(branch) for branch in argument[1])
        elif operation is _constants.SUBPATTERN:
            ways *= _ways(argument[3])
        if ways > MOST_WAYS:
            return MOST_WAYS + 1
    return ways


def _ways_of_repeat(least: int, most: int, body: Parsed) -> int:
    more = min(int(most) - int(least), _WAYS_OF_A_REPETITION)
    if len(body) == 1 and body[0][0] in _ONE_CHARACTER:
        return more + 1
    once = _ways(body)
    if once == 1 and more <= 1:
        return more + 1
    times = min(int(most), _WAYS_OF_A_REPETITION)
    return int(min((once + 1) ** times, MOST_WAYS + 1))


@dataclass(frozen=True, slots=True)
class _Step:
    """One instruction: ``char`` takes a character, ``here`` looks at the place, ``save`` notes it, ``to`` goes on at
    several places, the first preferred. With none of them the text matches."""

    char: Callable[[str], bool] | None = None
    here: _Here | None = None
    save: int | None = None
    to: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Found:
    """What ``re.Match`` says of groups."""

    text: str
    saved: _Saved
    names: dict[str, int]

    def group(self, reference: int | str, /) -> str | None:
        """The text of a group, None when it took no part. Raises IndexError for a group that is not there."""
        if isinstance(reference, str):
            if reference not in self.names:
                raise IndexError("no such group")
            reference = self.names[reference]
        if not 0 <= reference < len(self.saved) // 2:
            raise IndexError("no such group")
        start, end = self.saved[2 * reference : 2 * reference + 2]
        return None if start < 0 or end < 0 else self.text[start:end]


class LinearPattern:
    """An expression as ``re.compile`` with ``flags`` would understand it."""

    def __init__(self, tree: Parsed, flags: int) -> None:
        """Raises TooLarge."""
        self._steps: list[_Step] = []
        self._state = tree.state
        self._names: dict[str, int] = dict(tree.state.groupdict)
        self._sequence(tree, flags)
        self._steps.append(_Step())

    def fullmatch(self, text: str) -> Found | None:
        nothing = (-1,) * (2 * self._state.groups)
        threads = self._follow([(0, nothing)], text, 0)
        for position, character in enumerate(text):
            ahead = [
                (at + 1, saved)
                for at, saved in threads
                if (takes := self._steps[at].char) is not None and takes(character)
            ]
            if not ahead:
                return None
            threads = self._follow(ahead, text, position + 1)
        for at, saved in threads:
            if self._steps[at].char is None:
                return Found(text, (0, len(text), *saved[2:]), self._names)
        return None

    def _follow(self, starts: list[tuple[int, _Saved]], text: str, position: int) -> list[tuple[int, _Saved]]:
        """The instructions that take a character (or the end) and can be reached from here, the preferred first."""
        seen: set[int] = set()
        found: list[tuple[int, _Saved]] = []
        stack = starts[::-1]
        while stack:
            at, saved = stack.pop()
            if at in seen:
                continue
            seen.add(at)
            step = self._steps[at]
            if step.to:
                stack.extend((place, saved) for place in reversed(step.to))
            elif step.save is not None:
                stack.append((at + 1, (*saved[: step.save], position, *saved[step.save + 1 :])))
            elif step.here is not None:
                if step.here(text, position):
                    stack.append((at + 1, saved))
            else:
                found.append((at, saved))
        return found

    def _add(self, step: _Step) -> int:
        if len(self._steps) >= _MOST_INSTRUCTIONS:
            raise TooLarge("it repeats too much")
        self._steps.append(step)
        return len(self._steps) - 1

    def _sequence(self, tree: Iterable[tuple[Any, Any]], flags: int) -> None:
        for operation, argument in tree:
            if operation in _ONE_CHARACTER:
                self._add(_Step(char=self._taker((operation, argument), flags)))
            elif operation in _REPEATS:
                least, most, body = argument
                self._repeat(least, most, body, flags, greedy=operation is _constants.MAX_REPEAT)
            elif operation is _constants.BRANCH:
                self._branch(argument[1], flags)
            elif operation is _constants.SUBPATTERN:
                number, on, off, inside = argument
                self._group(number, on, off, inside, flags)
            elif operation is _constants.AT:
                self._add(_Step(here=_place(argument)))
            else:
                raise TooLarge(f"{operation} is not supported beside nested repetitions")

    def _group(self, number: int | None, on: int, off: int, tree: Parsed, flags: int) -> None:
        if number is not None:
            self._add(_Step(save=2 * number))
        self._sequence(tree, (flags | on) & ~off)
        if number is not None:
            self._add(_Step(save=2 * number + 1))

    def _branch(self, branches: list[Parsed], flags: int) -> None:
        fork = self._add(_Step())
        starts, ends = [], []
        for branch in branches:
            starts.append(len(self._steps))
            self._sequence(branch, flags)
            ends.append(self._add(_Step()))
        self._steps[fork] = _Step(to=tuple(starts))
        for end in ends:
            self._steps[end] = _Step(to=(len(self._steps),))

    def _repeat(self, least: int, most: int, body: Parsed, flags: int, *, greedy: bool) -> None:
        for _ in range(least):
            self._sequence(body, flags)
        if most is _constants.MAXREPEAT:
            fork = self._add(_Step())
            self._sequence(body, flags)
            self._add(_Step(to=(fork,)))
            forks = [fork]
        else:
            forks = []
            for _ in range(most - least):
                forks.append(self._add(_Step()))
                self._sequence(body, flags)
        behind = len(self._steps)
        for fork in forks:
            self._steps[fork] = _Step(to=(fork + 1, behind) if greedy else (behind, fork + 1))

    def _taker(self, item: tuple[Any, Any], flags: int) -> Callable[[str], bool]:
        """Whether a character is one of those meant: Python's own answer, remembered."""
        pattern: re.Pattern[str] = _compiler.compile(_parser.SubPattern(self._state, [item]), flags)
        known: dict[str, bool] = {}

        def takes(character: str) -> bool:
            answer = known.get(character)
            if answer is None:
                if len(known) >= _MOST_REMEMBERED:
                    known.clear()
                answer = known[character] = pattern.match(character) is not None
            return answer

        return takes


def _place(kind: object) -> _Here:
    if kind in _START:
        return lambda _, position: position == 0
    if kind is _constants.AT_END_STRING:
        return lambda text, position: position == len(text)
    if kind in _BOUNDARIES:
        wanted = kind is _constants.AT_BOUNDARY
        return lambda text, position: (_word(text, position - 1) is not _word(text, position)) is wanted
    raise TooLarge(f"{kind} is not supported beside nested repetitions")


def _word(text: str, position: int) -> bool:
    return 0 <= position < len(text) and (text[position].isalnum() or text[position] == "_")
