"""Reading YAML with the line of every value, so that a mistake can be shown where it stands.

The only door to PyYAML. Only plain data is built; keys given twice are an error, because YAML's silent "last one
wins" hides half of a file. Size, nesting and number of values are limited before anything is built.
"""

from __future__ import annotations

import re
import stat
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from config.problems import Problem, unreadable

MAX_BYTES = 4 * 1024 * 1024
MAX_DEPTH = 40
MAX_VALUES = 200_000

Key = tuple[str | int, ...]
# In ``Document.broken`` as the last part of a path: the mapping holds an entry that could not be read.
SOMETHING = "*"

# What libyaml says of the mistakes people make most, in words that say what to do.
_PLAINER = (
    ("found character that cannot start any token", "a tab or a stray sign; indent with spaces, quote text that starts "
     "with a sign such as @ or `"),
    ("found a tab character", "a tab; indent with spaces"),
    ("mapping values are not allowed", 'a second ": " on one line; put text that contains ": " in quotes, or check the '
     "indentation of the line above"),
    ("could not find expected ':'", 'a key without ":"'),
    ("did not find expected key", "a line that does not fit; check its indentation, and the quotes above it"),
    ("did not find expected '-' indicator", "a line that does not fit; check its indentation"),
    ("but found another document", 'a second document ("---"); one file holds one'),
    ("did not find expected ',' or ']'", 'a list opened with "[" is not closed'),
    ("did not find expected ',' or '}'", 'a mapping opened with "{" is not closed'),
    ("found unexpected end of stream", "the file ends inside a quoted text"),
    ("found undefined alias", 'a name after "*" that no "&" defines; put text that starts with * in quotes'),
)  # fmt: skip
# YAML 1.1, section 5.1: what a stream may hold. Tab, line feed and carriage return are fine.
_UNPRINTABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\ufffe\uffff]")
# What PyYAML raises for text that does not fit an explicit tag: "!!int abc", "!!bool maybe", "!!timestamp x".
_UNREADABLE = (yaml.YAMLError, ValueError, OverflowError, AttributeError, LookupError, TypeError)
_MERGE_TAG = "tag:yaml.org,2002:merge"
_KEY_TAGS = ("tag:yaml.org,2002:str", "tag:yaml.org,2002:int", "tag:yaml.org,2002:bool")
_COLLECTION_TAGS = ("tag:yaml.org,2002:map", "tag:yaml.org,2002:seq")
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True, slots=True)
class Document:
    """A parsed file: plain data, and the line of each key or list item by its path.

    ``broken``: the paths of what is known to be wrong; checks leave those, and what is inside them, alone.
    """

    file: str
    value: Any
    lines: dict[Key, int]
    broken: set[Key] = field(default_factory=set)

    def line(self, path: Key) -> int:
        """The line of a value, or of the nearest thing around it that has one."""
        while path:
            if path in self.lines:
                return self.lines[path]
            path = path[:-1]
        return self.lines.get((), 1)

    def problem(self, path: Key, message: str) -> Problem:
        return Problem(self.file, self.line(path), message)

    def intact(self, path: Key) -> bool:
        """Whether neither the value nor anything around it is broken."""
        return not any(path[:length] in self.broken for length in range(len(path) + 1))

    def complete(self, path: Key) -> bool:
        """Whether a name that is not in this mapping is really not there."""
        return self.intact(path) and (*path, SOMETHING) not in self.broken


def read(path: Path, problems: list[Problem], missing: str = "no such file") -> Document | None:
    """Read one file. What is wrong with it is added to ``problems`` (``missing`` when it is not there); None when there
    is no data to go on with."""
    try:
        # Opening a pipe would wait for a writer that may never come.
        if not stat.S_ISREG(path.stat().st_mode):
            problems.append(Problem(str(path), 0, "is not a file"))
            return None
        with path.open("rb") as stream:
            data = stream.read(MAX_BYTES + 1)
    except OSError as error:
        problems.append(unreadable(path, error, missing))
        return None
    if len(data) > MAX_BYTES:
        problems.append(Problem(str(path), 0, f"larger than {MAX_BYTES // 1024 // 1024} MiB"))
        return None
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        problems.append(Problem(str(path), line, "is not UTF-8 text; save it as UTF-8"))
        return None
    return parse(text, str(path), problems)


