"""rules, alerts, targets."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from alerting.api.ports import Services
from alerting.api.values import exponent_text
from tests.alerting.api import schemas
from tests.alerting.api.conftest import Client, FakeRules, serve

ISO_NOW = "2023-11-14T22:13:20Z"


async def get(client: Client, path: str, schema: schemas.Schema) -> Any:
    async with client.get(f"/api/v1/{path}") as response:
        body = await response.json()
        assert response.status == 200, body
    Draft202012Validator(schema).validate(body)
    return body["data"]


async def names(client: Client, query: str) -> list[tuple[str, list[str]]]:
    data = await get(client, f"rules?{query}", schemas.RULES)
    return [(group["name"], [rule["name"] for rule in group["rules"]]) for group in data["groups"]]


async def test_rules(client: Client) -> None:
    nodes, records = (await get(client, "rules", schemas.RULES))["groups"]
    assert (nodes["name"], nodes["file"], nodes["interval"]) == ("nodes", "config/rules/nodes.yml", 5)
    assert nodes["lastEvaluation"] == ISO_NOW
    down, broken = nodes["rules"]
    assert down["query"] == "up == 0"
    assert (down["state"], down["duration"], down["health"]) == ("firing", 90, "ok")
    assert [alert["state"] for alert in down["alerts"]] == ["firing", "pending"]
    assert (broken["health"], broken["lastError"]) == ("err", "no such thing")
    assert records["rules"] == [
        {
            "name": "a:sum",
            "query": "sum(up)",
            "labels": {},
            "health": "unknown",
            "evaluationTime": 0,
            "lastEvaluation": "0001-01-01T00:00:00Z",
            "type": "recording",
        }
    ]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("type=alert", [("nodes", ["NodeDown", "Broken"])]),
        ("type=record", [("records", ["a:sum"])]),
        ("rule_name[]=Broken&rule_name[]=a:sum", [("nodes", ["Broken"]), ("records", ["a:sum"])]),
        ("rule_group[]=records", [("records", ["a:sum"])]),
        ("file[]=config/rules/nodes.yml", [("nodes", ["NodeDown", "Broken"])]),
        ('match[]={severity="critical"}', [("nodes", ["NodeDown"])]),
        ("rule_name[]=none", []),
        # Mimir's twins of these, which Grafana sends too: ignored.
        ("rule_name=x&file=y&rule_group=z", [("nodes", ["NodeDown", "Broken"]), ("records", ["a:sum"])]),
    ],
)
async def test_filters(client: Client, query: str, expected: list[tuple[str, list[str]]]) -> None:
    assert await names(client, query) == expected


async def test_alerts_may_be_left_out(client: Client) -> None:
    data = await get(client, "rules?exclude_alerts=true", schemas.RULES)
    assert data["groups"][0]["rules"][0]["alerts"] == []


async def test_groups_by_pages(client: Client) -> None:
    first = await get(client, "rules?group_limit=1", schemas.RULES)
    assert [group["name"] for group in first["groups"]] == ["nodes"]
    second = await get(client, f"rules?group_limit=1&group_next_token={first['groupNextToken']}", schemas.RULES)
    assert [group["name"] for group in second["groups"]] == ["records"]
    assert "groupNextToken" not in second


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("type=x", 'invalid parameter "type": not supported value "x"'),
        (
            "group_next_token=x",
            'invalid parameter "group_next_token": group_limit needs to be present in order to paginate over '
            "the groups",
        ),
        (
            "group_limit=1&group_next_token=x",
            "invalid parameter \"group_next_token\": invalid group_next_token 'x'. were rule groups changed?",
        ),
        (
            "exclude_alerts=maybe",
            'invalid parameter "exclude_alerts": error converting exclude_alerts: '
            'strconv.ParseBool: parsing "maybe": invalid syntax',
        ),
    ],
)
async def test_what_is_refused_and_how(client: Client, query: str, message: str) -> None:
    async with client.get(f"/api/v1/rules?{query}") as response:
        body = await response.json()
        assert response.status == 400
    assert body["error"] == message


async def test_alerts(client: Client) -> None:
    firing, pending = (await get(client, "alerts", schemas.ALERTS))["alerts"]
    assert firing == {
        "labels": {"alertname": "NodeDown", "node": "AGX0", "severity": "critical"},
        "annotations": {"summary": "AGX0 is down"},
        "state": "firing",
        "activeAt": "2023-11-14T22:13:18.500Z",
        "value": "0e+00",
    }
    assert pending["value"] == "1.2345e+03"
    assert pending["keepFiringSince"] == ISO_NOW


async def test_without_rules(services: Services) -> None:
    async with serve(replace(services, rules=FakeRules())) as client:
        assert await get(client, "rules", schemas.RULES) == {"groups": []}
        assert await get(client, "alerts", schemas.ALERTS) == {"alerts": []}


async def test_targets(client: Client) -> None:
    up, down, unknown = (await get(client, "targets", schemas.TARGETS))["activeTargets"]
    assert up["labels"] == {"instance": "AGX0:9191", "job": "node", "node": "AGX0", "tier": "2"}
    assert up["discoveredLabels"]["__address__"] == "AGX0:9191"
    assert (up["health"], up["scrapeUrl"], up["lastScrape"]) == ("up", "http://AGX0:9191/metrics", ISO_NOW)
    assert (up["scrapeInterval"], up["scrapeTimeout"]) == ("5s", "4s")
    assert (down["health"], down["lastError"]) == ("down", "no complete answer within 4s")
    assert (unknown["health"], unknown["lastScrape"]) == ("unknown", "0001-01-01T00:00:00Z")
    assert (await get(client, "targets?state=dropped", schemas.TARGETS))["activeTargets"] == []
    assert (await get(client, "targets?scrapePool=none", schemas.TARGETS))["activeTargets"] == []
    async with client.get("/api/v1/scrape_pools") as response:
        assert await response.json() == {"status": "success", "data": {"scrapePools": ["node"]}}


@pytest.mark.parametrize(
    ("value", "text"),
    [(1.0, "1e+00"), (-0.5, "-5e-01"), (1e100, "1e+100"), (123456.0, "1.23456e+05"), (float("inf"), "+Inf")],
)
def test_values_of_alerts(value: float, text: str) -> None:
    assert exponent_text(value) == text
