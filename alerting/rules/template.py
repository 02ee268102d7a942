"""Alert texts: Go templates with Prometheus' functions and variables.

Parsed once when the rules are loaded, so a mistake is found there; rendering never raises: what goes wrong then is
written into the text, as Prometheus does, because a message with a flaw is better than no message.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any

from alerting.rules.gofmt import plain, type_name
from alerting.rules.template_functions import FUNCTIONS, CallError, TemplateSample, is_true
from alerting.rules.template_lex import TemplateError
from alerting.rules.template_syntax import (
    Block,
    Call,
    Dot,
    Field,
    Jump,
    Literal,
    Node,
    Operand,
    Output,
    Parser,
    Pipeline,
    Text,
    Variable,
)

MAX_OUTPUT = 65_536  # characters of a rendered text
MAX_STEPS = 20_000  # actions carried out for one text

_VARIABLES = frozenset({"$labels", "$externalLabels", "$externalURL", "$value"})
_FIELDS = frozenset({"Labels", "ExternalLabels", "ExternalURL", "Value"})
# These need the evaluator: a query, an early stop, the external URL.
_SPECIAL: dict[str, tuple[int, int | None]] = {
    "query": (1, 1),
    "and": (1, None),
    "or": (1, None),
    "externalURL": (0, 0),
    "pathPrefix": (0, 0),
}
_COUNTS = {name: function.counts for name, function in FUNCTIONS.items()} | _SPECIAL
_COMPARISONS = frozenset({"eq", "ne", "lt", "le", "gt", "ge"})

Query = Callable[[str], Sequence[TemplateSample]]


def _no_query(text: str) -> Sequence[TemplateSample]:
    raise CallError(f"no data to query {text!r}")


@dataclass(frozen=True, slots=True)
class TemplateData:
    """What a template sees. ``labels`` hold the metric name too, as in Prometheus. ``query`` answers PromQL at the
    time of the evaluation; its ValueError becomes the error of the text."""

    labels: Mapping[str, str]
    value: float
    external_labels: Mapping[str, str] = field(default_factory=dict)
    external_url: str = ""
    query: Query = _no_query


class Template:
    """One text. ``constant`` is True when it holds no action at all."""

    def __init__(self, text: str) -> None:
        """Parse. Raises TemplateError."""
        self.text = text
        self.constant = "{{" not in text
        self._nodes: tuple[Node, ...] = (Text(text),)
        if not self.constant:
            try:
                self._nodes = Parser(text, _COUNTS, _VARIABLES).parse()
            except TemplateError as error:
                raise TemplateError(_with_suggestion(str(error))) from error
            _check_fields(self._nodes)

    def queries(self) -> list[str]:
        """The PromQL of every ``query "..."`` whose text is written out."""
        return [
            argument.value
            for call in _calls(self._nodes)
            if call.function == "query"
            for argument in call.arguments
            if isinstance(argument, Literal) and isinstance(argument.value, str)
        ]

    def render(self, data: TemplateData, name: str) -> str:
        """The text; ``name`` is the alert's, for the message of an error."""
        if self.constant:
            return self.text
        try:
            return _Run(data).text(self._nodes)
        except Exception as error:  # whatever it is, the alert goes out
            return f"<error expanding template: error executing template __alert_{name}: {error}>"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Template) and other.text == self.text

    def __hash__(self) -> int:
        return hash(self.text)

    def __repr__(self) -> str:
        return f"Template({self.text!r})"


def _with_suggestion(message: str) -> str:
    if message.startswith('function "'):
        close = get_close_matches(message.split('"')[1], _COUNTS, n=1, cutoff=0.6)
        known = f'did you mean "{close[0]}"?' if close else f"known: {', '.join(sorted(_COUNTS))}"
        return f"{message}; {known}"
    if message.startswith("undefined variable"):
        return f"{message}; known: {', '.join(sorted(_VARIABLES))}"
    return message


class _Failure(Exception):
    pass


class _Break(Exception):
    pass


class _Continue(Exception):
    pass


_NIL = object()


