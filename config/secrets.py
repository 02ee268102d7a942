"""Values that must not be seen: taken from the environment or a file, never printed."""

from __future__ import annotations

import re
import stat
from collections.abc import Mapping
from pathlib import Path

_REFERENCE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}")
_MAX_BYTES = 8192


class Secret:
    """A text that shows itself only when asked by name."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        return self._text

    def __bool__(self) -> bool:
        return bool(self._text)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._text == self._text

    def __hash__(self) -> int:
        return hash(self._text)

    def __repr__(self) -> str:
        return "Secret(…)"


def expand(text: str, environ: Mapping[str, str]) -> str:
    """Fill in ``${NAME}`` and ``${NAME:-default}``. Raises ValueError naming a variable that is not set, or when
    a ``${`` is not one of the two."""
    if "${" in _REFERENCE.sub("", text):
        raise ValueError("cannot read what follows ${; expected ${NAME} or ${NAME:-default}")

    def value(match: re.Match[str]) -> str:
        name, default = match.group(1), match.group(2)
        if name in environ:
            return environ[name]
        if default is None:
            raise ValueError(f"environment variable {name} is not set (write ${{{name}:-}} when it may be missing)")
        return default

    return _REFERENCE.sub(value, text)


def from_file(path: Path, what: str = "an Apprise URL") -> Secret:
    """The first line of a file: ``what`` is expected. Raises ValueError with the reason, never with the contents."""
    try:
        # Opening a pipe would wait for a writer that may never come.
        if not stat.S_ISREG(path.stat().st_mode):
            raise ValueError(f"{path}: is not a file")
        with path.open("rb") as stream:
            data = stream.read(_MAX_BYTES)
    except OSError as error:
        raise ValueError(f"{path}: cannot be read: {error.strerror or error}") from error
    first, newline, _ = data.partition(b"\n")
    if not newline and len(data) == _MAX_BYTES:
        raise ValueError(f"{path}: its first line is longer than {_MAX_BYTES} bytes")
    try:
        line = first.decode("utf-8-sig").strip()
    except UnicodeDecodeError:
        raise ValueError(f"{path}: its first line is not UTF-8 text") from None
    if not line:
        raise ValueError(f"{path}: its first line is empty; expected {what} there")
    return Secret(line)
