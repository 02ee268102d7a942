"""The reader of files: exact lines, plain words, and nothing that a hostile file can do."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from config.problems import Problem
from config.yamlfile import MAX_BYTES, Document, dump, parse, read

UNREADABLE = "f:1: YAML cannot read this as a date, number or plain text; put it in quotes"


def parsed(text: str) -> tuple[Document | None, list[str]]:
    problems: list[Problem] = []
    return parse(text, "f", problems), [str(problem) for problem in problems]


def sound(text: str) -> Document:
    document, problems = parsed(text)
    assert document is not None
    assert problems == []
    return document


def test_lines_are_those_of_the_keys_and_items() -> None:
    document = sound("# top\na: 1\nb:\n  c: [x,\n      y]\n  d:\n    - 1\n    -\n      e: 2\n")
    assert document.value == {"a": 1, "b": {"c": ["x", "y"], "d": [1, {"e": 2}]}}
    expected = {
        ("a",): 2, ("b",): 3, ("b", "c"): 4, ("b", "c", 0): 4, ("b", "c", 1): 5, ("b", "d"): 6, ("b", "d", 0): 7,
        ("b", "d", 1): 9, ("b", "d", 1, "e"): 9,
    }  # fmt: skip
    assert {path: line for path, line in document.lines.items() if path} == expected
    assert document.line(("b", "c", "missing", "deeper")) == 4
    assert document.line(("nowhere",)) == 2


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\nb: 'x\0y'\n", "f:2: a character that text cannot hold (code 0); delete it"),
        ("a: 1\nb: \x1b[31m\n", "f:2: a character that text cannot hold (code 27); delete it"),
        ("a:\n\tb: 1\n", "f:2: not valid YAML: a tab or a stray sign; indent with spaces, quote text that starts with a"
         " sign such as @ or `"),
        ("a: @home\n", "f:1: not valid YAML: a tab or a stray sign; indent with spaces, quote text that starts with a"
         " sign such as @ or `"),
        ("a: b: c\n", 'f:1: not valid YAML: a second ": " on one line; put text that contains ": " in quotes, or check'
         " the indentation of the line above"),
        ("a: [1,\n\nb: 2\n", 'f:4: not valid YAML: a list opened with "[" is not closed'),
        ("a: 1\n---\nb: 2\n", 'f:2: not valid YAML: a second document ("---"); one file holds one'),
        ("a: *b\n", 'f:1: not valid YAML: a name after "*" that no "&" defines; put text that starts with * in quotes'),
        ("", "f: is empty"),
    ],
)  # fmt: skip
def test_what_ends_reading(text: str, message: str) -> None:
    document, problems = parsed(text)
    assert document is None
    assert problems == [message]


@pytest.mark.parametrize(
    ("text", "value", "message"),
    [
        ("a: 1\na: 2\n", {"a": 1}, 'f:2: "a" is given twice (first on line 1)'),
        ("a: 2026-13-45\n", {"a": None}, UNREADABLE),
        ("a: !!int x\n", {"a": None}, UNREADABLE),
        (f"a: {'1' * 5000}\n", {"a": None}, UNREADABLE),
        ("a: !!python/object/apply:os.system [ls]\n", {"a": None},
         "f:1: the tag tag:yaml.org,2002:python/object/apply:os.system is not supported"),
        ("a: 1\non: 2\n", {"a": 1}, 'f:2: YAML reads the key on as true; put it in quotes: "on"'),
        ("? [x]\n: 1\n", {}, "f:1: expected a name as key"),
        ("? !!int x\n: 1\n", {}, "f:1: expected a name as key"),
        ("1.5: x\n", {}, "f:1: expected a name as key"),
        ("~: x\n", {}, "f:1: expected a name as key"),
        ("a: &x {b: 1}\nc:\n  <<: *x\n", {"a": {"b": 1}, "c": {}},
         'f:3: merging with "<<" is not supported; write the keys out'),
    ],
)  # fmt: skip
def test_what_is_left_out(text: str, value: object, message: str) -> None:
    document, problems = parsed(text)
    assert document is not None
    assert document.value == value
    assert problems == [message]
    assert document.broken


def test_dates_stay_text() -> None:
    assert sound("a: 2026-11-23\n").value == {"a": "2026-11-23"}


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("[" * 500_000, id="lists"),
        pytest.param("{a: " * 500_000, id="mappings"),
        pytest.param("- " * 500_000, id="dashes"),
        pytest.param("? " * 100_000, id="question marks"),
        pytest.param("a: [" + "x," * 1_000_000 + "]", id="a million values"),
        pytest.param("a: &a [*a]\n", id="an alias of itself"),
        pytest.param(
            "a: &a [x,x,x,x,x,x,x,x,x]\n"
            + "".join(f"{chr(98 + i)}: &{chr(98 + i)} [{','.join(['*' + chr(97 + i)] * 9)}]\n" for i in range(12)),
            id="billion laughs",
        ),
    ],
)
def test_bombs_are_refused_quickly(text: str) -> None:
    start = time.monotonic()
    document, problems = parsed(text)
    assert document is None
    assert len(problems) == 1
    assert "nested deeper than 40 levels, or more than 200000 values" in problems[0]
    assert time.monotonic() - start < 20


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"a: 1\nb: \xff\n", ":2: is not UTF-8 text; save it as UTF-8"),
        ("a: 1\n".encode("utf-16"), ":1: is not UTF-8 text; save it as UTF-8"),
        (b"#" * (MAX_BYTES + 1), ": larger than 4 MiB"),
    ],
)
def test_bytes_that_are_no_text(data: bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / "f.yaml"
    path.write_bytes(data)
    problems: list[Problem] = []
    assert read(path, problems) is None
    assert [str(problem) for problem in problems] == [f"{path}{message}"]


def test_folders_and_pipes_are_no_files(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path, tmp_path / "pipe"):
        problems: list[Problem] = []
        assert read(path, problems) is None
        assert [problem.message for problem in problems] == ["is not a file"]


def test_intact_and_complete() -> None:
    document, _ = parsed("a:\n  b: 1\n  b: 2\n  NO: 3\n  c: 4\nd: 5\n")
    assert document is not None
    assert not document.intact(("a", "b"))
    assert not document.intact(("a", "b", "inside"))
    assert document.intact(("a", "c"))
    assert not document.complete(("a",))
    assert document.complete(())


@given(st.text(alphabet=st.characters(codec="utf-8"), max_size=200))
def test_any_text_is_read_or_refused_in_words(text: str) -> None:
    document, problems = parsed(text)
    assert document is not None or problems
    for problem in problems:
        assert problem.startswith("f")


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers(-(10**9), 10**9) | st.text(st.characters(codec="utf-8"), max_size=20),
        lambda inner: (
            st.lists(inner, max_size=3) | st.dictionaries(st.from_regex(r"[a-z]{2,8}", fullmatch=True), inner)
        ),
        max_leaves=10,
    ).map(lambda value: {"top": value})
)
@example({"top": "\x85"})
@example({"top": ["a\u2028b", "ä→🔥"]})
def test_what_is_written_is_read_back(value: dict[str, Any]) -> None:
    assert sound(dump(value)).value == value
