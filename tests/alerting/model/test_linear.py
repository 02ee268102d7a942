from __future__ import annotations

import re
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alerting.model import linear
from alerting.model.matcher import Matcher
from alerting.model.regex import RegexError, compile_anchored

FLAGS = re.DOTALL

ATOMS = st.sampled_from(["a", "b", ".", "[ab]", "[^a]", "c", r"\b", "^", r"\Z", "(?i:A)", r"\d"])
TAILS = st.sampled_from(["*", "+", "?", "{2}", "{1,3}", "{0,2}", "*?", "+?", "??"])
PATTERNS = st.recursive(
    ATOMS,
    lambda inner: (
        st.tuples(inner, inner).map("".join)
        | st.tuples(inner, inner).map(lambda pair: f"({pair[0]}|{pair[1]})")
        | st.tuples(inner, TAILS).map(lambda pair: f"({pair[0]}){pair[1]}")
    ),
    max_leaves=8,
)


@settings(max_examples=300)
@given(PATTERNS, st.lists(st.text("abcA1 ", max_size=7), min_size=1, max_size=4))
def test_it_matches_what_python_matches(pattern: str, texts: list[str]) -> None:
    mine = linear.LinearPattern(linear.parsed(pattern, FLAGS), FLAGS)
    theirs = re.compile(pattern, FLAGS)
    for text in texts:
        assert (mine.fullmatch(text) is None) is (theirs.fullmatch(text) is None)


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        (r"([a-z]+\.)*(?P<last>[a-z]+)", "a.bc.def"),
        (r"(\d+)(?:\.(\d+)){3}(:\d+)?", "10.0.0.12:9191"),
        (r"(a|ab)(c|bcd)(d*)", "abcd"),
        (r"(.*?)(\d*)", "node12"),
        (r"(x)?(y)", "y"),
        (r"(?i:NODE)_(\w+)_total", "node_cpu_total"),
        (r"", ""),
    ],
)
def test_its_groups_are_those_of_python(pattern: str, text: str) -> None:
    mine = linear.LinearPattern(linear.parsed(pattern, FLAGS), FLAGS).fullmatch(text)
    theirs = re.fullmatch(pattern, text, FLAGS)
    assert mine is not None
    assert theirs is not None
    assert [mine.group(number) for number in range(len(theirs.groups()) + 1)] == [theirs.group(0), *theirs.groups()]
    assert {name: mine.group(name) for name in theirs.groupdict()} == theirs.groupdict()
    with pytest.raises(IndexError):
        mine.group(len(theirs.groups()) + 1)
    with pytest.raises(IndexError):
        mine.group("missing")


@pytest.mark.parametrize(
    "pattern",
    [
        "(([a-zA-Z_])*)*!",
        "([a-z]+)+!",
        "(a|b|[a-z_A-Z]|[a-zA-Z_]+)+!",
        "([a-zA-Z_]{1,50}){1,50}!",
        "(.*)*(.*)*(.*)*!",
        ".*a.*a.*a.*a.*a.*a.*a.*!",
        "(a|aa)(a|aa)(a|aa)(a|aa)(a|aa)(a|aa)(a|aa)(a|aa)(a|aa)(a|aa)(a|aa)(a|aa)(a|aa)(a|aa)(a|aa)(a|aa)(a|aa)a*!",
    ],
)
def test_no_expression_takes_for_ever(pattern: str) -> None:
    matcher = Matcher("name", "=~", pattern)
    began = time.thread_time()
    assert not matcher.matches("a" * 60)
    assert matcher.matches("a" * 60 + "!")
    assert time.thread_time() - began < 5


@pytest.mark.parametrize(
    "pattern",
    [
        "node_(cpu|memory)_.*",
        ".+",
        "tmpfs|ramfs|squashfs|overlay",
        "/(dev|proc|run/credentials/.+|sys|var/lib/docker/.+|var/lib/containers/storage/.+)($|/)",
        r"(\d+)\.(\d+)\.(\d+)",
    ],
)
def test_what_people_write_stays_with_python(pattern: str) -> None:
    assert isinstance(compile_anchored(pattern), re.Pattern)


def test_an_expression_that_repeats_too_much_is_refused() -> None:
    with pytest.raises(RegexError, match="it repeats too much"):
        compile_anchored("((a{1,1000}b?){1,1000})+")
