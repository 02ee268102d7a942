"""Reading the parts of a YAML document with a problem, by file and line, for everything that is not as expected."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import Any

from config.problems import Problem
from config.units import parse_duration
from config.yamlfile import Document, Key

_LABEL_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")


class Reader:
    """One document. Every method notes a problem and gives an empty value when something is wrong."""

    def __init__(self, document: Document, problems: list[Problem]) -> None:
        self.document = document
        self.problems = problems

    def labels(self, value: Any, path: Key, noun: str = "label") -> dict[str, str]:
        if value is None:
            return {}
        if not isinstance(value, dict):
            self.bad(path, f"{path[-1]}: expected a mapping of names to texts, got {show(value)}")
            return {}
        result: dict[str, str] = {}
        for name, text in value.items():
            where = (*path, name)
            if not isinstance(name, str) or not _LABEL_NAME.fullmatch(name) or (noun, name) == ("label", "__name__"):
                self.bad(where, f'"{name}" is no {noun} name (letters, digits and _, no digit first)')
            elif not isinstance(text, str):
                hint = f': put it in quotes: "{text}"' if isinstance(text, int | float) else ""
                self.bad(where, f'{noun} "{name}": expected text, got {show(text)}{hint}')
            else:
                result[name] = text
        return result

    def duration(self, given: Mapping[str, Any], key: str, path: Key) -> int:
        """Milliseconds; 0 when the key is not given or wrong."""
        value = given.get(key)
        if value is None:
            return 0
        try:
            return round(parse_duration("0" if value == 0 and value is not False else value) * 1000)
        except (TypeError, ValueError):
            self.bad((*path, key), f"{key}: expected a duration such as 5s, 1m30s or 30d, got {show(value)}")
            return 0

    def text(self, given: Mapping[str, Any], key: str, path: Key, *, required: str) -> str:
        value = given.get(key)
        if isinstance(value, str) and value.strip():
            return value
        where = (*path, key) if key in given else path
        if value is None or value == "":
            self.bad(where, required)
        else:
            hint = f': put it in quotes: "{value}"' if isinstance(value, int | float) else ""
            self.bad(where, f"{key}: expected text, got {show(value)}{hint}")
        return ""

    def mapping(self, value: Any, path: Key, known: Sequence[str], what: str) -> dict[str, Any]:
        if not isinstance(value, dict):
            self.bad(path, f"expected {what} as a mapping with {_listed(known)}, got {show(value)}")
            return {}
        result = {}
        for key, item in value.items():
            if key in known:
                result[key] = item
                continue
            close = get_close_matches(str(key), known, n=1, cutoff=0.6)
            hint = f'did you mean "{close[0]}"?' if close else f"known here: {', '.join(known)}"
            self.bad((*path, key), f"{key}: unknown key in {what}; {hint}")
        return result

    def list(self, value: Any, path: Key) -> list[Any]:
        if value is None:
            return []
        if not isinstance(value, list):
            self.bad(path, f"{path[-1]}: expected a list, got {show(value)}")
            return []
        return value

    def bad(self, path: Key, message: str) -> None:
        self.problems.append(self.document.problem(path, message))


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} or {names[-1]}"


def show(value: Any) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict | list):
        return "a mapping" if isinstance(value, dict) else "a list"
    return f'"{value}"' if isinstance(value, str) else str(value)
