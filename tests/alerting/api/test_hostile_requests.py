"""Whatever is asked, and however strangely: an answer in the envelope, never a fault of ours."""

from __future__ import annotations

import random

import pytest
from jsonschema import Draft202012Validator

from tests.alerting.api import schemas
from tests.alerting.api.conftest import NOW_MS, Client
from tests.support.random_promql import Grammar

PATHS = (
    *("query", "query_range", "query_exemplars", "format_query", "parse_query", "labels", "series", "metadata"),
    *("label/node/values", "label/U__a_/values", "label/%00/values", "targets", "targets/metadata", "rules", "alerts"),
    *("scrape_pools", "status/tsdb", "status/config", "nothing", "label//values", "../query"),
)
NAMES = (
    *("query", "time", "start", "end", "step", "timeout", "limit", "match[]", "stats", "lookback_delta", "type"),
    *("metric", "limit_per_metric", "match_target", "group_limit", "group_next_token", "exclude_alerts", "state", "x"),
)
NOW = str(NOW_MS / 1000)
VALUES = (
    *(
        "",
        "0",
        "1",
        "-1",
        "1e300",
        "-1e300",
        "NaN",
        "Inf",
        "1.5",
        "5m",
        "1y",
        "9" * 30,
        "0x10",
        "true",
        "\x00",
        "é",
        "\\",
    ),
    *("up", "up{", "up[5m]", "{}", '{a!=""}', "sum(up)", "requests_total", "1+1", '"a"', "time()", "rate(up[1m])"),
    *("1970-01-01T00:00:00Z", "2023-11-14T22:13:20.5+01:00", "292277025-08-18T07:12:54.999999999Z", NOW, "\ud800"),
)


def parameters(source: random.Random) -> list[tuple[str, str]]:
    found = [(source.choice(NAMES), source.choice(VALUES)) for _ in range(source.randrange(7))]
    if source.random() < 0.3:
        found.append(("query", Grammar(source.randrange(1 << 30)).query()))
    if source.random() < 0.5:
        found += [("start", NOW), ("end", NOW), ("step", "15")]
    return [(name, value.encode("utf-8", "replace").decode()) for name, value in found]


@pytest.mark.parametrize("seed", range(8))
async def test_every_request_is_answered(client: Client, seed: int, caplog: pytest.LogCaptureFixture) -> None:
    source = random.Random(seed)
    for _ in range(60):
        path, asked = f"/api/v1/{source.choice(PATHS)}", parameters(source)
        request = client.post(path, data=asked) if source.random() < 0.3 else client.get(path, params=asked)
        async with request as response:
            assert response.status in (200, 204, 400, 404, 405, 422, 503), (path, asked)
            if response.status == 204:
                continue
            body = await response.json()
            if response.status != 200:
                Draft202012Validator(schemas.ERROR).validate(body)
            else:
                assert body["status"] == "success", (path, asked)
    assert not [record for record in caplog.records if record.levelname == "ERROR"]
