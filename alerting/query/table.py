"""Answers as aligned text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from alerting.query.answer import Answer, Line
from alerting.query.terminal import Terminal, cells, cut, harmless, padded

_NAME = "__name__"


def table(answer: Answer, terminal: Terminal) -> str:
    """Lines of text, each with its end; nothing for an empty answer."""
    if answer.kind in ("scalar", "string"):
        return f"{harmless(answer.single)}\n"
    lines = answer.lines
    if answer.kind == "matrix":
        return "\n".join(_samples(line) for line in lines)
    return _columns(lines, terminal)


def title(labels: Mapping[str, str]) -> str:
    """A series as PromQL writes it, harmless to a terminal."""
    inner = ", ".join(f"{name}={_quoted(value)}" for name, value in sorted(labels.items()) if name != _NAME)
    name = harmless(labels.get(_NAME, ""))
    return f"{name}{{{inner}}}" if inner or not name else name


def local_time(time_ms: int) -> str:
    """In the zone of whoever looks, which is told."""
    stamp = datetime.fromtimestamp(time_ms / 1000, UTC).astimezone()
    return stamp.isoformat(sep=" ", timespec="milliseconds" if time_ms % 1000 else "seconds")


def shared(lines: Sequence[Line]) -> dict[str, str]:
    """The labels that all series have with the same value; none for a single series."""
    if len(lines) < 2:
        return {}
    common = dict(lines[0].labels)
    for line in lines[1:]:
        common = {name: value for name, value in common.items() if line.labels.get(name) == value}
    return common


def _quoted(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{harmless(escaped)}"'


def _samples(line: Line) -> str:
    width = max((len(text) for text in line.texts), default=0)
    rows = [f"  {local_time(at)}  {text:>{width}}" for at, text in zip(line.times, line.texts, strict=True)]
    return "\n".join([title(line.labels), *rows, ""])


def _columns(lines: Sequence[Line], terminal: Terminal) -> str:
    if not lines:
        return ""
    common: dict[str, str] = {}
    rows = _rows(lines, common)
    if _width(rows) > terminal.width:  # what is the same everywhere goes above
        common = shared(lines)
        rows = _rows(lines, common)
    above = f"{title(common)}\n\n" if common else ""
    widths = [max(cells(row[column]) for row in rows) for column in range(len(rows[0]))]
    over = sum(widths) + 2 * (len(widths) - 1) - terminal.width
    while over > 0 and len(widths) > 1:  # the widest columns give way; values never
        widest = max(range(len(widths) - 1), key=lambda column: widths[column])
        if widths[widest] <= 8:
            break
        smaller = max(widths[widest] - over, 8)
        over -= widths[widest] - smaller
        widths[widest] = smaller
    text = []
    for number, row in enumerate(rows):
        shown = [cut(cell, width, unicode=terminal.unicode) for cell, width in zip(row[:-1], widths, strict=False)]
        parts = [padded(cell, width) for cell, width in zip(shown, widths, strict=False)]
        line = "  ".join([*parts, padded(row[-1], widths[-1], right=True)])
        text.append(terminal.dim(line) if number == 0 else line)
    return above + "\n".join(text) + "\n"


def _rows(lines: Sequence[Line], without: Mapping[str, str]) -> list[list[str]]:
    """The head, then a row a series; the value last."""
    names = sorted(
        {name for line in lines for name in line.labels} - set(without), key=lambda name: (name != _NAME, name)
    )
    head = ["METRIC" if name == _NAME else harmless(name) for name in names]
    rows = [[harmless(line.labels.get(name, "")) for name in names] + [line.texts[0]] for line in lines]
    return [[*head, "VALUE"], *rows]


def _width(rows: Sequence[Sequence[str]]) -> int:
    widths = [max(cells(row[column]) for row in rows) for column in range(len(rows[0]))]
    return sum(widths) + 2 * (len(widths) - 1)
