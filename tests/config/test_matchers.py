from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.matchers import parse_matcher


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ('severity="critical"', ("severity", "=", "critical")),
        ("severity=critical", ("severity", "=", "critical")),
        (' node =~ "AGX.*|PI5[12]" ', ("node", "=~", "AGX.*|PI5[12]")),
        ("tier!=2", ("tier", "!=", "2")),
        ('job!~"a\\\\.b"', ("job", "!~", "a\\.b")),
        ('x="say \\"hi\\"\\n"', ("x", "=", 'say "hi"\n')),
        ('x=""', ("x", "=", "")),
        ("x=", ("x", "=", "")),
        ('x="a=b,{c}"', ("x", "=", "a=b,{c}")),
    ],
)
def test_matchers(text: str, parts: tuple[str, str, str]) -> None:
    assert parse_matcher(text) == parts


@pytest.mark.parametrize(
    "text", ["", "severity", "=x", 'a=="b"', 'a="b', "a=b c", "1a=b", "{a=b}", 'a="b",c="d"', "a<3", 'a = ~"x"']
)
def test_what_is_no_matcher(text: str) -> None:
    with pytest.raises(ValueError, match="expected a matcher such as"):
        parse_matcher(text)


@pytest.mark.parametrize("text", ['a=~"("', 'a!~"*"', 'a=~"[z-a]"'])
def test_bad_regular_expressions(text: str) -> None:
    with pytest.raises(ValueError, match="is not a regular expression"):
        parse_matcher(text)


@given(st.text(max_size=40))
def test_quoted_values_come_back(value: str) -> None:
    quoted = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    assert parse_matcher(f'a="{quoted}"') == ("a", "=", value)
