"""Go's text/template, the part that alert texts use: from text to a tree.

Syntax: https://pkg.go.dev/text/template. Left out and refused with a reason: define, template and block (they need
template files), and method calls.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from alerting.rules.template_lex import TemplateError, Token, number, pieces, tokens, unquote

MAX_DEPTH = 50  # blocks and brackets inside each other


@dataclass(frozen=True, slots=True)
class Literal:
    value: str | int | float | bool | None


@dataclass(frozen=True, slots=True)
class Dot:
    """``.``, whatever it stands for where it is written."""


@dataclass(frozen=True, slots=True)
class Variable:
    name: str  # with its dollar sign; "$" alone is the data the template was given


@dataclass(frozen=True, slots=True)
class Field:
    """``base.name``."""

    base: Operand
    name: str


@dataclass(frozen=True, slots=True)
class Call:
    """A function with its arguments; a pipeline hands its value on as the last argument."""

    function: str
    arguments: tuple[Operand, ...]


@dataclass(frozen=True, slots=True)
class Pipeline:
    """Commands, each fed with what the one before it gave. ``declares``: variables that take the result."""

    commands: tuple[Operand, ...]
    declares: tuple[str, ...] = ()
    assigns: bool = False


Operand = Literal | Dot | Variable | Field | Call | Pipeline


@dataclass(frozen=True, slots=True)
class Text:
    text: str


@dataclass(frozen=True, slots=True)
class Output:
    pipeline: Pipeline


@dataclass(frozen=True, slots=True)
class Jump:
    """``break`` or ``continue``."""

    word: str


@dataclass(frozen=True, slots=True)
class Block:
    """``if``, ``with`` or ``range``."""

    word: str
    pipeline: Pipeline
    body: tuple[Node, ...]
    otherwise: tuple[Node, ...]


Node = Text | Output | Jump | Block


class Parser:
    """One template. ``functions`` maps the known names to (fewest, most) arguments, None for any number."""

    def __init__(self, text: str, functions: Mapping[str, tuple[int, int | None]], variables: frozenset[str]) -> None:
        self._pieces = pieces(text)
        self._index = 0
        self._functions = functions
        self._variables = [*variables, "$"]
        self._tokens: list[Token] = []
        self._loops = 0

    def parse(self) -> tuple[Node, ...]:
        """The tree. Raises TemplateError."""
        nodes, stop = self._nodes(0)
        if stop:
            raise TemplateError(f"unexpected {{{{ {stop} }}}}")
        return nodes

    def _nodes(self, depth: int) -> tuple[tuple[Node, ...], str]:
        """Nodes up to ``end`` or ``else`` (told as the second value; the rest of an else stays in the tokens)."""
        if depth > MAX_DEPTH:
            raise TemplateError(f"blocks are nested more than {MAX_DEPTH} deep")
        nodes: list[Node] = []
        while self._index < len(self._pieces):
            is_action, text = self._pieces[self._index]
            self._index += 1
            if not is_action:
                if text:
                    nodes.append(Text(text))
                continue
            self._tokens = tokens(text)
            word = self._tokens[0].text if self._tokens[0].kind == "word" else ""
            if word in ("end", "else"):
                self._tokens.pop(0)
                if word == "end" and self._tokens:
                    raise TemplateError(f'unexpected "{self._tokens[0].text}" in end')
                return tuple(nodes), word
            nodes.append(self._action(word, text, depth))
        return tuple(nodes), ""

    def _action(self, word: str, text: str, depth: int) -> Node:
        if word in ("if", "with", "range"):
            self._tokens.pop(0)
            return self._block(word, depth)
        if word in ("define", "template", "block"):
            raise TemplateError(f'"{word}" is not supported: a rule\'s texts stand alone')
        if word in ("break", "continue"):
            if not self._loops:
                raise TemplateError(f"{{{{ {word} }}}} outside of range")
            if len(self._tokens) > 1:
                raise TemplateError(f'unexpected "{self._tokens[1].text}" in {word}')
            return Jump(word)
        pipeline = self._pipeline(0)
        if self._tokens:
            raise TemplateError(f'unexpected "{self._tokens[0].text}" in {{{{ {text.strip()} }}}}')
        return Output(pipeline)

    def _block(self, word: str, depth: int) -> Block:
        known = len(self._variables)
        pipeline = self._pipeline(0, two=word == "range")
        if self._tokens:
            raise TemplateError(f'unexpected "{self._tokens[0].text}" in {word}')
        self._loops += word == "range"
        body, stop = self._nodes(depth + 1)
        self._loops -= word == "range"
        otherwise: tuple[Node, ...] = ()
        if stop == "else":
            if self._tokens and self._tokens[0].text == "if" and word == "if":
                self._tokens.pop(0)
                otherwise, stop = (self._block("if", depth + 1),), "end"
            elif self._tokens:
                raise TemplateError(f'unexpected "{self._tokens[0].text}" in else')
            else:
                otherwise, stop = self._nodes(depth + 1)
        if stop != "end":
            raise TemplateError(f"expected {{{{ end }}}} for {{{{ {word} }}}}, got {'else' if stop else 'the end'}")
        del self._variables[known:]
        return Block(word, pipeline, body, otherwise)

    def _pipeline(self, depth: int, *, two: bool = False) -> Pipeline:
        if depth > MAX_DEPTH:
            raise TemplateError(f"brackets are nested more than {MAX_DEPTH} deep")
        declares, assigns = self._declaration(two)
        commands = [self._command(depth, first=True)]
        while self._tokens and self._tokens[0].text == "|":
            self._tokens.pop(0)
            commands.append(self._command(depth, first=False))
        if not assigns:
            self._variables.extend(declares)
        return Pipeline(tuple(commands), declares, assigns)

    def _declaration(self, two: bool) -> tuple[tuple[str, ...], bool]:
        for count in (2, 1):
            shape = [token.text if token.kind == "mark" else token.kind for token in self._tokens[: 2 * count]]
            wanted = ["variable", ",", "variable"][: 2 * count - 1]
            ends = len(shape) == 2 * count and shape[:-1] == wanted
            if ends and (shape[-1] == ":=" or (shape[-1] == "=" and self._tokens[2 * count - 1].spaced)):
                names = tuple(token.text for token in self._tokens[: 2 * count : 2])
                if count == 2 and not two:
                    raise TemplateError("too many declarations: only range takes two variables")
                del self._tokens[: 2 * count]
                if shape[-1] == "=":
                    self._known(names)
                return names, shape[-1] == "="
        return (), False

    def _known(self, names: tuple[str, ...]) -> None:
        for name in names:
            if name not in self._variables:
                raise TemplateError(f'undefined variable "{name}"')

    def _command(self, depth: int, *, first: bool) -> Operand:
        operands: list[Operand] = []
        while self._more():
            if operands and not self._tokens[0].spaced:
                raise TemplateError(f'unexpected "{self._tokens[0].text}": expected a blank before it')
            operands.append(self._operand(depth, named=not operands))
        if not operands:
            raise TemplateError("missing value for command")
        head, arguments = operands[0], tuple(operands[1:])
        if isinstance(head, Call):
            call = Call(head.function, arguments)
            self._check_count(call, len(arguments) + (not first))
            return call
        if arguments:
            raise TemplateError("can't give arguments to something that is no function")
        if not first:
            raise TemplateError("only a function can stand after |")
        return head

    def _more(self) -> bool:
        return bool(self._tokens) and not (self._tokens[0].kind == "mark" and self._tokens[0].text in "|),")

    def _check_count(self, call: Call, count: int) -> None:
        fewest, most = self._functions[call.function]
        if count < fewest or (most is not None and count > most):
            wanted = f"{fewest}" if most == fewest else f"at least {fewest}" if most is None else f"{fewest} to {most}"
            raise TemplateError(f"wrong number of arguments for {call.function}: want {wanted}, got {count}")

    def _operand(self, depth: int, *, named: bool) -> Operand:
        operand = self._term(depth, named=named)
        while self._tokens and self._tokens[0].kind == "field" and not self._tokens[0].spaced:
            if isinstance(operand, Literal | Call | Dot):
                raise TemplateError(f'unexpected "{self._tokens[0].text}"')
            operand = Field(operand, self._tokens.pop(0).text[1:])
        return operand

    def _term(self, depth: int, *, named: bool) -> Operand:
        token = self._tokens.pop(0)
        if token.kind == "field":
            return Field(Dot(), token.text[1:])
        if token.kind == "variable":
            self._known((token.text,))
            return Variable(token.text)
        if token.kind == "string":
            return Literal(unquote(token.text))
        if token.kind == "char":
            return Literal(ord(unquote(token.text)))
        if token.kind == "number":
            return Literal(number(token.text))
        if token.kind == "word":
            return self._word(token.text, named)
        if token.text == "(":
            inner = self._pipeline(depth + 1)
            if not self._tokens or self._tokens.pop(0).text != ")":
                raise TemplateError("a bracket is not closed: expected )")
            return inner
        if token.text == ".":
            return Dot()
        raise TemplateError(f'unexpected "{token.text}"')

    def _word(self, word: str, named: bool) -> Operand:
        if word in ("true", "false"):
            return Literal(word == "true")
        if word == "nil":
            return Literal(None)
        if word not in self._functions:
            raise TemplateError(f'function "{word}" not defined')
        call = Call(word, ())
        if not named:
            self._check_count(call, 0)
        return call
