"""/api/v1/rules and /api/v1/alerts."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from typing import Any

from aiohttp import web

from alerting.api.answer import invalid_parameter, json_response, success
from alerting.api.params import Params
from alerting.api.ports import Services
from alerting.api.values import exponent_text, moment
from alerting.model.alert import Alert
from alerting.model.matcher import Matcher
from alerting.promql.errors import QueryError
from alerting.promql.format import format_expr
from alerting.promql.parse import parse
from alerting.rules.views import GroupView, RuleView


class RuleHandlers:
    def __init__(self, services: Services) -> None:
        self._services = services

    def routes(self) -> list[web.RouteDef]:
        return [web.get("/api/v1/rules", self.rules), web.get("/api/v1/alerts", self.alerts)]

    async def rules(self, request: web.Request) -> web.Response:
        params = await Params.of(request)
        wanted = _Filter(params)
        groups: list[dict[str, Any]] = []
        for group in self._services.rules.groups():
            rules = [_rule(rule, with_alerts=wanted.alerts) for rule in group.rules if wanted.takes(group, rule)]
            if rules:
                groups.append(_group(group, rules))
        return json_response(request, success(_page(groups, self._services.rules.groups(), params)))

    async def alerts(self, request: web.Request) -> web.Response:
        return json_response(request, success({"alerts": [_alert(alert) for alert in self._services.rules.active()]}))


class _Filter:
    """Which rules are asked for. Groups of which none is left are not shown."""

    def __init__(self, params: Params) -> None:
        kind = params.text("type").lower()
        if kind not in ("", "alert", "record"):
            raise invalid_parameter("type", f'not supported value "{kind[:100]}"')
        self.alerts = not params.flag("exclude_alerts")
        self._type = {"": "", "alert": "alerting", "record": "recording"}[kind]
        self._rules = frozenset(params.all("rule_name[]"))
        self._groups = frozenset(params.all("rule_group[]"))
        self._files = frozenset(params.all("file[]"))
        self._sets: list[Sequence[Matcher]] = params.matcher_sets()

    def takes(self, group: GroupView, rule: RuleView) -> bool:
        if (
            (self._type and rule.type != self._type)
            or (self._rules and rule.name not in self._rules)
            or (self._groups and group.name not in self._groups)
            or (self._files and group.file not in self._files)
        ):
            return False
        return not self._sets or any(
            all(matcher.matches(rule.labels.get(matcher.name, "")) for matcher in matchers) for matchers in self._sets
        )


def _page(groups: list[dict[str, Any]], everything: Sequence[GroupView], params: Params) -> dict[str, Any]:
    """All groups, or ``group_limit`` of them from ``group_next_token`` on and the token of the next one."""
    text, token = params.text("group_limit"), params.text("group_next_token")
    if token and not text:
        message = "group_limit needs to be present in order to paginate over the groups"
        raise invalid_parameter("group_next_token", message)
    if not text:
        return {"groups": groups}
    if not re.fullmatch(r"[+-]?[0-9]{1,9}", text):
        message = f'group_limit needs to be a valid number: strconv.ParseInt: parsing "{text[:100]}": invalid syntax'
        raise invalid_parameter("group_limit", message)
    if int(text) < 1:
        raise invalid_parameter("group_limit", "group_limit needs to be greater than 0")
    ordered = sorted(groups, key=_place)
    if token:
        # The group of the token may be filtered out: the page begins with the next one.
        starts = [(group.file, group.name) for group in everything if _token(group.file, group.name) == token]
        if not starts:
            message = f"invalid group_next_token '{token[:64]}'. were rule groups changed?"
            raise invalid_parameter("group_next_token", message)
        ordered = [group for group in ordered if _place(group) >= starts[0]]
    page: dict[str, Any] = {"groups": ordered[: int(text)]}
    if int(text) < len(ordered):
        page["groupNextToken"] = _token(*_place(ordered[int(text)]))
    return page


def _place(group: dict[str, Any]) -> tuple[str, str]:
    return group["file"], group["name"]


def _token(file: str, name: str) -> str:
    return hashlib.sha256(f"{file};{name}".encode()).hexdigest()


def _group(group: GroupView, rules: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "name": group.name,
        "file": group.file,
        "rules": rules,
        "interval": group.interval,
        "limit": group.limit,
        "evaluationTime": group.evaluation_time,
        "lastEvaluation": moment(group.last_evaluation_ms),
    }


def _rule(rule: RuleView, *, with_alerts: bool) -> dict[str, Any]:
    shown: dict[str, Any] = {"name": rule.name, "query": _query(rule.query), "labels": dict(rule.labels)}
    if rule.type == "alerting":
        shown |= {
            "state": rule.state,
            "duration": rule.duration,
            "keepFiringFor": rule.keep_firing_for,
            "annotations": dict(rule.annotations or {}),
            "alerts": [_alert(alert) for alert in rule.alerts] if with_alerts else [],
        }
    shown["health"] = rule.health
    if rule.last_error:
        shown["lastError"] = rule.last_error
    shown["evaluationTime"] = rule.evaluation_time
    shown["lastEvaluation"] = moment(rule.last_evaluation_ms)
    shown["type"] = rule.type
    return shown


def _query(text: str) -> str:
    """As Prometheus shows it: written anew from the tree. (Parsed expressions are remembered by the parser.)"""
    try:
        return format_expr(parse(text))
    except QueryError:
        return text


def _alert(alert: Alert) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "labels": dict(alert.labels),
        "annotations": dict(alert.annotations),
        "state": alert.state,
        "activeAt": moment(alert.active_ms),
        "value": exponent_text(alert.value),
    }
    if alert.keep_firing_since_ms is not None:
        shown["keepFiringSince"] = moment(alert.keep_firing_since_ms)
    return shown
