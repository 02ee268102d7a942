"""Pages: golden ones, the layouts that are remembered, limits, and the client library's parser as the judge."""

from __future__ import annotations

import math
import random
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from alerting.model.labels import Labels
from alerting.scrape.exposition import Page, PageReader
from alerting.scrape.line import PageError

PAGES = Path(__file__).parent / "pages"


@dataclass(frozen=True)
class Limits:
    series: int = 20_000
    label_bytes: int = 4096


def reader(limits: Limits | None = None) -> PageReader:
    return PageReader(limits or Limits())


def content(target: PageReader, page: Page) -> dict[Labels, float]:
    return {target.labels[slot]: float(value) for slot, value in zip(page.slots, page.values, strict=True)}


def read(text: bytes) -> dict[str, float]:
    target = reader()
    return {str(labels): value for labels, value in content(target, target.read(text)).items()}


def test_a_small_page() -> None:
    text = b"""# HELP http_requests_total The total number of HTTP requests.
# TYPE http_requests_total counter
http_requests_total{method="post",code="200"} 1027 1395066363000
http_requests_total{method="post",code="400"}    3 1395066363000

# Escaping in label values:
msdos_file_access_time_seconds{path="C:\\\\DIR\\\\FILE.TXT",error="Cannot find file:\\n\\"FILE.TXT\\""} 1.458255915e9
metric_without_timestamp_and_labels 12.47
something_weird{problem="division by zero"} +Inf -3982045
"""
    assert read(text) == {
        'http_requests_total{code="200", method="post"}': 1027,
        'http_requests_total{code="400", method="post"}': 3,
        'msdos_file_access_time_seconds{error="Cannot find file:\\n\\"FILE.TXT\\"", '
        'path="C:\\\\DIR\\\\FILE.TXT"}': 1.458255915e9,
        "metric_without_timestamp_and_labels": 12.47,
        'something_weird{problem="division by zero"}': math.inf,
    }


def test_open_metrics_end_and_exemplars_are_tolerated() -> None:
    assert read(b'# TYPE a counter\na_total 1 # {t="x"} 1\n# EOF\n') == {"a_total": 1}
    assert read(b"a 1\n# EOF") == {"a": 1}


def test_interleaved_families_and_missing_types() -> None:
    assert read(b'b 1\na 2\n# TYPE b gauge\nb{x="1"} 3\n# TYPE b gauge\na{x="1"} 4\n  # remark\n \t\n') == {
        "b": 1,
        "a": 2,
        'b{x="1"}': 3,
        'a{x="1"}': 4,
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"", "the page is empty"),
        (b"a 1\nb 2", "line 2: the page is cut off: no newline at its end (b'b 2')"),
        (b"a 1\nb{x=", "line 2: the page is cut off: no newline at its end (b'b{x=')"),
        (b"a 1\n\n<html>\n", 'line 3: expected a metric name, got "<html>"'),
        (b"a 1\nb 2\r\n", 'line 2: the value "2\\r" is not a number'),
        (b"a 1\nb 1_0\n", 'line 2: the value "1_0" is not a number'),
    ],
)
def test_a_bad_page_fails_whole_and_names_the_line(text: bytes, message: str) -> None:
    target = reader()
    with pytest.raises(PageError) as caught:
        target.read(text)
    assert str(caught.value) == message
    assert not target.labels
    assert not target.familiar


def test_a_known_page_with_a_bad_value_fails_and_forgets_nothing() -> None:
    target = reader()
    target.read(b"a 1\nb 2\nc 3\n")
    for bad in (
        b"a 7\nb 1_0\nc 9\n",
        b"a 7\nb +nan\nc 9\n",
        b"a 7\nb 1e999\nc 9\n",
        b"a 7\nb 8\x0b\nc 9\n",
        b"a 7\nb\nc 9\n",
    ):
        with pytest.raises(PageError, match=r"^line 2: "):
            target.read(bad)
    page = target.read(b"a 1\nb 2\nc 3\n")
    assert list(page.values) == [1, 2, 3]
    assert (page.added, page.gone) == (0, 0)


def test_what_a_bad_page_brought_is_not_kept() -> None:
    target = reader()
    target.read(b"a 1\n")
    with pytest.raises(PageError):
        target.read(b"a 1\nnew 1\nbad\n")
    assert target.labels == [Labels.of({"__name__": "a"})]
    page = target.read(b"a 1\nother 1\nnew 2\n")
    assert content(target, page)[Labels.of({"__name__": "new"})] == 2
    assert (page.added, page.gone) == (2, 0)


