"""The own store first; what only the other has is added; a failure of the other is a warning, and costs little."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from alerting.model.labels import Labels
from alerting.model.matcher import Matcher
from alerting.model.series import ABSENT, STALE, SeriesData, is_stale
from alerting.promql.engine import Engine
from alerting.promql.parse import parse
from alerting.promql.value import Matrix, Vector
from alerting.remote import fanout
from alerting.remote.fanout import FanOut, Pause, merged
from alerting.remote.http import Http, RemoteFailed
from alerting.remote.querier import RemoteQuerier
from alerting.storage.options import Stats
from alerting.storage.store import Store, StoreOptions
from config.remote import Endpoint
from tests.alerting.remote.fake_server import Answer, FakeServer, failure, matrix, success

NOW_MS = 1_700_000_000_000
STEP_MS = 10_000
SIZE = (Matcher("__name__", "=", "size"),)
Form = dict[str, list[str]]


def rows(first: int, count: int, value: float) -> list[tuple[int, float]]:
    return [(NOW_MS + first + number * STEP_MS, value) for number in range(count)]


@dataclass
class Both:
    """The own store has ``size`` of node "own" for the last ten minutes; the other what a test says."""

    store: Store
    server: FakeServer
    remote: dict[Labels, list[tuple[int, float]]]

    def fan_out(self, *, read_recent: bool, timeout: float = 60.0) -> FanOut:
        self.http = Http(Endpoint(self.server.url, timeout=timeout), "1")
        return FanOut(self.store, RemoteQuerier(self.http), read_recent=read_recent)

    def answer(self, path: str, form: Form, _body: bytes) -> Answer:
        if path.endswith("/series"):
            return success([dict(labels) for labels in self.remote])
        if path.endswith("/labels"):
            return success(["__name__", "node", "rack"])
        if path.endswith("/values"):
            return success(["other"])
        query = form["query"][0]
        found = []
        if path.endswith("query_range") or "[" not in query:
            times = np.array([round(float(form.get("time", form.get("start", ["0"]))[0]) * 1000)])
            if path.endswith("query_range"):
                start, end, step = (round(float(form[name][0]) * 1000) for name in ("start", "end", "step"))
                times = np.arange(start, end + 1, step)
            for labels, samples in self.remote.items():
                points = []
                for at in times.tolist():
                    seen = [(stamp, value) for stamp, value in samples if at - 300_000 < stamp <= at]
                    if seen:
                        points.append((at / 1000, str(seen[-1][0] / 1000 if "timestamp" in query else seen[-1][1])))
                if points:
                    found.append((dict(labels), points))
        else:
            end = round(float(form["time"][0]) * 1000)
            start = end - int(query.partition("[")[2].removesuffix("ms]"))
            for labels, samples in self.remote.items():
                points = [(stamp / 1000, str(value)) for stamp, value in samples if start < stamp <= end]
                if points:
                    found.append((dict(labels), points))
        return matrix(*found)


@pytest.fixture
def both(tmp_path: Path) -> Iterator[Both]:
    store = Store.open(tmp_path / "metrics.db", StoreOptions(), NOW_MS)
    writer = store.source("own")
    writer.column(Labels.of({"__name__": "size", "node": "own"}))
    for at, value in rows(-600_000, 61, 1.0):
        writer.append(at, np.array([value]))
    store.flush(NOW_MS)
    with FakeServer(lambda *_: matrix()) as server:
        made = Both(store, server, {})
        server.behaviour = made.answer
        yield made
        made.http.close()
    store.close()


def vector(engine: Engine, query: str, time_ms: int = NOW_MS) -> dict[str, float]:
    value = engine.instant(parse(query), time_ms).value
    assert isinstance(value, Vector)
    return {labels.get("node"): number for labels, number in value}


def test_recent_time_is_answered_without_the_other(both: Both) -> None:
    engine = Engine(both.fan_out(read_recent=False))
    assert vector(engine, "size") == {"own": 1.0}
    assert vector(engine, "sum_over_time(size[1m])") == {"own": 6.0}
    assert both.server.asked == []


def test_what_lies_before_the_own_store_comes_from_the_other(both: Both) -> None:
    name = {"__name__": "size"}
    # Of the time that the own store has, the other is not asked: it would say 9 there.
    both.remote = {
        Labels.of({**name, "node": "own"}): [*rows(-1_200_000, 60, 5.0), *rows(-600_000, 60, 9.0)],
        Labels.of({**name, "node": "left"}): rows(-1_200_000, 61, 7.0),
    }
    engine = Engine(both.fan_out(read_recent=False))
    assert vector(engine, "size", NOW_MS - 900_000) == {"own": 5.0, "left": 7.0}
    result = engine.range(parse("size"), NOW_MS - 1_200_000, NOW_MS, 60_000)
    assert result.warnings == ()
    assert isinstance(result.value, Matrix)
    found = {one.labels.get("node"): one.values.tolist() for one in result.value}
    # What the other had last is seen for five minutes, as everywhere.
    assert found == {"own": [5.0] * 10 + [1.0] * 11, "left": [7.0] * 15}
    assert vector(engine, "sum_over_time(size[20m])") == {"own": 59 * 5.0 + 61 * 1.0, "left": 59 * 7.0}


def test_read_recent_adds_what_only_the_other_has(both: Both) -> None:
    both.remote = {
        Labels.of({"__name__": "size", "node": "other"}): rows(-600_000, 60, 7.0),
        Labels.of({"__name__": "size", "node": "own"}): rows(-600_000, 55, 9.0),  # it lags
    }
    engine = Engine(both.fan_out(read_recent=True))
    assert vector(engine, "size") == {"other": 7.0, "own": 1.0}
    assert vector(engine, "size + 0", NOW_MS - 5_000) == {"other": 7.0, "own": 1.0}
    assert vector(engine, "max_over_time(size[2m])") == {"other": 7.0, "own": 1.0}  # equal times: the own sample


def test_series_and_labels_of_both(both: Both) -> None:
    both.remote = {Labels.of({"__name__": "size", "node": "other"}): []}
    session = both.fan_out(read_recent=True).begin(None, pytest.fail)
    found = session.series([SIZE], NOW_MS - 60_000, NOW_MS)
    assert [labels.get("node") for labels in found] == ["other", "own"]
    assert session.label_names([], 0, NOW_MS) == ["__name__", "node", "rack"]
    assert session.label_values("node", [SIZE], 0, NOW_MS) == ["other", "own"]


@pytest.mark.parametrize("answer", [failure(503, "overloaded"), failure(400, "no"), (200, {}, b"?")])
def test_a_failure_is_a_warning(both: Both, answer: Answer) -> None:
    both.server.behaviour = lambda *_: answer
    fan_out = both.fan_out(read_recent=True)
    result = Engine(fan_out).instant(parse("sum(size) + count(size)"), NOW_MS)
    assert isinstance(result.value, Vector)
    assert result.value.values == [2.0]
    assert result.warnings
    assert all(text.startswith("remote storage ") for text in result.warnings)
    assert fan_out.stats.failures >= 1
    told: list[str] = []
    assert len(fan_out.begin(None, told.append).series([SIZE], 0, NOW_MS)) == 1
    assert told


def test_a_store_that_hangs_costs_one_query_once(both: Both, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fanout, "FIRST_PAUSE_S", fanout.LONGEST_PAUSE_S)
    both.server.hang_s = 4.0
    fan_out = both.fan_out(read_recent=True, timeout=0.3)
    engine = Engine(fan_out)
    for _ in range(20):
        assert vector(engine, "size") == {"own": 1.0}
    assert fan_out.stats.queries == 1
    assert fan_out.stats.skipped == 19
    assert "no complete answer in time" in fan_out.pause.why


def test_a_query_keeps_half_of_its_time(both: Both, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = Engine(both.fan_out(read_recent=True))
    began = time.monotonic()
    end = began + 100.0

    def hanging(*_: object, deadline: float, **__: object) -> object:
        assert (began + end) / 2 <= deadline <= (time.monotonic() + end) / 2
        raise RemoteFailed("no complete answer in time")

    monkeypatch.setattr(both.http, "ask", hanging)
    result = engine.instant(parse("size"), NOW_MS, deadline=end)
    assert result.warnings
    assert isinstance(result.value, Vector)
    assert result.value.values == [1.0]


def test_a_pause_grows_and_one_tries_again() -> None:
    pause = Pause()
    assert pause.admits(0.0) == (True, False)
    pause.failed("away", 0.0)
    assert pause.admits(1.9) == (False, False)
    assert pause.admits(2.1) == (True, True)
    assert pause.admits(2.2) == (False, False)  # the one that tries is enough
    pause.failed("away", 2.2)
    assert pause.admits(6.0) == (False, False)
    assert pause.admits(6.3) == (True, True)
    pause.worked()
    assert pause.admits(6.4) == (True, False)
    for _ in range(20):
        pause.failed("away", 100.0)
    assert pause.admits(100.0 + fanout.LONGEST_PAUSE_S) == (True, True)


def test_the_own_store_s_beginning_is_asked_for_seldom(both: Both, monkeypatch: pytest.MonkeyPatch) -> None:
    fan_out = both.fan_out(read_recent=False)
    asked = []
    stats = both.store.stats

    def counted() -> Stats:
        asked.append(1)
        return stats()

    monkeypatch.setattr(both.store, "stats", counted)
    for _ in range(100):
        fan_out.begin(None, pytest.fail).latest(SIZE, NOW_MS, 300_000)
    assert len(asked) == 1


def test_an_empty_store_asks_the_other_for_everything(both: Both, tmp_path: Path) -> None:
    both.remote = {Labels.of({"__name__": "size", "node": "other"}): rows(-600_000, 60, 7.0)}
    (tmp_path / "new").mkdir()
    both_store, both.store = both.store, Store.open(tmp_path / "new" / "metrics.db", StoreOptions(), NOW_MS)
    assert vector(Engine(both.fan_out(read_recent=False)), "size") == {"other": 7.0}
    both.store.close()
    both.store = both_store


def test_a_query_that_ends_while_another_is_counted_is_counted_too(both: Both, monkeypatch: pytest.MonkeyPatch) -> None:
    fan_out = both.fan_out(read_recent=True)
    looks = 0

    def clock() -> float:
        nonlocal looks
        looks += 1
        if looks == 2:  # how long the first one took
            fan_out.begin(None, pytest.fail)._ask(lambda _: [])
        return float(looks)

    monkeypatch.setattr(fanout, "time", SimpleNamespace(monotonic=clock))
    fan_out.begin(None, pytest.fail)._ask(lambda _: [])
    assert (fan_out.stats.queries, fan_out.stats.seconds) == (2, 4.0)


def series(*samples: tuple[int, float]) -> SeriesData:
    return SeriesData(Labels(), np.array([at for at, _ in samples]), np.array([value for _, value in samples]))


def test_merging() -> None:
    assert ABSENT != ABSENT  # noqa: PLR0124 - NaN: values below are compared by what they are
    (found,) = merged([series((2, 1.0), (4, 1.0))], [series((1, 9.0), (2, 9.0), (3, 9.0), (5, 9.0))])
    assert found.times.tolist() == [1, 2, 3, 4, 5]
    assert found.values.tolist() == [9.0, 1.0, 9.0, 1.0, 9.0]
    # The other saw the series end some time before 6; the own store has a sample in between.
    (found,) = merged([series((4, 1.0))], [series((3, 9.0), (6, STALE))])
    assert not is_stale(found.values).any()
    (found,) = merged([series((2, 1.0))], [series((3, 9.0), (6, STALE))])
    assert is_stale(found.values).tolist() == [False, False, True]
    (found,) = merged([series((4, 1.0))], [series((3, STALE))])
    assert found.times.tolist() == [3, 4]
