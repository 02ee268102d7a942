"""The shipped rules: Prometheus accepts them, their tests pass there and here, and each tells its owner what to do."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest
import yaml

from config.load import load
from config.matchers import parse_matcher
from config.thresholds import JETSON_TEMPERATURE, PI_TEMPERATURE, Levels, every, temperature_levels
from tests.config.support import SHIPPED
from tests.support.peers import need
from tierwatch import main

RULES = sorted((SHIPPED / "rules").glob("*.yml"))
TESTS = sorted((Path(__file__).parent.parent / "rules").glob("*_test.yml"))
SEVERITIES = {"critical", "warning", "info", "none"}


def documents(paths: list[Path]) -> Iterator[dict[str, Any]]:
    for path in paths:
        yield cast(dict[str, Any], yaml.safe_load(path.read_text(encoding="utf-8")))


def alerts() -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for document in documents(RULES):
        for rule in (rule for group in document["groups"] for rule in group["rules"]):
            if "alert" in rule:
                assert rule["alert"] not in found, "two alerts of one name"
                found[rule["alert"]] = rule
    return found


ALERTS = alerts()


def test_there_are_enough_of_them() -> None:
    assert {path.stem for path in RULES} >= {"board", "container", "fleet", "meta", "node", "service"}
    assert load(SHIPPED, {}).rule_paths() == RULES
    assert len(ALERTS) >= 35


@pytest.mark.parametrize("name", ALERTS)
def test_an_alert_says_what_it_must(name: str) -> None:
    rule = ALERTS[name]
    assert rule["labels"]["severity"] in SEVERITIES
    assert rule["labels"]["subject"]
    annotations = rule["annotations"]
    assert {"summary", "description", "action"} <= set(annotations)
    assert len(annotations["summary"]) <= 120, "a phone shows two lines"
    assert len(annotations["action"]) <= 240
    assert not annotations["summary"].endswith(".")
    assert annotations.get("on_missing", "hold") == "hold"


@pytest.mark.parametrize("name", ALERTS)
def test_an_alert_names_its_node(name: str) -> None:
    """But for those about the whole cluster and about the aggregator itself."""
    about_all = {"ClusterUnreachable", "NothingIsWatched", "Watchdog"}
    about_us = {
        "AggregatorRestarted", "AggregatorMemoryHigh", "RulesFailing", "RulesLate", "NotificationsWaiting",
        "NotificationsFailing", "NotificationLost", "StorageFailing", "StorageWasDamaged", "ConfigReloadFailed",
        "RemoteWriteBehind", "RemoteWriteLosing", "RemoteReadFailing", "EventStreamsMissing",
    }  # fmt: skip
    named = "$labels.node" in ALERTS[name]["annotations"]["summary"]
    assert named is (name not in about_all | about_us)


def test_every_rule_says_why() -> None:
    """A comment stands above every alert whose threshold is not plain from its text; most have one."""
    texts = "".join(path.read_text(encoding="utf-8") for path in RULES)
    commented = len(re.findall(r"^ +#[^\n]*\n +- alert:", texts, flags=re.MULTILINE))
    assert commented >= 0.7 * len(ALERTS)


def test_every_alert_is_tested_both_ways() -> None:
    cases = [
        case for document in documents(TESTS) for test in document["tests"] for case in test.get("alert_rule_test", ())
    ]
    fires = {case["alertname"] for case in cases if case["exp_alerts"]}
    rests = {case["alertname"] for case in cases if not case["exp_alerts"]}
    assert fires == set(ALERTS)
    assert rests | {"Watchdog"} == set(ALERTS), "the watchdog never rests"


@pytest.mark.parametrize("path", TESTS, ids=lambda path: path.stem)
def test_rule_tests_pass_here(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["test", "rules", str(path)]) == 0, capsys.readouterr()


def test_rules_are_accepted_here(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "rules", *map(str, RULES)]) == 0, capsys.readouterr()


def test_promtool_accepts_the_rules() -> None:
    done = subprocess.run(
        [need("promtool"), "check", "rules", *map(str, RULES)], check=False, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("path", TESTS, ids=lambda path: path.stem)
def test_promtool_passes_the_tests(path: Path) -> None:
    done = subprocess.run(
        [need("promtool"), "test", "rules", str(path)], check=False, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("name", every())
def test_rules_use_the_shared_numbers(name: str) -> None:
    levels: Levels = every()[name]
    for threshold, severities in ((levels.warning, {"warning", "info"}), (levels.critical, {"critical"})):
        if threshold is None:
            continue
        rule = ALERTS[threshold.alert]
        numbers = re.findall(r"[<>]=?\s*(\d+(?:\.\d+)?)(?![\d.])( \* 1024 \^ 2)?", rule["expr"])
        assert threshold.value in {float(number) * (2**20 if mebi else 1) for number, mebi in numbers}
        assert rule["labels"]["severity"] in severities


def test_temperatures_by_board() -> None:
    assert temperature_levels("raspberry-pi-3") is PI_TEMPERATURE
    assert temperature_levels("jetson-nano-2gb") is JETSON_TEMPERATURE
    assert temperature_levels("generic") is None


def test_limits_of_alerting_yaml_in_rules() -> None:
    """Texts name the limits of the shipped alerting.yaml."""
    alerting = load(SHIPPED, {}).alerting
    assert alerting.limits.series == 20_000
    assert alerting.timing.scrape_timeout == 4.0


def test_inhibition_matches_labels_that_rules_set() -> None:
    """A critical alert mutes the warning of its subject; alerts that share one must be about the same thing."""
    subjects: dict[str, set[str]] = {}
    for rule in ALERTS.values():
        subjects.setdefault(rule["labels"]["subject"], set()).add(rule["labels"]["severity"])
    muted = {subject for subject, severities in subjects.items() if {"critical", "warning"} <= severities}
    assert muted == {
        *(
            "certificate",
            "container",
            "disk-space",
            "disk-health",
            "memory",
            "router",
            "service",
            "temperature",
            "unit",
        ),
    }
    for inhibition in load(SHIPPED, {}).alerting.inhibit_rules:
        for text in inhibition.source_matchers:
            matcher = parse_matcher(text)
            assert matcher.name != "alertname" or set(matcher.value.split("|")) <= ALERTS.keys()
        for text in (*inhibition.source_matchers, *inhibition.target_matchers):
            matcher = parse_matcher(text)
            if matcher.name == "subject" and matcher.value:
                assert set(matcher.value.split("|")) <= subjects.keys(), text
