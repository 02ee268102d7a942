"""Checking plain data against the msgspec structs of the schema, collecting every mistake.

``msgspec.convert`` stops at the first mistake; an owner who edits seven nodes wants all of them. This walks the
same type descriptions that msgspec itself uses, so schema and check cannot drift apart.
"""

from __future__ import annotations

import difflib
import ipaddress
import re
from collections.abc import Callable, Iterable
from typing import Annotated, Any, Literal, TypeVar

import msgspec
from msgspec import inspect

from config.problems import Problem
from config.units import parse_duration, parse_size
from config.yamlfile import Document, Key

_T = TypeVar("_T")
# Called with limits read back from the schema, whose types its signature does not spell.
_Meta: Any = msgspec.Meta


def _duration(value: Any) -> float:
    if isinstance(value, str):
        return parse_duration(value)
    if value == 0 and not isinstance(value, bool):
        return 0.0
    raise ValueError(f"expected a duration with its unit, such as 5s, 1m30s or 30d, got {show(value)}")


def _size(value: Any) -> int:
    if isinstance(value, str):
        return parse_size(value)
    raise ValueError(f"expected a size with its unit, such as 512MiB or 1TB, got {show(value)}")


def _address(value: Any) -> str:
    try:
        return str(ipaddress.ip_address(value if isinstance(value, str) else ""))
    except ValueError:
        raise ValueError(f"expected an IP address such as 192.168.1.10, got {show(value)}") from None


def _network(value: Any) -> str:
    try:
        return str(ipaddress.ip_network(value if isinstance(value, str) else ""))
    except ValueError as error:
        raise ValueError(f"expected a network such as 192.168.1.0/24, got {show(value)} ({error})") from None


def _name(value: Any) -> str:
    if isinstance(value, str) and re.fullmatch(r"[A-Za-z][A-Za-z0-9_-]{0,62}", value):
        return value
    raise ValueError(f"expected a name (letter, then letters, digits, - or _), got {show(value)}")


# What a schema field may ask for with Meta(extra={"kind": ...}): text in, value out, ValueError with the reason.
_KINDS: dict[str, Callable[[Any], Any]] = {
    "duration": _duration,
    "size": _size,
    "address": _address,
    "network": _network,
    "name": _name,
}


def show(value: Any) -> str:
    """A value as it reads in a message, shortened."""
    if value is None:
        return "nothing"
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list):
        return "a list"
    if isinstance(value, bool):
        return str(value).lower()
    text = str(value)
    return f'"{text[:60]}…"' if len(text) > 60 else f'"{text}"' if isinstance(value, str) else text