class _Run:
    """One rendering."""

    def __init__(self, data: TemplateData) -> None:
        self._data = data
        self._root = {
            "Labels": data.labels,
            "ExternalLabels": data.external_labels,
            "ExternalURL": data.external_url,
            "Value": float(data.value),
        }
        self._variables: list[tuple[str, Any]] = [
            ("$", self._root),
            ("$labels", data.labels),
            ("$externalLabels", data.external_labels),
            ("$externalURL", data.external_url),
            ("$value", float(data.value)),
        ]
        self._parts: list[str] = []
        self._length = 0
        self._steps = 0

    def text(self, nodes: Sequence[Node]) -> str:
        self._walk(nodes, self._root)
        return "".join(self._parts)

    def _write(self, text: str) -> None:
        self._length += len(text)
        if self._length > MAX_OUTPUT:
            raise _Failure(f"the text is longer than {MAX_OUTPUT} characters")
        self._parts.append(text)

    def _walk(self, nodes: Sequence[Node], dot: Any) -> None:
        for node in nodes:
            self._steps += 1
            if self._steps > MAX_STEPS:
                raise _Failure(f"stopped after {MAX_STEPS} steps")
            if isinstance(node, Text):
                self._write(node.text)
            elif isinstance(node, Output):
                value = self._pipeline(node.pipeline, dot)
                if not node.pipeline.declares:
                    self._write(plain(value))
            elif isinstance(node, Jump):
                raise _Break if node.word == "break" else _Continue
            else:
                self._block(node, dot)

    def _block(self, node: Block, dot: Any) -> None:
        mark = len(self._variables)
        if node.word == "range":
            self._range(node, dot)
        else:
            value = self._pipeline(node.pipeline, dot)
            if is_true(value):
                self._walk(node.body, value if node.word == "with" else dot)
            else:
                self._walk(node.otherwise, dot)
        del self._variables[mark:]

    def _range(self, node: Block, dot: Any) -> None:
        names = node.pipeline.declares
        value = self._pipeline(Pipeline(node.pipeline.commands), dot)
        items = _items(value)
        for key, item in items:
            mark = len(self._variables)
            given = {1: (item,), 2: (key, item)}.get(len(names), ())
            if node.pipeline.assigns:
                for name, one in zip(names, given, strict=True):
                    self._assign(name, one)
            else:
                self._variables.extend(zip(names, given, strict=True))
            try:
                self._walk(node.body, item)
            except _Break:
                break
            except _Continue:
                continue
            finally:
                del self._variables[mark:]
        if not items:
            self._walk(node.otherwise, dot)

    def _assign(self, name: str, value: Any) -> None:
        for index in range(len(self._variables) - 1, -1, -1):
            if self._variables[index][0] == name:
                self._variables[index] = (name, value)
                return

    def _pipeline(self, pipeline: Pipeline, dot: Any) -> Any:
        value: Any = _NIL
        for command in pipeline.commands:
            value = self._call(command, dot, value) if isinstance(command, Call) else self._operand(command, dot)
        for name in pipeline.declares:
            if pipeline.assigns:
                self._assign(name, value)
            else:
                self._variables.append((name, value))
        return value

    def _operand(self, operand: Operand, dot: Any) -> Any:
        if isinstance(operand, Literal):
            return operand.value
        if isinstance(operand, Dot):
            return dot
        if isinstance(operand, Variable):
            return next(value for name, value in reversed(self._variables) if name == operand.name)
        if isinstance(operand, Field):
            return self._field(self._operand(operand.base, dot), operand.name)
        if isinstance(operand, Call):
            return self._call(operand, dot, _NIL)
        return self._pipeline(operand, dot)

    def _field(self, value: Any, name: str) -> Any:
        if value is self._root:
            if name not in _FIELDS:
                raise _Failure(f"can't evaluate field {name}; known: {', '.join(sorted(_FIELDS))}")
            return self._root[name]
        if isinstance(value, Mapping):
            # A map of texts gives the empty text for a missing key, a map of anything (args) nothing.
            return value.get(name, None if "arg0" in value else "")
        if isinstance(value, TemplateSample):
            if name == "Labels":
                return value.labels
            if name == "Value":
                return value.value
        raise _Failure(f"can't evaluate field {name} in type {type_name(value)}")

    def _call(self, call: Call, dot: Any, piped: Any) -> Any:
        if call.function in ("and", "or"):
            return self._logic(call, dot, piped)
        arguments = [self._operand(argument, dot) for argument in call.arguments]
        if piped is not _NIL:
            arguments.append(piped)
        if call.function == "externalURL":
            return self._data.external_url
        if call.function == "pathPrefix":
            return "/" + self._data.external_url.partition("://")[2].partition("/")[2].rstrip("/")
        try:
            if call.function == "query":
                return self._query(*_checked("s", arguments))
            function = FUNCTIONS[call.function]
            return function.call(*_checked(function.takes, arguments))
        except (CallError, ValueError, OverflowError) as error:
            raise _Failure(f"error calling {call.function}: {error}") from error

    def _query(self, text: str) -> list[TemplateSample]:
        return list(self._data.query(text))

    def _logic(self, call: Call, dot: Any, piped: Any) -> Any:
        value: Any = _NIL
        for argument in call.arguments:
            value = self._operand(argument, dot)
            if is_true(value) is (call.function == "or"):
                return value
        return value if piped is _NIL else piped


