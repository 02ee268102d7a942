"""Every answer fits the schema that Prometheus publishes of its own API (openapi.json, whose source is told in it)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator, ValidationError

from tests.alerting.api.conftest import NOW_MS, Client

OPENAPI = json.loads(Path(__file__).with_name("openapi.json").read_text(encoding="utf-8"))
NOW = NOW_MS // 1000
RANGE = f"start={NOW - 60}&end={NOW}&step=15"

# Not asked for: a query whose answer is a string, as the published schema has its time as a string too, against what
# Prometheus answers.
CALLS = {
    "query": [
        "query?query=1%2B1",
        "query?query=up",
        "query?query=up[1m]&stats=all",
        "query?query=rate(up[1m])&limit=1",
        "query?query=nothing&lookback_delta=1m",
    ],
    "query_range": [f"query_range?query=up&{RANGE}", f"query_range?query=rate(up[1m])&{RANGE}&stats=true"],
    "query_exemplars": ["query_exemplars?query=up&start=1&end=2", "query_exemplars?query=up"],
    "format_query": ["format_query?query=sum(up)by(job)"],
    "parse_query": ["parse_query?query=sum(up)by(job)"],
    "labels": ["labels", "labels?match[]=up", "labels?limit=1"],
    "label/{name}/values": ["label/node/values", "label/nothing/values", "label/U__a_2e_b/values?match[]=up"],
    "series": ["series?match[]=up", "series?match[]=nothing", "series?match[]=up&limit=1"],
    "metadata": ["metadata", "metadata?metric=odd", "metadata?limit=0"],
    "scrape_pools": ["scrape_pools"],
    "targets": ["targets", "targets?state=active", "targets?state=dropped", "targets?scrapePool=node"],
    "targets/metadata": ["targets/metadata", "targets/metadata?metric=odd"],
    "rules": ["rules", "rules?exclude_alerts=true", "rules?type=record&group_limit=1", "rules?rule_name[]=none"],
    "alerts": ["alerts"],
    "alertmanagers": ["alertmanagers"],
    "status/config": ["status/config"],
    "status/runtimeinfo": ["status/runtimeinfo"],
    "status/buildinfo": ["status/buildinfo"],
    "status/tsdb": ["status/tsdb", "status/tsdb?limit=1"],
    "status/walreplay": ["status/walreplay"],
}
WRONG = [
    "query",
    "query?query=up&time=x",
    "query?query=up*on()up",
    "query_range?query=up",
    "query_exemplars?query=up&start=2&end=1",
    "format_query?query=(",
    "parse_query?query=(",
    "labels?start=x",
    "label/node/values?limit=-1",
    "series",
    "metadata?limit=x",
    "rules?type=x",
    "status/tsdb?limit=0",
    "status/tsdb?limit=10001",
    "nothing",
]


def validate(schema: str, body: Any) -> None:
    document = {"$ref": f"#/components/schemas/{schema}", "components": OPENAPI["components"]}
    Draft202012Validator(document).validate(body)


def test_no_endpoint_is_forgotten() -> None:
    assert CALLS.keys() == OPENAPI["paths"].keys()


@pytest.mark.parametrize(("path", "call"), [(path, call) for path, calls in CALLS.items() for call in calls])
async def test_answers_fit(client: Client, path: str, call: str) -> None:
    async with client.get(f"/api/v1/{call}") as response:
        body = await response.json()
        assert response.status == 200, body
    validate(OPENAPI["paths"][path], body)


@pytest.mark.parametrize("call", WRONG)
async def test_errors_fit(client: Client, call: str) -> None:
    async with client.get(f"/api/v1/{call}") as response:
        assert response.status in (400, 404, 422)
        validate("Error", await response.json())


async def test_the_schemas_refuse_what_does_not_fit(client: Client) -> None:
    async with client.get("/api/v1/rules") as response:
        body = await response.json()
    del body["data"]["groups"][0]["limit"]
    with pytest.raises(ValidationError):
        validate("RulesOutputBody", body)
    with pytest.raises(ValidationError):
        validate("Error", {"status": "error", "errorType": "bad_data"})