class ShapeChecker:
    """Checks one document. Problems are appended to the list given; values that failed are left out."""

    def __init__(self, document: Document, problems: list[Problem]) -> None:
        self._document = document
        self._problems = problems

    def to_struct(self, kind: type[_T]) -> _T | None:
        """The document as ``kind``; None when anything was wrong."""
        before = len(self._problems)
        plain = self.check(self._document.value, inspect.type_info(kind), ())
        if len(self._problems) > before:
            return None
        return msgspec.convert(plain, kind)

    def _bad(self, path: Key, message: str) -> None:
        where = ".".join(str(part) for part in path)
        self._problems.append(self._document.problem(path, f"{where}: {message}" if where else message))

    def check(self, value: Any, info: inspect.Type, path: Key) -> Any:
        """``value`` converted for msgspec; problems noted on the way."""
        if isinstance(info, inspect.Metadata):
            return self._kind(value, (info.extra or {}).get("kind", ""), info.type, path)
        if isinstance(info, inspect.StructType):
            return self._struct(value, info, path)
        if isinstance(info, inspect.DictType):
            return self._dict(value, info, path)
        if isinstance(info, inspect.ListType | inspect.VarTupleType):
            if not isinstance(value, list):
                self._bad(path, f"expected a list, got {show(value)}")
                return []
            return [self.check(item, info.item_type, (*path, index)) for index, item in enumerate(value)]
        if isinstance(info, inspect.UnionType):
            return self._union(value, info, path)
        return self._scalar(value, info, path)

    def _kind(self, value: Any, kind: str, info: inspect.Type, path: Key) -> Any:
        convert = _KINDS.get(kind)
        if convert is None:
            return self.check(value, info, path)
        try:
            return convert(value)
        except ValueError as error:
            self._bad(path, str(error))
            return None

    def _struct(self, value: Any, info: inspect.StructType, path: Key) -> Any:
        if not isinstance(value, dict):
            self._bad(path, f"expected a mapping with {_listed(f.encode_name for f in info.fields)}, got {show(value)}")
            return {}
        fields = {field.encode_name: field for field in info.fields}
        result = {}
        for key, item in value.items():
            if key not in fields:
                self._bad((*path, key), f"unknown key; {_suggest(str(key), fields)}")
            elif item is None and not _accepts_none(fields[key].type):
                self._bad((*path, key), "has no value")
            else:
                result[key] = self.check(item, fields[key].type, (*path, key))
        for name, field in fields.items():
            if field.required and name not in value:
                self._bad(path, f'"{name}" is missing')
        return result

    def _dict(self, value: Any, info: inspect.DictType, path: Key) -> Any:
        if not isinstance(value, dict):
            self._bad(path, f"expected a mapping, got {show(value)}")
            return {}
        result = {}
        for key, item in value.items():
            checked = self.check(key, info.key_type, (*path, key))
            result[checked] = self.check(item, info.value_type, (*path, key))
        return result

    def _union(self, value: Any, info: inspect.UnionType, path: Key) -> Any:
        if value is None and _accepts_none(info):
            return None
        kinds = [kind for kind in info.types if not isinstance(kind, inspect.NoneType)]
        wanted: type = dict if isinstance(value, dict) else list if isinstance(value, list) else str
        for kind in kinds:
            if _container(kind) is wanted:
                return self.check(value, kind, path)
        if len(kinds) == 1:
            return self.check(value, kinds[0], path)
        self._bad(path, f"expected {' or '.join(_describe(kind) for kind in kinds)}, got {show(value)}")
        return None

    def _scalar(self, value: Any, info: inspect.Type, path: Key) -> Any:
        try:
            return msgspec.convert(value, _python_type(info))
        except msgspec.ValidationError:
            self._bad(path, f"expected {_describe(info)}, got {show(value)}")
            return value


def _container(info: inspect.Type) -> type:
    if isinstance(info, inspect.StructType | inspect.DictType):
        return dict
    return list if isinstance(info, inspect.ListType | inspect.VarTupleType) else str


def _accepts_none(info: inspect.Type) -> bool:
    return isinstance(info, inspect.UnionType) and info.includes_none


def _python_type(info: inspect.Type) -> Any:
    if isinstance(info, inspect.LiteralType):
        return Literal[tuple(info.values)]
    for kind, python in ((inspect.IntType, int), (inspect.FloatType, float)):
        if isinstance(info, kind):
            return Annotated[python, _Meta(gt=info.gt, ge=info.ge, lt=info.lt, le=info.le)]
    if isinstance(info, inspect.StrType):
        return Annotated[str, _Meta(min_length=info.min_length, max_length=info.max_length, pattern=info.pattern)]
    if isinstance(info, inspect.BoolType):
        return bool
    raise TypeError(f"the schema uses {info!r}, which the check does not know")


def _describe(info: inspect.Type) -> str:
    if isinstance(info, inspect.LiteralType):
        return _listed(str(value) for value in info.values)
    if isinstance(info, inspect.IntType | inspect.FloatType):
        noun = "a whole number" if isinstance(info, inspect.IntType) else "a number"
        if info.ge is not None and info.le is not None:
            return f"{noun} from {info.ge} to {info.le}"
        return f"{noun} of at least {info.ge}" if info.ge is not None else noun
    if isinstance(info, inspect.StrType):
        return "text that is not empty" if info.min_length else "text"
    if isinstance(info, inspect.BoolType):
        return "true or false"
    return "a mapping" if _container(info) is dict else "a list" if _container(info) is list else "text"


def _listed(names: Iterable[str]) -> str:
    words = list(names)
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} or {words[-1]}"


def _suggest(key: str, known: Iterable[str]) -> str:
    names = list(known)
    close = difflib.get_close_matches(key, names, n=1, cutoff=0.6)
    return f'did you mean "{close[0]}"?' if close else f"known here: {', '.join(names)}"
