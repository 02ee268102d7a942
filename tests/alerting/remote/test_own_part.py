"""External labels go on what is asked of the other store and come off what it answers."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from alerting.model.labels import Labels
from alerting.model.matcher import Matcher
from alerting.remote.http import Http
from alerting.remote.own_part import OwnPart
from alerting.remote.querier import RemoteQuerier
from config.remote import Endpoint
from tests.alerting.remote.fake_server import Answer, FakeServer, matrix, success

NOW_MS = 1_700_000_000_000
UP = Matcher("__name__", "=", "up")
HOME, AWAY = {"site": "home"}, {"site": "away"}


@pytest.fixture
def server() -> Iterator[FakeServer]:
    def answer(path: str, form: dict[str, list[str]], _: bytes) -> Answer:
        """Two clusters with the same nodes; the server believes whatever matchers it is given."""
        everybody = 'site=~".+"' in (form.get("match[]") or form["query"])[0]
        found = [
            {"__name__": "up", "node": node, **site}
            for node in ("b", "a")
            for site in ([HOME, AWAY] if everybody else [HOME])
        ]
        if path.endswith("/series"):
            return success(found)
        if path.endswith("/labels"):
            return success(["__name__", "node", "site"])
        if path.endswith("/values"):
            return success(["away", "home"])
        return matrix(*((labels, [(NOW_MS / 1000, "1")]) for labels in found))

    with FakeServer(answer) as started:
        yield started


@pytest.fixture
def part(server: FakeServer) -> Iterator[OwnPart]:
    http = Http(Endpoint(server.url, timeout=5.0), "1")
    yield OwnPart(RemoteQuerier(http), Labels.of({**HOME, "replica": "1"}))
    http.close()


def asked(server: FakeServer, name: str) -> list[str]:
    return server.asked[-1][1][name]


def test_own_series_come_back_as_they_are_known_here(server: FakeServer, part: OwnPart) -> None:
    found = part.select([UP], NOW_MS, NOW_MS)
    assert [str(one.labels) for one in found] == ['up{node="a"}', 'up{node="b"}']
    assert asked(server, "query") == ['{__name__="up",replica="1",site="home"}[1ms]']
    found = part.at([UP], np.array([NOW_MS]), 300_000)
    assert [str(one.labels) for one in found] == ['up{node="a"}', 'up{node="b"}']


def test_who_names_the_label_sees_everybodys(server: FakeServer, part: OwnPart) -> None:
    found = part.select([UP, Matcher("site", "=~", ".+")], NOW_MS, NOW_MS)
    assert asked(server, "query") == ['{__name__="up",site=~".+",replica="1"}[1ms]']
    assert [one.labels.get("site") for one in found] == ["away", "home", "away", "home"]
    assert len(part.series([[UP, Matcher("site", "=~", ".+")]], 0, NOW_MS)) == 4


def test_the_index_too(server: FakeServer, part: OwnPart) -> None:
    assert [str(one) for one in part.series([[UP]], 0, NOW_MS)] == ['up{node="a"}', 'up{node="b"}']
    assert part.label_names([], 0, NOW_MS) == ["__name__", "node"]
    assert asked(server, "match[]") == ['{replica="1",site="home"}']
    assert part.label_values("node", [[UP]], 0, NOW_MS)
    assert asked(server, "match[]") == ['{__name__="up",replica="1",site="home"}']
    assert part.label_values("site", [[UP]], 0, NOW_MS) == ["away", "home"]
    assert asked(server, "match[]") == ['{__name__="up",replica="1"}']
