"""Checking plain data against the msgspec structs of the schema, collecting every mistake.

``msgspec.convert`` stops at the first mistake; an owner who edits seven nodes wants all of them. This walks the
same type descriptions that msgspec itself uses, so schema and check cannot drift apart. What is wrong is replaced
by a blank of the right type and its path noted in ``Document.broken``: the checks that follow see everything that
is right, and leave the rest alone.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Annotated, Any, Literal, TypeVar, cast

import msgspec
from msgspec import inspect

from config.kinds import KINDS, hide_url, show
from config.problems import Problem
from config.yamlfile import SOMETHING, Document, Key

_T = TypeVar("_T")
# Called with limits read back from the schema, whose types its signature does not spell.
_Meta: Any = msgspec.Meta
_Sequence = inspect.ListType | inspect.VarTupleType


class ShapeChecker:
    """Checks one document. Problems are appended to the list given."""

    def __init__(self, document: Document, problems: list[Problem]) -> None:
        self._document = document
        self._problems = problems

    def to_struct(self, kind: type[_T]) -> _T:
        """The document as ``kind``; blanks stand where something is wrong."""
        return cast(_T, self._check(self._document.value, inspect.type_info(kind), ()))

    def _bad(self, path: Key, info: inspect.Type, message: str) -> Any:
        """Note a problem; a blank to go on with."""
        where = dotted(path)
        self._document.broken.add(path)
        self._problems.append(self._document.problem(path, f"{where}: {message}" if where else message))
        return _blank(info)

    def _check(self, value: Any, info: inspect.Type, path: Key) -> Any:
        if path in self._document.broken and value is None:
            return _blank(info)  # the reader of the file has said why
        if isinstance(info, inspect.Metadata):
            return self._kind(value, (info.extra or {}).get("kind", ""), info, path)
        if isinstance(info, inspect.StructType):
            return self._struct(value, info, path)
        if isinstance(info, inspect.DictType):
            return self._dict(value, info, path)
        if isinstance(info, _Sequence):
            return self._list(value, info, path)
        if isinstance(info, inspect.UnionType):
            return self._union(value, info, path)
        return self._scalar(value, info, path)

    def _kind(self, value: Any, kind: str, info: inspect.Metadata, path: Key) -> Any:
        if kind not in KINDS:
            return self._check(value, info.type, path)
        try:
            return KINDS[kind][0](value)
        except ValueError as error:
            return self._bad(path, info, str(error))

    def _struct(self, value: Any, info: inspect.StructType, path: Key) -> Any:
        if not isinstance(value, dict):
            names = _listed(field.encode_name for field in info.fields)
            # Text is not shown: a URL with its password often stands where a mapping belongs.
            shown = "text" if isinstance(value, str) else show(value)
            return self._bad(path, info, f"expected a mapping with {names}, got {shown}")
        fields = {field.encode_name: field for field in info.fields}
        result = {}
        meant = self._unknown_keys(value, fields, path)
        for name, field in fields.items():
            place = (*path, name)
            if name in value:
                item = value[name]
                if item is None and place not in self._document.broken and not _accepts_none(field.type):
                    result[field.name] = self._bad(place, field.type, "has no value")
                else:
                    result[field.name] = self._check(item, field.type, place)
            elif field.required:
                if name not in meant and self._document.complete(path):
                    self._problems.append(self._document.problem(path, _where(path, f'"{name}" is missing')))
                self._document.broken.add(place)
                result[field.name] = _blank(field.type)
        return info.cls(**result)

    def _unknown_keys(self, value: dict[Any, Any], fields: dict[str, inspect.Field], path: Key) -> set[str]:
        """Note the keys that the schema does not know; the names of the fields they were probably meant for."""
        meant = set()
        free = [name for name in fields if name not in value]
        if (*path, SOMETHING) in self._document.broken:
            self._document.broken.update((*path, name) for name in free)
        for key in value:
            if key in fields:
                continue
            close = difflib.get_close_matches(str(key), free, n=1, cutoff=0.6)
            hint = f'did you mean "{close[0]}"?' if close else f"known here: {', '.join(fields)}"
            self._bad((*path, key), inspect.AnyType(), f"unknown key; {hint}")
            meant.update(close)
            # What the key holds may be what another check looks for elsewhere.
            self._document.broken.update((*path, name) for name in (close or free))
        return meant

    def _dict(self, value: Any, info: inspect.DictType, path: Key) -> Any:
        if not isinstance(value, dict):
            return self._bad(path, info, f"expected a mapping, got {show(value)}")
        result = {}
        for key, item in value.items():
            place = (*path, key)
            before = len(self._problems)
            checked = self._check(key, info.key_type, place)
            if len(self._problems) > before:
                self._document.broken.add((*path, SOMETHING))
                checked = key
            if item is None and place not in self._document.broken and not _accepts_none(info.value_type):
                result[checked] = self._bad(place, info.value_type, "has no value")
            else:
                result[checked] = self._check(item, info.value_type, place)
        return result

    def _list(self, value: Any, info: inspect.ListType | inspect.VarTupleType, path: Key) -> Any:
        if not isinstance(value, list):
            return self._bad(path, info, f"expected a list, got {show(value)}")
        if len(value) < (info.min_length or 0):
            return self._bad(path, info, "expected at least one entry")
        items = [self._check(item, info.item_type, (*path, index)) for index, item in enumerate(value)]
        return items if isinstance(info, inspect.ListType) else tuple(items)

    def _union(self, value: Any, info: inspect.UnionType, path: Key) -> Any:
        if value is None and _accepts_none(info):
            return None
        kinds = [kind for kind in info.types if not isinstance(kind, inspect.NoneType)]
        wanted: type = dict if isinstance(value, dict) else list if isinstance(value, list) else str
        fitting = [kind for kind in kinds if _container(kind) is wanted]
        if fitting or len(kinds) == 1:
            return self._check(value, (fitting or kinds)[0], path)
        return self._bad(path, info, f"expected {' or '.join(_describe(kind) for kind in kinds)}, got {show(value)}")

    def _scalar(self, value: Any, info: inspect.Type, path: Key) -> Any:
        try:
            return msgspec.convert(value, _python_type(info))
        except msgspec.ValidationError:
            pass
        if isinstance(info, inspect.LiteralType):
            close = difflib.get_close_matches(str(value), [str(known) for known in info.values], n=1, cutoff=0.7)
            if close:
                return self._bad(path, info, f'{show(value)} is not known; did you mean "{close[0]}"?')
        hint = "; put it in quotes" if isinstance(info, inspect.StrType) and isinstance(value, int | float) else ""
        return self._bad(path, info, f"expected {_describe(info)}, got {show(value)}{hint}")


def dotted(path: Key) -> str:
    """A path as it reads in a message: ``nodes.AGX0.address``."""
    return ".".join(hide_url(str(part)) for part in path)


def _where(path: Key, message: str) -> str:
    return f"{dotted(path)}: {message}" if path else message


def _container(info: inspect.Type) -> type:
    info = info.type if isinstance(info, inspect.Metadata) else info
    if isinstance(info, inspect.StructType | inspect.DictType):
        return dict
    return list if isinstance(info, _Sequence) else str


def _accepts_none(info: inspect.Type) -> bool:
    return isinstance(info, inspect.UnionType) and info.includes_none


def _blank(info: inspect.Type) -> Any:
    """A value of the type, meaning nothing."""
    if isinstance(info, inspect.Metadata):
        kind = (info.extra or {}).get("kind", "")
        return KINDS[kind][1] if kind in KINDS else _blank(info.type)
    if isinstance(info, inspect.StructType):
        return info.cls(**{field.name: _blank(field.type) for field in info.fields if field.required})
    if isinstance(info, inspect.UnionType):
        return None if info.includes_none else _blank(info.types[0])
    if isinstance(info, inspect.LiteralType):
        return info.values[0]
    plain: tuple[tuple[type, Any], ...] = (
        (inspect.DictType, {}), (inspect.ListType, []), (inspect.VarTupleType, ()), (inspect.IntType, 0),
        (inspect.FloatType, 0.0), (inspect.BoolType, False), (inspect.StrType, ""),
    )  # fmt: skip
    return next((value for kind, value in plain if isinstance(info, kind)), None)


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
        if info.pattern:
            return "a label name (letters, digits and _)"
        return "text that is not empty" if info.min_length else "text"
    if isinstance(info, inspect.BoolType):
        return "true or false"
    return "a mapping" if _container(info) is dict else "a list" if _container(info) is list else "text"


def _listed(names: Iterable[str]) -> str:
    words = list(names)
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} or {words[-1]}"
