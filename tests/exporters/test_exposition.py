from __future__ import annotations

import gzip
import math
import zlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from config.daemon.log import KeyValueFormatter
from exporters.catalog.metric import Metric
from exporters.collector import Family
from exporters.exposition import SPARE, Renderer, compress

GAUGE = Metric("a_gauge", "gauge", "Help.", ("x",))


def test_the_format() -> None:
    page = Renderer().render(
        [
            Family(Metric("up_seconds_total", "counter", "Line\nbreak and \\ backslash."), [((), 1.5)]),
            Family(GAUGE, [(('quote " slash \\ line \n',), 3.0)]),
            Family(Metric("plain", "untyped", "No total is added."), [((), 1e22)]),
        ]
    )
    assert page.decode() == (
        "# HELP up_seconds_total Line\\nbreak and \\\\ backslash.\n"
        "# TYPE up_seconds_total counter\n"
        "up_seconds_total 1.5\n"
        "# HELP a_gauge Help.\n"
        "# TYPE a_gauge gauge\n"
        'a_gauge{x="quote \\" slash \\\\ line \\n"} 3.0\n'
        "# HELP plain No total is added.\n"
        "# TYPE plain untyped\n"
        "plain 1e+22\n"
    )


@pytest.mark.parametrize(("value", "text"), [(math.nan, "NaN"), (math.inf, "+Inf"), (-math.inf, "-Inf"), (0.0, "0.0")])
def test_special_values(value: float, text: str) -> None:
    assert Renderer().render([Family(GAUGE, [(("a",), value)])]).endswith(f'a_gauge{{x="a"}} {text}\n'.encode())


def test_families_of_one_name_stand_together_once() -> None:
    other = Metric("other", "gauge", "Other.")
    page = Renderer().render(
        [Family(GAUGE, [(("a",), 1.0)]), Family(other, [((), 5.0)]), Family(GAUGE, [(("a",), 9.0), (("b",), 2.0)])]
    )
    assert [line for line in page.decode().splitlines() if line[0] != "#"] == [
        'a_gauge{x="a"} 1.0',
        'a_gauge{x="b"} 2.0',
        "other 5.0",
    ]


def test_what_is_told_twice_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    renderer = Renderer()
    other = Metric("other", "counter", "Other.")
    families = [Family(GAUGE, [(("a",), 1.0)]), Family(other, [((), 5.0)])]
    again = [Family(GAUGE, [(("a",), 9.0)]), Family(Metric("other", "gauge", "Mine."), [((), 6.0)])]
    for _ in range(2):
        page = renderer.render([*families, *again]).decode()
        assert [line for line in page.splitlines() if line[0] != "#"] == ['a_gauge{x="a"} 1.0', "other 5.0"]
    told = [KeyValueFormatter().format(record) for record in caplog.records]
    assert len(told) == 2
    assert "metric=a_gauge" in told[0]
    assert "metric=other" in told[1]


def test_a_family_that_contradicts_an_earlier_one_is_left_out() -> None:
    counter = Metric("a_gauge", "counter", "Help.", ("x",))
    page = Renderer().render([Family(GAUGE, [(("a",), 1.0)]), Family(counter, [(("b",), 2.0)])])
    assert b'x="b"' not in page
    assert page.count(b"# TYPE") == 1


def test_an_empty_family_is_not_told() -> None:
    assert Renderer().render([Family(GAUGE, [])]) == b""


def test_a_collectors_fault_costs_its_sample_and_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    renderer = Renderer()
    no_number: Any = None
    for _ in range(3):
        page = renderer.render([Family(GAUGE, [(("a", "b"), 1.0), (("c",), no_number), (("d",), 2.0)])])
        assert [line for line in page.decode().splitlines() if line[0] != "#"] == ['a_gauge{x="d"} 2.0']
    assert [record.getMessage() for record in caplog.records] == ["sample left out"]


def test_what_is_remembered_does_not_grow_with_series_that_come_and_go() -> None:
    renderer = Renderer()
    for number in range(500):
        rows = [(("stays",), 1.0), ((f"job{number}",), 2.0)]
        page = renderer.render([Family(GAUGE, rows), Family(Metric(f"m{number}", "gauge", "Of a file."), [((), 3.0)])])
        assert f'a_gauge{{x="stays"}} 1.0\na_gauge{{x="job{number}"}} 2.0\n'.encode() in page
        assert f"\nm{number} 3.0\n".encode() in page
        assert len(renderer._known["a_gauge"].prefixes) <= len(rows) + SPARE
        assert len(renderer._known) <= 2 + SPARE
    assert ("stays",) in renderer._known["a_gauge"].prefixes


def test_a_metric_that_changed_its_help_is_told_anew() -> None:
    renderer = Renderer()
    renderer.render([Family(GAUGE, [(("a",), 1.0)])])
    page = renderer.render([Family(Metric("a_gauge", "gauge", "New.", ("y",)), [(("a",), 1.0)])])
    assert page == b'# HELP a_gauge New.\n# TYPE a_gauge gauge\na_gauge{y="a"} 1.0\n'


def test_gzip() -> None:
    page = b"a 1\n" * 5000
    packed = compress(page)
    assert gzip.decompress(packed) == page
    assert len(packed) < len(page) / 10
    with pytest.raises(zlib.error):
        zlib.decompress(packed)  # gzip, not the raw zlib format


NAMES = st.from_regex(r"[a-z][a-z0-9_]{0,12}", fullmatch=True)
TEXT = st.text(max_size=30)


@st.composite
def family(draw: st.DrawFn) -> Family:
    labels = tuple(draw(st.lists(NAMES, max_size=3, unique=True)))
    metric = Metric("m_" + draw(NAMES), draw(st.sampled_from(("gauge", "counter", "untyped"))), draw(TEXT), labels)
    values = st.floats(allow_nan=False)
    rows = draw(
        st.lists(st.tuples(st.tuples(*(TEXT for _ in labels)), values), max_size=4, unique_by=lambda row: row[0])
    )
    return Family(metric, rows)


@given(st.lists(family(), max_size=4, unique_by=lambda found: found.metric.name))
def test_prometheus_client_reads_back_what_was_written(families: list[Family]) -> None:
    page = Renderer().render(families).decode()
    read = {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for found in text_string_to_metric_families(page)
        for sample in found.samples
    }
    written = {
        (f.metric.name, tuple(sorted((n, valid(v)) for n, v in zip(f.metric.labels, labels, strict=True)))): value
        for f in families
        for labels, value in f.rows
    }
    assert {strip_total(*item) for item in read.items()} == {strip_total(*item) for item in written.items()}


def valid(text: str) -> str:
    return text.encode("utf-8", "replace").decode()


def strip_total(key: tuple[str, tuple[tuple[str, str], ...]], value: float) -> tuple[object, ...]:
    """The oracle's parser gives a counter's samples the suffix that OpenMetrics wants."""
    return key[0].removesuffix("_total"), key[1], value