def test_series_that_come_and_go_are_counted() -> None:
    target = reader()
    assert target.read(b"a 1\nb 2\n").added == 2
    page = target.read(b"b 2\nc 3\nd 4\n")
    assert (page.added, page.gone) == (2, 1)
    page = target.read(b"b 3\nc 3\nd 5\n")
    assert (page.added, page.gone) == (0, 0)
    assert list(page.values) == [3, 3, 5]


def test_a_series_given_twice_keeps_its_first_value() -> None:
    target = reader()
    text = b'a{x="1",y="2"} 1\na{y="2",x="1"} 2\na{x="1",y="2"} 3\nb 1\n'
    for _ in range(3):
        page = target.read(text)
        assert list(page.values) == [1, 1]
        assert (page.samples, page.duplicates) == (4, 2)
        text = text.replace(b"} 3", b"} 4")


def test_explicit_timestamps_do_not_matter_and_may_come_and_go() -> None:
    target = reader()
    assert list(target.read(b"a 1 1000\nb 2\n").values) == [1, 2]
    assert list(target.read(b"a 3 2000\nb 4\n").values) == [3, 4]
    assert list(target.read(b"a 5\nb 6 1000\n").values) == [5, 6]
    assert len(target.labels) == 2


def test_a_name_that_starts_like_another_is_another() -> None:
    target = reader()
    target.read(b"a 1\nab 2\n")
    page = target.read(b"ab 3\na 4\n")
    assert content(target, page) == {Labels.of({"__name__": "ab"}): 3, Labels.of({"__name__": "a"}): 4}
    page = target.read(b"abc 5\na 4\n")
    assert Labels.of({"__name__": "abc"}) in content(target, page)


def test_pages_are_snapshots() -> None:
    target = reader()
    first = target.read(b"a 1\n")
    second = target.read(b"a 2\n")
    assert (first.values[0], second.values[0]) == (1, 2)


def test_the_number_of_series_is_limited() -> None:
    target = reader(Limits(series=3))
    target.read(b"a 1\nb 1\nc 1\n")
    with pytest.raises(PageError, match=r"line 4: more than 3 series, the number limits.series allows"):
        target.read(b"a 1\nb 1\nc 1\nd 1\n")


def test_the_number_of_lines_is_limited() -> None:
    with pytest.raises(PageError, match=r"more than 1015 lines: too many for limits.series \(3\)"):
        reader(Limits(series=3)).read(b"\n" * 2000)


def test_a_series_of_too_many_bytes_is_refused() -> None:
    with pytest.raises(PageError, match=r"line 2: name and labels take 47 bytes, limits.label_bytes allows 40"):
        reader(Limits(label_bytes=40)).read(b'a 1\nb{x="' + b"y" * 40 + b'"} 1\n')


def test_series_that_left_are_forgotten_in_the_end() -> None:
    target = reader()
    keep = np.array([])
    for number in range(40):
        body = b"steady 1\n" + b"".join(b'churn{n="%d-%d"} 1\n' % (number, k) for k in range(100))
        page = target.read(body)
        keep = page.slots
        moved = target.compact()
        if moved is not None:
            assert list(moved) == list(keep)
    assert len(target.labels) < 1300
    page = target.read(body)
    assert (page.added, page.gone) == (0, 0)
    assert target.labels[page.slots[0]] == Labels.of({"__name__": "steady"})
    assert target.labels[page.slots[-1]] == Labels.of({"__name__": "churn", "n": "39-99"})


def test_metadata_is_of_the_latest_page() -> None:
    target = reader()
    target.read(b"# HELP a Old.\n# TYPE a gauge\na 1\n")
    target.read(b"# HELP a New.\n# TYPE a gauge\na 1\n")
    assert target.metadata()["a"].help == "New."
    assert target.metadata()["a"].type == "gauge"


@pytest.mark.parametrize("path", sorted(PAGES.glob("*.txt")), ids=lambda path: path.stem)
def test_recorded_pages_as_the_client_library_reads_them(path: Path) -> None:
    text = path.read_bytes()
    target = reader()
    ours = content(target, target.read(text))
    assert_same(ours, oracle(text))
    shuffled = text.splitlines(keepends=True)
    random.Random(1).shuffle(shuffled)
    again = target.read(b"".join(shuffled))
    assert (again.added, again.gone) == (0, 0)


def oracle(text: bytes) -> dict[Labels, float]:
    """What the client library reads. It renames samples after their type (``_total`` on counters); without the TYPE
    lines it leaves the names as the page has them, which is what a scraper must store."""
    untyped = "\n".join(line for line in text.decode().split("\n") if not line.startswith("# TYPE"))
    found: dict[Labels, float] = {}
    for family in text_string_to_metric_families(untyped):
        for sample in family.samples:
            labels = Labels.of({**sample.labels, "__name__": sample.name})
            found.setdefault(labels, float(sample.value))
    return found


