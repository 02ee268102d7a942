"""How a server is asked, and what becomes of bad answers."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing

import numpy as np
import pytest

from alerting.model.matcher import Matcher
from alerting.model.series import is_stale
from alerting.remote import api
from alerting.remote.api import TooMuch, selector
from alerting.remote.http import Http, RemoteFailed
from alerting.remote.querier import RemoteQuerier
from alerting.storage.ports import StorageError
from config.remote import Endpoint
from config.secrets import Secret
from tests.alerting.remote.fake_server import Answer, FakeServer, failure, matrix, success

UP = (Matcher("__name__", "=", "up"),)
Form = dict[str, list[str]]


@pytest.fixture
def server() -> Iterator[FakeServer]:
    with FakeServer(lambda *_: matrix()) as started:
        yield started


@pytest.fixture
def querier(server: FakeServer) -> Iterator[RemoteQuerier]:
    headers = (("Authorization", Secret("Bearer hunter2")), ("X-Scope-OrgID", Secret("home")))
    with closing(Http(Endpoint(f"{server.url}/base", headers, timeout=60.0), "1.2")) as http:
        yield RemoteQuerier(http)


def test_a_window_is_asked_as_a_range_selector_and_cut_on_the_left(server: FakeServer, querier: RemoteQuerier) -> None:
    """A server of before Prometheus 3 also gives what lies at the open end."""
    server.behaviour = lambda *_: matrix(({"__name__": "up"}, [(9.999, "0"), (10, "1"), (12.345, "2")]))
    (found,) = querier.select(UP, 10_000, 12_345)
    path, form, headers = server.asked[0]
    assert path == "/base/api/v1/query"
    assert form == {"query": ['{__name__="up"}[2346ms]'], "time": ["12.345"]}
    assert headers["X-Scope-OrgID"] == "home"
    assert headers["Authorization"] == "Bearer hunter2"
    assert headers["User-Agent"] == "Tierwatch/1.2"
    assert found.times.tolist() == [10_000, 12_345]
    assert found.values.tolist() == [1.0, 2.0]


def test_a_series_in_two_parts_and_in_disorder_becomes_one(server: FakeServer, querier: RemoteQuerier) -> None:
    server.behaviour = lambda *_: matrix(
        ({"__name__": "up"}, [(3, "3"), (1, "1")]), ({"__name__": "up", "x": ""}, [(2, "NaN"), (3, "4")])
    )
    (found,) = querier.select(UP, 0, 10_000)
    assert found.times.tolist() == [1000, 2000, 3000]
    assert found.values.tolist()[::2] == [1.0, 3.0]
    assert np.isnan(found.values[1])


def test_nan_is_a_marker_where_the_server_speaks_metricsql(server: FakeServer, querier: RemoteQuerier) -> None:
    server.behaviour = lambda _p, form, _b: (
        success({}) if form["query"] == ["1 default 2"] else matrix(({"a": "b"}, [(1, "1"), (2, "NaN")]))
    )
    for _ in range(2):
        (found,) = querier.select(UP, 0, 10_000)
        assert is_stale(found.values).tolist() == [False, True]
    assert len(server.asked) == 3  # it is found out once
    assert server.connections == 1


def test_a_window_too_large_is_asked_in_pieces(server: FakeServer, querier: RemoteQuerier) -> None:
    most = 600_000

    def limited(_path: str, form: Form, _body: bytes) -> Answer:
        window = int(form["query"][0].partition("[")[2].removesuffix("ms]"))
        end = float(form["time"][0])
        if window > most:
            return failure(422, "query processing would load too many samples into memory in query execution")
        first = -(-(round(end * 1000) - window + 1) // 60_000)
        return matrix(({"a": "b"}, [(at * 60.0, "1") for at in range(first, int(end // 60) + 1)]))

    server.behaviour = limited
    (found,) = querier.select(UP, 0, 7_200_000)
    assert found.times.tolist() == list(range(0, 7_200_001, 60_000))
    most = 1
    with pytest.raises(TooMuch, match="too many samples"):
        querier.select(UP, 0, 10_000)


def test_a_range_of_many_steps_is_asked_in_pieces(server: FakeServer, querier: RemoteQuerier) -> None:
    def grid(_path: str, form: Form, _body: bytes) -> Answer:
        start, end, step = (float(form[name][0]) for name in ("start", "end", "step"))
        times = [start + step * number for number in range(round((end - start) / step) + 1)]
        assert len(times) <= 11_000
        stamp = form["query"][0].startswith("timestamp")
        return matrix(({"a": "b"}, [(at, f"{at - 1:.3f}" if stamp else "5") for at in times]))

    server.behaviour = grid
    times = 1_000_000 + 1000 * np.arange(25_000)
    (found,) = querier.at(UP, times, 300_000)
    assert found.times.tolist() == (times - 1000).tolist()  # when the samples are, not when they were looked for
    assert {form["lookback_delta"][0] for _, form, _ in server.asked} == {"300000ms"}


def test_where_the_server_sees_a_series_no_more_it_has_ended(server: FakeServer, querier: RemoteQuerier) -> None:
    def answers(path: str, form: Form, _body: bytes) -> Answer:
        if path.endswith("query_range"):
            return matrix(({"__name__": "up"}, [(100, "1"), (190, "2")]))
        return matrix(({"__name__": "up"}, [(95, "1"), (185, "2")]))

    server.behaviour = answers
    times = 1000 * np.arange(100, 200, 10)
    (found,) = querier.at((Matcher("job", "=", "x"),), times, 60_000)
    assert found.times.tolist() == [95_000, 110_000, 185_000]
    assert is_stale(found.values).tolist() == [False, True, False]


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (failure(400, 'bad "query"'), 'bad "query"'),
        (failure(500, "disk broken"), "disk broken"),
        ((502, {}, b"<html>\nBad gateway</html>"), "HTTP status 502: <html> Bad gateway</html>"),
        ((200, {}, b"<html>a login page</html>"), "its answer is not Prometheus' API: <html>a login page</html>"),
        ((302, {"Location": "/login"}, b""), "HTTP status 302"),
        (success({"resultType": "matrix", "result": [{"metric": 5}]}), "its answer is not Prometheus' API"),
        (matrix(({"a": "b"}, [(1.0, "one")])), "its answer is not Prometheus' API"),
    ],
)
def test_bad_answers_are_told_in_words(server: FakeServer, querier: RemoteQuerier, answer: Answer, words: str) -> None:
    server.behaviour = lambda *_: answer
    with pytest.raises(StorageError) as caught:
        querier.select(UP, 0, 1)
    assert f"{server.url}: {words}" in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_no_answer_is_told_in_words(server: FakeServer, querier: RemoteQuerier) -> None:
    server.cut_off = True
    with pytest.raises(RemoteFailed, match="cut off"):
        querier.select(UP, 0, 1)
    server.cut_off = False
    querier.select(UP, 0, 1)  # a new connection
    server.hang_s = 30.0
    began = time.monotonic()
    with pytest.raises(RemoteFailed, match="no complete answer in time"):
        querier.begin(began + 0.2, lambda _: None).select(UP, 0, 1)
    assert time.monotonic() - began < 20
    server.down()
    with pytest.raises(RemoteFailed, match="Connection refused"):
        RemoteQuerier(Http(Endpoint(server.url), "1")).select(UP, 0, 1)


def test_an_answer_too_large_is_not_read(
    server: FakeServer, querier: RemoteQuerier, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(api, "MOST_BYTES", 10_000)
    server.behaviour = lambda *_: success("x" * 1_000_000)  # compressed it is small
    with pytest.raises(TooMuch, match="more than"):
        querier.select(UP, 0, 1)


def test_a_kept_connection_that_was_closed_meanwhile_is_replaced(server: FakeServer, querier: RemoteQuerier) -> None:
    querier.select(UP, 0, 1)
    server.down()
    server.up()
    querier.select(UP, 0, 1)
    assert len(server.asked) == 2


def test_warnings_of_the_server_are_passed_on(server: FakeServer, querier: RemoteQuerier) -> None:
    server.behaviour = lambda *_: success({"resultType": "matrix", "result": []}, warnings=["a store is away"])
    told: list[str] = []
    querier.begin(None, told.append).select(UP, 0, 1)
    assert told == [f"{server.url}: a store is away"]


def test_native_histograms_are_left_out_and_said_so(server: FakeServer, querier: RemoteQuerier) -> None:
    one = {"metric": {"__name__": "up"}, "histograms": [[1, {"count": "1"}]]}
    server.behaviour = lambda *_: success({"resultType": "matrix", "result": [one]})
    told: list[str] = []
    assert querier.begin(None, told.append).select(UP, 0, 10_000) == []
    assert told == [f"{server.url}: native histograms are not supported and are left out"]


def test_selectors_are_written_as_promql() -> None:
    odd = (Matcher("a", "=", 'x"\\\n'), Matcher("b", "!~", "c.*"))
    assert selector(odd) == '{a="x\\"\\\\\\n",b!~"c.*"}'
    # Servers refuse a selector that takes everything.
    assert selector(()) == '{__name__!=""}'
    assert selector((Matcher("job", "=~", ".*"),)) == '{job=~".*",__name__!=""}'


def test_names_of_other_than_plain_letters_are_quoted() -> None:
    assert selector([Matcher("l.x", "=~", "1"), Matcher("a", "!=", "b")]) == '{"l.x"=~"1",a!="b"}'
