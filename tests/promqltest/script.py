"""Reads a test script into commands."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from alerting.model.labels import Labels
from tests.promqltest.notation import Sample, ScriptError, duration_ms, number, samples, series, unquoted


@dataclass(slots=True)
class Clear:
    line: int


@dataclass(slots=True)
class Load:
    line: int
    interval_ms: int
    series: dict[Labels, list[Sample]] = field(default_factory=dict)


@dataclass(slots=True)
class Text:
    """A condition on a message: exact, a regular expression, or any message when both are None."""

    exact: str | None = None
    regex: str | None = None

    def accepts(self, message: str) -> bool:
        if self.exact is not None:
            return message == self.exact
        return self.regex is None or re.search(self.regex, message) is not None

    def accepts_note(self, message: str) -> bool:
        """The same of an annotation, whose position `` (line:column)`` may be expected or not."""
        return self.accepts(message) or self.accepts(_POSITION.sub("", message))


@dataclass(slots=True)
class Eval:
    """``times`` are start, end, step in milliseconds; an instant query has one time and step 0."""

    line: int
    query: str
    start_ms: int
    end_ms: int
    step_ms: int
    fails: list[Text] = field(default_factory=list)
    warnings: list[Text] = field(default_factory=list)
    infos: list[Text] = field(default_factory=list)
    no_warnings: bool = False
    no_infos: bool = False
    ordered: bool = False
    text: str | None = None
    scalar: float | None = None
    raw: tuple[int, int, int] | None = None  # expected range vector: start, end, step
    rows: list[tuple[Labels, list[Sample]]] = field(default_factory=list)

    @property
    def is_instant(self) -> bool:
        return self.step_ms == 0


Command = Clear | Load | Eval

_HEADER = re.compile(r"(\w+)\s*(.*)")
_INSTANT = re.compile(r"instant\s+at\s+(\S+)\s+(.+)")
_RANGE = re.compile(r"range\s+from\s+(\S+)\s+to\s+(\S+)\s+step\s+(\S+)\s+(.+)")
_RAW = re.compile(r"range\s+vector\s+from\s+(\S+)\s+to\s+(\S+)\s+step\s+(\S+)")
_NOTE = re.compile(r"(fail|warn|info)(?:\s+(msg|regex)\s*:\s*(.*))?")
_OLD_FAIL = re.compile(r"expected_fail_(message|regexp)\s+(.*)")
_POSITION = re.compile(r" \(\d+:\d+\)\Z")
_OLD_FORMS: dict[str, Literal["fail", "ordered", "warn", "info"]] = {
    "eval_fail": "fail",
    "eval_ordered": "ordered",
    "eval_warn": "warn",
    "eval_info": "info",
}


def read(path: Path) -> list[Command]:
    """The commands of a file. Raises ScriptError with file and line, also when the file cannot be read."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ScriptError(f"{path}: {error}") from error
    return list(_commands(path, lines))


def _commands(path: Path, raw: list[str]) -> Iterator[Command]:
    lines = [line.strip() for line in raw]
    index = 0
    while index < len(lines):
        line = lines[index]
        start = index
        index += 1
        if not line or line.startswith("#"):
            continue
        body: list[tuple[int, str]] = []
        word = line.split(None, 1)[0].lower()
        if word != "clear":
            while index < len(lines) and lines[index] and not lines[index].startswith("#"):
                body.append((index + 1, lines[index]))
                index += 1
        number_of_line = start + 1
        try:
            yield _command(word, line, number_of_line, body)
        except ScriptError as error:
            raise ScriptError(f"{path}:{number_of_line}: {error}") from error


def _command(word: str, line: str, at: int, body: list[tuple[int, str]]) -> Command:
    header = _HEADER.match(line)
    rest = header.group(2) if header else ""
    if word == "clear" and not rest:
        return Clear(at)
    if word == "load_with_nhcb":
        raise ScriptError("load_with_nhcb makes native histograms, which are not supported")
    if word == "load":
        load = Load(at, duration_ms(rest))
        for _, text in body:
            labels, items = series(text)
            load.series[labels] = samples(items)
        return load
    if word == "eval" or word in _OLD_FORMS:
        command = _eval(rest, at)
        _old_form(command, word)
        for _, text in body:
            _expectation(command, text)
        _check(command)
        return command
    raise ScriptError(f"unknown command: {line!r}")