def parse(text: str, file: str, problems: list[Problem]) -> Document | None:
    """Parse YAML text; as ``read``."""
    if unprintable := _UNPRINTABLE.search(text):
        line = text.count("\n", 0, unprintable.start()) + 1
        problems.append(
            Problem(file, line, f"a character that text cannot hold (code {ord(unprintable[0])}); delete it")
        )
        return None
    try:
        _limit(text)
        root = yaml.compose(text, Loader=_LOADER)
    except _TooLarge as error:
        problems.append(Problem(file, error.line, str(error)))
        return None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        problems.append(Problem(file, mark.line + 1 if mark else 0, f"not valid YAML: {_plainer(error)}"))
        return None
    except yaml.YAMLError as error:
        problems.append(Problem(file, 0, f"not valid YAML: {error}"))
        return None
    if root is None:
        problems.append(Problem(file, 0, "is empty"))
        return None
    builder = _Builder(file, problems)
    try:
        value = builder.build(root, (), 0)
    except _TooLarge as error:
        problems.append(Problem(file, error.line, str(error)))
        return None
    return Document(file, value, builder.lines, builder.broken)


def _plainer(error: yaml.MarkedYAMLError) -> str:
    words = " ".join(part for part in (error.context, error.problem) if part)
    return next((plain for found, plain in _PLAINER if found in words), words)


class _TooLarge(Exception):
    def __init__(self, line: int) -> None:
        super().__init__(f"nested deeper than {MAX_DEPTH} levels, or more than {MAX_VALUES} values")
        self.line = line


def _limit(text: str) -> None:
    """Go through the events first: composing recurses in C and a deep file would end the process."""
    depth = 0
    for values, event in enumerate(yaml.parse(text, Loader=_LOADER)):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > MAX_DEPTH or values > 2 * MAX_VALUES:
            raise _TooLarge(event.start_mark.line + 1 if event.start_mark else 0)


class _Builder:
    def __init__(self, file: str, problems: list[Problem]) -> None:
        self.file = file
        self.problems = problems
        self.lines: dict[Key, int] = {}
        self.broken: set[Key] = set()
        self._values = 0
        self._scalars = yaml.SafeLoader("")

    def build(self, node: yaml.Node, path: Key, depth: int) -> Any:
        # Aliases are expanded: a few lines of "*a, *a" can stand for billions of values, hence the count.
        self._values += 1
        if self._values > MAX_VALUES or depth > MAX_DEPTH:
            raise _TooLarge(node.start_mark.line + 1)
        self.lines.setdefault(path, node.start_mark.line + 1)
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node, path)
        if node.tag not in _COLLECTION_TAGS:
            self._bad(node, path, f"the tag {node.tag} is not supported")
            return None
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path, depth)
        return [self.build(item, (*path, index), depth + 1) for index, item in enumerate(node.value)]

    def _bad(self, node: yaml.Node, path: Key, message: str) -> None:
        self.broken.add(path)
        self.problems.append(Problem(self.file, node.start_mark.line + 1, message))

    def _scalar(self, node: yaml.ScalarNode, path: Key) -> Any:
        # The value itself is not shown: it may be a secret.
        try:
            value = self._scalars.construct_object(node)
        except _UNREADABLE:
            self._bad(node, path, "YAML cannot read this as a date, number or plain text; put it in quotes")
            return None
        if value is None or isinstance(value, str | bool | int | float):
            return value
        return str(node.value)  # a date, say: this configuration has none

    def _mapping(self, node: yaml.MappingNode, path: Key, depth: int) -> dict[str | int, Any]:
        result: dict[str | int, Any] = {}
        for key_node, value_node in node.value:
            key = self._key(key_node, path)
            if key is None:
                continue
            line = key_node.start_mark.line + 1
            if key in result:
                first = self.lines[(*path, key)]
                # One of the two was probably meant to be another.
                self.broken.add((*path, SOMETHING))
                self._bad(key_node, (*path, key), f'"{key}" is given twice (first on line {first})')
                continue
            self.lines[(*path, key)] = line
            result[key] = self.build(value_node, (*path, key), depth + 1)
        return result

    def _key(self, node: yaml.Node, path: Key) -> str | int | None:
        """A key; None, with a problem noted, when it is none."""
        try:
            key = self._scalars.construct_object(node) if node.tag in _KEY_TAGS else None
        except _UNREADABLE:
            key = None
        if isinstance(key, str) or (isinstance(key, int) and not isinstance(key, bool)):
            return key
        message = "expected a name as key"
        if node.tag == _MERGE_TAG:
            message = 'merging with "<<" is not supported; write the keys out'
        elif isinstance(key, bool):
            message = f'YAML reads the key {node.value} as {str(key).lower()}; put it in quotes: "{node.value}"'
        self._bad(node, (*path, SOMETHING), message)
        return None


def dump(value: Any) -> str:
    """Plain data as YAML text that ``parse`` reads back, in the order given."""
    # ASCII only: PyYAML writes the line ends of Unicode as they are and reads them back as others.
    text: str = yaml.safe_dump(value, sort_keys=False, allow_unicode=False)
    return text
