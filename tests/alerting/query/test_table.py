"""Answers as aligned text."""

from __future__ import annotations

from typing import Any

import pytest

from alerting.query.answer import Answer, AskError
from alerting.query.table import table
from alerting.query.terminal import Terminal, cells, cut

WIDE = Terminal(width=100, height=30, colour=False, unicode=True)


def vector(*series: tuple[dict[str, str], str]) -> Answer:
    return Answer({"resultType": "vector", "result": [{"metric": m, "value": [1.5, v]} for m, v in series]})


def test_labels_are_columns_and_values_stand_right() -> None:
    answer = vector(
        ({"__name__": "up", "node": "AGX0", "job": "x"}, "1"), ({"__name__": "up", "node": "日本"}, "-1.5e-07")
    )
    assert table(answer, WIDE) == (
        "METRIC  job  node     VALUE\n"
        "up      x    AGX0         1\n"
        "up           日本  -1.5e-07\n"
    )  # fmt: skip


def test_what_is_the_same_everywhere_goes_above_when_it_is_too_wide() -> None:
    same = {"__name__": "m", "board": "b" * 60}
    answer = vector(({**same, "n": "1"}, "1"), ({**same, "n": "2"}, "22"))
    assert table(answer, Terminal(60, 30, colour=False, unicode=True)) == (
        f'm{{board="{"b" * 60}"}}\n\nn  VALUE\n1      1\n2     22\n'
    )


def test_a_column_that_is_still_too_wide_is_cut_and_the_value_never() -> None:
    answer = vector(({"a": "x" * 90, "b": "y"}, "123456789"), ({"a": "z", "b": "w"}, "1"))
    for unicode, mark in ((True, "…"), (False, "~")):
        text = table(answer, Terminal(40, 30, colour=False, unicode=unicode))
        assert all(cells(row) <= 40 for row in text.splitlines())
        assert f"x{mark}  y  123456789" in text


def test_nothing_scalars_strings_and_samples() -> None:
    assert table(vector(), WIDE) == ""
    assert table(Answer({"resultType": "scalar", "result": [1, "NaN"]}), WIDE) == "NaN\n"
    assert table(Answer({"resultType": "string", "result": [1, "a\x1b[0m"]}), WIDE) == "a\\x1b[0m\n"
    matrix: dict[str, Any] = {"metric": {"a": 'q"\n'}, "values": [[0, "1"], [1.5, "22"]]}
    text = table(Answer({"resultType": "matrix", "result": [matrix]}), WIDE)
    first, *rows = text.splitlines()
    assert first == '{a="q\\"\\n"}'
    assert [row.split()[-1] for row in rows] == ["1", "22"]
    assert len(set(map(len, rows))) == 2  # the second has milliseconds


def test_an_answer_of_another_shape_is_told() -> None:
    for result in ([{"metric": {}}, {"value": [1, "2"]}], [{"metric": {}, "value": ["x", "1"]}], None):
        with pytest.raises(AskError, match="cannot be read"):
            _ = Answer({"resultType": "vector", "result": result}).lines


def test_cutting() -> None:
    assert cut("abcdef", 6) == "abcdef"
    assert cut("abcdefg", 6) == "abcde…"
    assert cut("日本語日本", 6) == "日本…"
