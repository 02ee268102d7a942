from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from exporters.exposition import escape
from exporters.sources.textformat import BadText, parse


def test_all_of_the_format() -> None:
    found = parse(
        "# HELP backup_age_seconds Age, \\\\ and\\n more.\n"
        "# TYPE backup_age_seconds gauge\n"
        "\n"
        "# a comment\n"
        'backup_age_seconds{job="a b",path="C:\\\\x \\"y\\" \\n",} 1.5e3\n'
        '  backup_age_seconds { job = "b" } NaN  \n'
        "plain +Inf\n"
        "# TYPE h histogram\n"
        'h_bucket{le="+Inf"} 3\n'
        "h_sum 4\n"
    )
    family = found["backup_age_seconds"]
    assert (family.kind, family.help) == ("gauge", "Age, \\ and\n more.")
    assert family.rows[0] == ({"job": "a b", "path": 'C:\\x "y" \n'}, 1500.0)
    assert family.rows[1][0] == {"job": "b"}
    assert math.isnan(family.rows[1][1])
    assert (found["plain"].kind, found["plain"].rows) == ("untyped", [({}, math.inf)])
    assert found["h_bucket"].rows == [({"le": "+Inf"}, 3.0)]
    assert "h" not in found


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a 1\nb 1 1395066363000\n", "line 2: b has a timestamp"),
        ("a\n", "line 1: a: expected one number"),
        ("a one\n", "line 1: a: 'one' is no number"),
        ("a 1_0\n", "line 1: a: '1_0' is no number"),
        ("a{x=1} 1\n", 'line 1: expected name="value"'),
        ('a{x="1" y="2"} 1\n', 'line 1: expected name="value"'),
        ('a{x="1",x="2"} 1\n', "line 1: label x is there twice"),
        ('a{x="1"\n', 'line 1: expected name="value"'),
        ("9a 1\n", "line 1: expected a metric name"),
        ("# TYPE a gague\na 1\n", "line 1: type 'gague' of a: expected counter"),
        ("# TYPE a-b gauge\n", "line 1: 'a-b' is no metric name"),
        ("a 1\nb 12", "line 2: the file ends within it"),
        ("a 1\n# TYPE a gauge\n", "line 2: TYPE of a stands behind its samples"),
        ("# TYPE a gauge\n# TYPE a gauge\n", "line 2: TYPE of a is there twice"),
        ("# HELP a x\n# HELP a x\n", "line 2: HELP of a is there twice"),
        ('a{__name__="b"} 1\n', "line 1: a label cannot be called __name__"),
        ('a{x="b\\q"} 1\n', 'line 1: expected name="value"'),
        ("a ١٢\n", "line 1: a: '١٢' is no number"),
        ("a 1e400\n", "line 1: a: '1e400' is no number"),
    ],
)
def test_what_is_refused_is_told_with_its_line(text: str, message: str) -> None:
    with pytest.raises(BadText) as caught:
        parse(text)
    assert str(caught.value).startswith(message)


def test_the_number_of_samples_is_bounded() -> None:
    with pytest.raises(BadText, match="more than 5000 samples"):
        parse("a 1\n" * 5001)


@given(st.dictionaries(st.from_regex(r"[a-z][a-z0-9_]{0,8}", fullmatch=True), st.text(max_size=20), max_size=3))
def test_labels_read_as_the_reference_parser_reads_them(labels: dict[str, str]) -> None:
    labels = {name: value.encode("utf-8", "replace").decode() for name, value in labels.items()}
    inner = ",".join(f'{name}="{escape(value)}"' for name, value in labels.items())
    text = f"a{{{inner}}} 1\n"
    (oracle,) = text_string_to_metric_families(text)
    assert parse(text)["a"].rows == [(labels, 1.0)]
    assert oracle.samples[0].labels == labels


@given(st.integers(0, 60))
def test_a_file_that_is_still_being_written_tells_nothing_wrong(cut: int) -> None:
    text = "# TYPE size_bytes gauge\nsize_bytes 123456\nother 7890\n"
    try:
        found = parse(text[:cut])
    except BadText:
        return
    assert {name: family.rows for name, family in found.items()}.items() <= {
        "size_bytes": [({}, 123456.0)],
        "other": [({}, 7890.0)],
    }.items()


@given(st.text(max_size=80))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        parse(text)
    except BadText as error:
        assert str(error).startswith("line ")
