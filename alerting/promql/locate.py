"""Where each part of a tree stands in the query's text.

The parsing library gives a tree without positions, and annotations name the part they are about. So the tree is walked
once more along the tokens of the text, in reading order.
"""

from __future__ import annotations

from bisect import bisect_right

from alerting.promql import nodes
from alerting.promql.lex import Token


class LostError(Exception):
    """Text and tree do not go together."""


def locate(expr: nodes.Expr, text: str, tokens: list[Token]) -> None:
    """Set ``position`` of a freshly made tree. Where text and tree do not fit each other it stays None."""
    walk = _Walk(text, tokens)
    try:
        walk.expr(expr)
    except LostError:
        for node in nodes.walk(expr):
            object.__setattr__(node, "position", None)


class _Walk:
    def __init__(self, text: str, tokens: list[Token]) -> None:
        self._lines = [0, *(place + 1 for place, letter in enumerate(text) if letter == "\n")]
        self._tokens = tokens
        self._next = 0

    def expr(self, node: nodes.Expr) -> tuple[int, int]:
        """Go over the tokens of an expression; where it begins."""
        while self._peek() == "+":
            self._next += 1
        place = self._here()
        match node:
            case nodes.NumberLiteral():
                while self._peek() in ("-", "+"):
                    self._next += 1
                self._next += 1
            case nodes.StringLiteral():
                self._next += 1
            case nodes.VectorSelector():
                self._selector()
                self._modifiers()
            case nodes.MatrixSelector(selector):
                object.__setattr__(selector, "position", place)
                self._selector()
                self._brackets("[")
                self._modifiers()
            case nodes.Paren(inner):
                self._take("(")
                self.expr(inner)
                self._take(")")
            case nodes.Negation(inner):
                self._take("-")
                self.expr(inner)
            case nodes.Subquery():
                place = self.expr(node.expr)
                self._brackets("[")
                self._modifiers()
            case nodes.Binary():
                place = self._binary(node)
            case nodes.Aggregate():
                self._aggregate(node)
            case nodes.Call():
                self._call(node)
        object.__setattr__(node, "position", place)
        return place

    def _selector(self) -> None:
        if self._peek() != "{":
            self._next += 1
        if self._peek() == "{":
            self._brackets("{")

    def _modifiers(self) -> None:
        while self._peek() in ("@", "offset"):
            self._next += 1
            while self._peek() in ("-", "+"):
                self._next += 1
            self._next += 1  # a number, start or end
            if self._peek() == "(":
                self._brackets("(")

    def _binary(self, node: nodes.Binary) -> tuple[int, int]:
        place = self.expr(node.left)
        self._take(node.op)
        if self._peek() == "bool":
            self._next += 1
        for words in (("on", "ignoring"), ("group_left", "group_right")):
            if self._peek() in words:
                self._next += 1
                if self._peek() == "(":
                    self._brackets("(")
        self.expr(node.right)
        return place

    def _aggregate(self, node: nodes.Aggregate) -> None:
        self._take(node.op)
        self._grouping()
        self._take("(")
        if node.param is not None:
            self.expr(node.param)
            self._take(",")
        self.expr(node.expr)
        self._take(")")
        self._grouping()

    def _grouping(self) -> None:
        if self._peek() in ("by", "without"):
            self._next += 1
            self._brackets("(")

    def _call(self, node: nodes.Call) -> None:
        self._next += 1
        self._take("(")
        for index, argument in enumerate(node.args):
            if index:
                self._take(",")
            self.expr(argument)
        self._take(")")

    def _brackets(self, opening: str) -> None:
        """Over a pair of brackets and all that is in them."""
        self._take(opening)
        depth = 1
        while depth:
            kind = self._token().kind
            depth += (kind == "open") - (kind == "close")
            self._next += 1

    def _token(self) -> Token:
        if self._next >= len(self._tokens):
            raise LostError
        return self._tokens[self._next]

    def _here(self) -> tuple[int, int]:
        """Line and column of the next token, from 1."""
        start = self._token().start
        line = bisect_right(self._lines, start)
        return line, start - self._lines[line - 1] + 1

    def _peek(self) -> str:
        return self._tokens[self._next].text.lower() if self._next < len(self._tokens) else ""

    def _take(self, text: str) -> None:
        if self._peek() != text:
            raise LostError
        self._next += 1