def _eval(rest: str, at: int) -> Eval:
    instant = _INSTANT.fullmatch(rest)
    if instant is not None:
        time = duration_ms(instant.group(1))
        return Eval(at, instant.group(2), time, time, 0)
    ranged = _RANGE.fullmatch(rest)
    if ranged is None:
        raise ScriptError(f"neither 'instant at ...' nor 'range from ... to ... step ...': {rest!r}")
    start, end, step = (duration_ms(ranged.group(index)) for index in (1, 2, 3))
    if step <= 0 or end < start:
        raise ScriptError("a range needs a positive step and an end that is not before its start")
    return Eval(at, ranged.group(4), start, end, step)


def _old_form(command: Eval, word: str) -> None:
    kind = _OLD_FORMS.get(word)
    if kind == "fail":
        command.fails.append(Text())
    elif kind == "ordered":
        command.ordered = True
    elif kind == "warn":
        command.warnings.append(Text())
    elif kind == "info":
        command.infos.append(Text())


def _expectation(command: Eval, text: str) -> None:
    old = _OLD_FAIL.fullmatch(text) if command.fails else None
    if old is not None:
        command.fails[:] = [_text("msg" if old.group(1) == "message" else "regex", old.group(2))]
        return
    if text.startswith("expect ") or text == "expect":
        _expect(command, text.removeprefix("expect").strip())
        return
    if not command.rows and _is_number(text):
        if command.scalar is not None:
            raise ScriptError("two scalars expected")
        command.scalar = number(text)
        return
    labels, items = series(text)
    command.rows.append((labels, samples(items)))


def _is_number(text: str) -> bool:
    try:
        number(text)
    except ScriptError:
        return False
    return True


def _expect(command: Eval, text: str) -> None:
    if text == "no_warn":
        command.no_warnings = True
    elif text == "no_info":
        command.no_infos = True
    elif text == "ordered":
        command.ordered = True
    elif text.startswith("string"):
        command.text = unquoted(text.removeprefix("string").strip())
    elif (raw := _RAW.fullmatch(text)) is not None:
        command.raw = (duration_ms(raw.group(1)), duration_ms(raw.group(2)), duration_ms(raw.group(3)))
    elif (note := _NOTE.fullmatch(text)) is not None:
        kind, how, what = note.groups()
        {"fail": command.fails, "warn": command.warnings, "info": command.infos}[kind].append(_text(how, what))
    else:
        raise ScriptError(f"unknown expectation: {text!r}")


def _text(how: str | None, what: str | None) -> Text:
    """The condition that is written as ``msg: WHAT`` or ``regex: WHAT``."""
    if how is None or what is None:
        return Text()
    if how == "msg":
        return Text(exact=what.strip())
    try:
        re.compile(what.strip())
    except re.error as error:
        raise ScriptError(f"not a regular expression: {what.strip()!r}: {error}") from error
    return Text(regex=what.strip())


def _check(command: Eval) -> None:
    """Refuse expectations that could never be compared."""
    if len(command.fails) > 1:
        raise ScriptError("several 'expect fail' lines for one query")
    if (command.warnings and command.no_warnings) or (command.infos and command.no_infos):
        raise ScriptError("annotations are expected and excluded at once")
    kinds = [command.text is not None, command.scalar is not None, bool(command.rows) or command.raw is not None]
    if sum(kinds) > 1 or (command.fails and any(kinds)):
        raise ScriptError("expectations of different kinds for one query")
    if command.raw is not None and not command.is_instant:
        raise ScriptError("a range vector is expected of a range query")
    if command.ordered and not command.is_instant:
        raise ScriptError("'expect ordered' is for instant queries")
    start, end, step = command.raw or (command.start_ms, command.end_ms, command.step_ms)
    most = 1 if step == 0 else (end - start) // step + 1
    for labels, items in command.rows:
        if len(items) > most:
            raise ScriptError(f"{labels}: {len(items)} values expected in {most} steps")
        if step == 0 and (len(items) != 1 or items[0] is None):
            raise ScriptError(f"{labels}: one value expected for an instant query")
