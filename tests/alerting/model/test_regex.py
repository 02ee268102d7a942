from __future__ import annotations

import contextlib
import warnings

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alerting.model.matcher import Matcher
from alerting.model.regex import RegexError, compile_anchored


@pytest.mark.parametrize(
    ("pattern", "matches", "differs"),
    [
        ("a|b", ["a", "b"], ["ab", "c", ""]),
        ("((?i)PRO).*", ["production", "Prod"], ["xpro"]),
        ("a(?i)b|c", ["ab", "aB", "c", "C"], ["Ab", "aC"]),
        ("(?i:x)y", ["Xy", "xy"], ["xY"]),
        (".*(?i:DUC).*", ["production"], ["prod"]),
        ("a$", ["a"], ["a\n"]),
        ("a.b", ["a\nb", "axb"], ["ab"]),
        (r"\d+", ["12"], ["१२", ""]),
        (r"[\d_]+", ["1_2"], ["a"]),
        (r"\D", ["a"], ["1"]),
        (r"\w+\z", ["ab_1"], ["é"]),
        (r"\Qa.b\E.", ["a.bc"], ["axbc"]),
        ("(?P<n>a)(?<m>b)", ["ab"], ["a"]),
        ("[[:digit:]x]+", ["1x2"], ["y"]),
        ("[]a]+", ["]a"], ["b"]),
        ("[^]a]", ["b"], ["]", "a"]),
        ("[a&&b]", ["&", "a", "b"], ["c"]),
        (r"\x41\x{42}\103", ["ABC"], ["abc"]),
        (r"a\.b\-c\/", ["a.b-c/"], ["axb-c/"]),
        ("192\\.168\\.0\\.(1|2):.+", ["192.168.0.1:9"], ["192.168.0.3:9"]),
        ("a{2,3}?", ["aa", "aaa"], ["a"]),
        (r"[\s\S]*", ["", "a\nb", "é"], []),
        (r"[^\S\n]", [" ", "\t"], ["\n", "a"]),
        (r"[\D]", ["a", "é", "\U0001f600"], ["1"]),
        (r"[^\W_]+", ["a1"], ["_", "é"]),
        ("[[:^alpha:]]", ["1", "é", "_"], ["a", "Z"]),
        ("[[:^ascii:]x]", ["é", "x"], ["a"]),
        ("[^[:^digit:]]", ["7"], ["a"]),
        (r"\pL+", ["abcéß", "字"], ["1", "a b", ""]),
        (r"\p{Lu}\PL", ["É1"], ["é1", "ÉÉ"]),
        (r"[\p{Nd}\pP]+", ["1.٣"], ["a", "½"]),
        (r"\p{^L}\P{^L}", ["1a"], ["aa", "a1"]),
        (r"[^\pL]", ["1"], ["ü"]),
        (r"(?i)\p{Lu}+", ["aÉ"], ["1"]),
        (r"\p{Any}", ["\n", "\U0010ffff"], [""]),
        (r"[^\p{Any}]|b", ["b"], ["a", "\n"]),
        ("a{,3}", ["a{,3}"], ["", "a", "aaa"]),
        ("a{x}|{}|x{01}", ["a{x}", "{}", "x{01}"], ["a", "x"]),
        ("a{2,}", ["aa", "a" * 99], ["a"]),
        (r"[\]\-a^]+", ["]-a^"], ["b"]),
        ("[a-c-]+", ["abc-"], ["d"]),
        ("[--/]+", ["-./"], ["0", ","]),
        ("[[a]+", ["[a"], ["]"]),
        (r"[\x{100}-\x{200}]", ["\u0180"], ["\u0250"]),
        ("[[:x]", ["[", ":", "x"], ["y"]),
    ],
)
def test_re2_meaning(pattern: str, matches: list[str], differs: list[str]) -> None:
    regex = compile_anchored(pattern)
    for text in matches:
        assert regex.fullmatch(text), text
    for text in differs:
        assert not regex.fullmatch(text), text


@pytest.mark.parametrize(
    "pattern",
    [
        *["(", ")", "[a", "a**", "a++", r"(a)\1", "(?=a)", "(?<!a)b", "*", r"a\y", "\\", "(?m)a", "(?U)a", r"\Qa*b"],
        *["a{1001}", "a{1,1001}", "a{2,1}", "a{2}{3}", "a{2}+", "[[:foo:]]", "[z-a]", r"[a-\d]", "[a--b]", "[]", "[^]"],
        *["[a-", r"[\Q", r"\p", r"\p{L", r"\p{Foo}", r"\p{Greek}"],
    ],
)
def test_refused(pattern: str) -> None:
    with pytest.raises(RegexError, match="bad regular expression"):
        compile_anchored(pattern)
    with pytest.raises(ValueError, match="bad regular expression"):
        Matcher("a", "=~", pattern)


@settings(deadline=None)
@given(st.text(alphabet="ab(|)[]^$.*+?{}\\dwSpLQE1,:-&~i<>P=!é\n", max_size=20))
def test_any_text_compiles_or_is_refused(pattern: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with contextlib.suppress(RegexError):
            compile_anchored(pattern).fullmatch("ab1")


@settings(deadline=None)
@given(st.text(max_size=20))
def test_escaped_text_matches_itself(text: str) -> None:
    quoted = "".join("\\" + char if not char.isalnum() and char.isascii() else char for char in text)
    assert compile_anchored(quoted).fullmatch(text)