def _items(value: Any) -> list[tuple[Any, Any]]:
    if isinstance(value, Mapping):
        return [(key, value[key]) for key in sorted(value)]
    if isinstance(value, Sequence) and not isinstance(value, str):
        return list(enumerate(value))
    if value is None:
        return []
    raise _Failure(f"range can't iterate over {plain(value)}")


def _checked(takes: str, arguments: list[Any]) -> list[Any]:
    """The arguments, each of the type the function takes (a whole number serves as a float)."""
    letters = takes.rstrip("+")
    result = []
    for position, value in enumerate(arguments):
        letter = letters[min(position, len(letters) - 1)]
        right = {
            "s": isinstance(value, str),
            "v": isinstance(value, list),
            "e": isinstance(value, TemplateSample),
            "*": True,
        }[letter]
        if not right:
            wanted = {"s": "string", "v": "a query's result", "e": "an element of a query's result"}[letter]
            raise CallError(f"wrong type for value; expected {wanted}; got {type_name(value)}")
        result.append(value)
    return result


def _operands(nodes: Sequence[Node]) -> list[tuple[Operand, bool]]:
    """Every top operand, and whether the dot is the root where it stands."""
    found: list[tuple[Operand, bool]] = []

    def visit(some: Sequence[Node], root: bool) -> None:
        for node in some:
            if isinstance(node, Output):
                found.append((node.pipeline, root))
            elif isinstance(node, Block):
                found.append((node.pipeline, root))
                visit(node.body, root and node.word == "if")
                visit(node.otherwise, root)

    visit(nodes, True)
    return found


def _inside(operand: Operand) -> list[Operand]:
    below: tuple[Operand, ...] = ()
    if isinstance(operand, Pipeline):
        below = operand.commands
    elif isinstance(operand, Call):
        below = operand.arguments
    elif isinstance(operand, Field):
        below = (operand.base,)
    return [operand, *(deeper for one in below for deeper in _inside(one))]


def _calls(nodes: Sequence[Node]) -> list[Call]:
    return [one for top, _ in _operands(nodes) for one in _inside(top) if isinstance(one, Call)]


def _check_fields(nodes: Sequence[Node]) -> None:
    """Mistakes that Go would only show in the message of a real alert."""
    for top, root in _operands(nodes):
        for operand in _inside(top):
            if isinstance(operand, Field) and (
                (root and isinstance(operand.base, Dot)) or operand.base == Variable("$")
            ):
                if operand.name not in _FIELDS:
                    raise TemplateError(f'no field ".{operand.name}"; known: {", ".join(sorted(_FIELDS))}')
            elif isinstance(operand, Call) and operand.function in _COMPARISONS:
                _check_comparison(operand, root)


def _check_comparison(call: Call, root: bool) -> None:
    value = [Variable("$value"), Field(Variable("$"), "Value"), *([Field(Dot(), "Value")] if root else [])]
    if not any(argument in value for argument in call.arguments):
        return
    for argument in call.arguments:
        if isinstance(argument, Literal) and not isinstance(argument.value, float):
            shown = f"{argument.value}.0" if type(argument.value) is int else "a number such as 1.0"
            raise TemplateError(
                f"{call.function} compares $value, a float, with {plain(argument.value)}, "
                f"which templates refuse when the alert fires; write {shown}"
            )
