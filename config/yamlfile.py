"""Reading YAML with the line of every value, so that a mistake can be shown where it stands.

The only door to PyYAML. Only plain data is built (safe tags); keys given twice are an error, because YAML's
silent "last one wins" hides half of a file.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from config.problems import Problem, unreadable

MAX_BYTES = 4 * 1024 * 1024
MAX_DEPTH = 40
MAX_NODES = 200_000

Key = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Document:
    """A parsed file: plain data, and the line of each key or list item by its path."""

    file: str
    value: Any
    lines: dict[Key, int]

    def line(self, path: Key) -> int:
        """The line of a value, or of the nearest thing around it that has one."""
        while path:
            if path in self.lines:
                return self.lines[path]
            path = path[:-1]
        return self.lines.get((), 1)

    def problem(self, path: Key, message: str) -> Problem:
        return Problem(self.file, self.line(path), message)


def read(path: Path, problems: list[Problem]) -> Document | None:
    """Read one file. What is wrong with it is added to ``problems``; None when there is no data to go on with."""
    try:
        with path.open("rb") as stream:
            data = stream.read(MAX_BYTES + 1)
    except OSError as error:
        problems.append(unreadable(path, error))
        return None
    if len(data) > MAX_BYTES:
        problems.append(Problem(str(path), 0, f"larger than {MAX_BYTES // 1024 // 1024} MiB"))
        return None
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        problems.append(Problem(str(path), line, f"is not UTF-8 text (byte {error.start}: {error.reason})"))
        return None
    return parse(text, str(path), problems)


def parse(text: str, file: str, problems: list[Problem]) -> Document | None:
    """Parse YAML text; as ``read``."""
    try:
        root = yaml.compose(text, Loader=_LOADER)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        words = " ".join(part for part in (error.context, error.problem) if part)
        problems.append(Problem(file, mark.line + 1 if mark else 0, f"not valid YAML: {words}"))
        return None
    except (yaml.YAMLError, RecursionError) as error:
        problems.append(Problem(file, 0, f"not valid YAML: {str(error) or type(error).__name__}"))
        return None
    if root is None:
        problems.append(Problem(file, 0, "is empty"))
        return None
    builder = _Builder(file, problems)
    try:
        value = builder.build(root, (), 0)
    except _TooLarge as error:
        problems.append(Problem(file, root.start_mark.line + 1, str(error)))
        return None
    return Document(file, value, builder.lines)


_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _TooLarge(Exception):
    pass


class _Builder:
    def __init__(self, file: str, problems: list[Problem]) -> None:
        self.file = file
        self.problems = problems
        self.lines: dict[Key, int] = {}
        self._nodes = 0
        self._scalars = yaml.SafeLoader("")

    def build(self, node: yaml.Node, path: Key, depth: int) -> Any:
        # Aliases are expanded: a few lines of "*a, *a" can stand for billions of values, hence the count.
        self._nodes += 1
        if self._nodes > MAX_NODES or depth > MAX_DEPTH:
            raise _TooLarge(f"holds more than {MAX_NODES} values or is nested deeper than {MAX_DEPTH}")
        self.lines.setdefault(path, node.start_mark.line + 1)
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path, depth)
        if isinstance(node, yaml.SequenceNode):
            return [self.build(item, (*path, index), depth + 1) for index, item in enumerate(node.value)]
        return self._scalar(node)

    def _scalar(self, node: yaml.Node) -> Any:
        try:
            return self._scalars.construct_object(node)
        except (yaml.YAMLError, ValueError) as error:
            words = getattr(error, "problem", None) or error
            self.problems.append(Problem(self.file, node.start_mark.line + 1, f"not a plain value: {words}"))
            return None

    def _mapping(self, node: yaml.MappingNode, path: Key, depth: int) -> dict[Any, Any]:
        result: dict[Any, Any] = {}
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            key = self._scalar(key_node) if isinstance(key_node, yaml.ScalarNode) else None
            if not isinstance(key, Hashable) or not isinstance(key, str | int) or isinstance(key, bool):
                self.problems.append(Problem(self.file, line, "expected a name as key"))
                continue
            if key in result:
                first = self.lines[(*path, key)]
                self.problems.append(Problem(self.file, line, f'"{key}" is given twice (first on line {first})'))
                continue
            self.lines[(*path, key)] = line
            result[key] = self.build(value_node, (*path, key), depth + 1)
        return result