def assert_same(ours: dict[Labels, float], theirs: dict[Labels, float]) -> None:
    assert ours.keys() == theirs.keys()
    for labels, value in ours.items():
        assert value == theirs[labels] or (math.isnan(value) and math.isnan(theirs[labels])), labels


names = st.from_regex(r"[a-zA-Z_:][a-zA-Z0-9_:]{0,8}", fullmatch=True)
label_names = st.from_regex(r"[a-zA-Z_][a-zA-Z0-9_]{0,6}", fullmatch=True).filter(lambda n: not n.startswith("__"))
texts = st.text(st.characters(exclude_categories=["Cs", "Cc"], include_characters='\\"\n{},= #'), max_size=12)
numbers = st.floats(allow_nan=True, allow_infinity=True)


def write_value(value: float) -> str:
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    return repr(value)


def write_line(name: str, labels: dict[str, str], value: float) -> str:
    def escape(text: str) -> str:
        return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")

    inner = ",".join(f'{key}="{escape(text)}"' for key, text in labels.items())
    return f"{name}{{{inner}}} {write_value(value)}\n" if labels else f"{name} {write_value(value)}\n"


series = st.tuples(names, st.dictionaries(label_names, texts, max_size=3))


def differ(one: float | None, other: float | None) -> bool:
    if one is None or other is None:
        return one is not other
    return one != other and not (math.isnan(one) and math.isnan(other))


@settings(max_examples=150, deadline=None)
@given(st.lists(st.lists(st.tuples(series, numbers), min_size=1, max_size=6), min_size=1, max_size=4))
def test_any_sequence_of_pages_reads_as_each_page_alone(
    pages: list[list[tuple[tuple[str, dict[str, str]], float]]],
) -> None:
    target = reader()
    before: dict[Labels, float] = {}
    for samples in pages:
        text = "".join(write_line(name, labels, value) for (name, labels), value in samples).encode()
        page = target.read(text)
        ours = content(target, page)
        expected: dict[Labels, float] = {}
        for (name, labels), value in samples:
            expected.setdefault(Labels.of({**labels, "__name__": name}), value)
        assert_same(ours, expected)
        assert page.samples == len(samples)
        assert page.duplicates == len(samples) - len(expected)
        assert page.added == len(expected.keys() - before.keys())
        assert page.gone == len(before.keys() - expected.keys())
        both = expected.keys() | before.keys()
        differing = {key for key in both if differ(expected.get(key), before.get(key))}
        assert {target.labels[slot] for slot in page.changed} >= differing
        before = expected
        moved = target.compact()
        assert moved is None


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(series, numbers), min_size=1, max_size=6))
def test_agrees_with_the_client_library(samples: list[tuple[tuple[str, dict[str, str]], float]]) -> None:
    text = "".join(write_line(name, labels, value) for (name, labels), value in samples).encode()
    target = reader()
    assert_same(content(target, target.read(text)), oracle(text))


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=60), st.booleans())
def test_any_bytes_are_read_or_refused_with_a_reason(junk: bytes, known: bool) -> None:
    target = reader()
    if known:
        target.read(b"a 1\nb 2\n")
    try:
        page = target.read(b"a 1\nb " + junk + b"\n")
    except PageError as error:
        assert str(error).startswith("line ")
    else:
        assert page.samples >= 1


TEXTS = [b"0", b"1", b"1.0", b"-2.5e+07", b"NaN", b"+Inf", b"7 1700000000000", b"1_0", b"", b"3 "]


@given(st.lists(st.tuples(*[st.sampled_from(TEXTS)] * 4, st.sampled_from([b"", b"# EOF", b"# EOF\n"])), max_size=12))
def test_values_that_move_and_rest_in_turns(pages: list[tuple[bytes, ...]]) -> None:
    """One layout, read over and over by one reader, as a new reader reads each page."""
    kept = reader()
    before: dict[Labels, float] = {}
    for *texts, end in pages:
        page = b'# HELP a x\na{x="1"} %s\na{x="2"} %s\n\nb %s\na{x="1"} %s\n' % tuple(texts) + end
        alone = reader()
        try:
            expected = alone.read(page)
        except PageError as error:
            with pytest.raises(PageError, match=re.escape(str(error))):
                kept.read(page)
            continue
        found = kept.read(page)
        now = content(alone, expected)
        assert repr(content(kept, found)) == repr(now)
        assert (found.samples, found.duplicates) == (expected.samples, expected.duplicates)
        changed = {labels for labels, value in now.items() if differ(before.get(labels), value)}
        assert {kept.labels[slot] for slot in found.changed.tolist()} >= changed
        before = now
