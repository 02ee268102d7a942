"""``tierwatch test rules`` and promtool must come to the same verdict on every file, good or bad."""

from __future__ import annotations

import json
import os
import random
import subprocess
from pathlib import Path
from typing import Any

import pytest

from alerting.promql.engine import Engine
from alerting.promql.parse import parse
from alerting.rules.expressions import evaluate_with
from alerting.rules.group import RunningGroup, Surroundings
from alerting.rules.load import load_rules
from alerting.rules.notation import samples, series_labels
from alerting.rules.scratch import ScratchStorage
from alerting.rules.testrun import main
from tests.support.peers import need

RULES: dict[str, Any] = {
    "groups": [
        {
            "name": "first",
            "interval": "30s",
            "rules": [
                {"record": "node:load:avg", "expr": "avg by (node) (load)", "labels": {"kind": "avg"}},
                {
                    "alert": "Busy",
                    "expr": 'node:load:avg{kind="avg"} > 5',
                    "for": "2m",
                    "keep_firing_for": "3m",
                    "labels": {"severity": "{{ if gt $value 8.0 }}critical{{ else }}warning{{ end }}", "none": ""},
                    "annotations": {
                        "summary": "{{ $labels.node }} at {{ $value | humanize }} ({{ $externalLabels.site }})",
                        "empty": "",
                        "url": "{{ $externalURL }}",
                    },
                },
                {"alert": "Down", "expr": "up == 0", "for": "1m", "annotations": {"on_missing": "hold"}},
                {"alert": "Gone", "expr": 'absent(up{node="z"})', "for": "1m", "keep_firing_for": "0s"},
                {"alert": "Scalar", "expr": "vector(1) * 2 > 1"},
            ],
        },
        {"name": "second", "rules": [{"record": "busy:count", "expr": 'count(ALERTS{alertname="Busy"}) or vector(0)'}]},
    ]
}
SERIES = [
    {"series": 'load{node="a",cpu="0"}', "values": "1 6 6 6 9 9 1 1 1 1 1 1"},
    {"series": 'load{node="a",cpu="1"}', "values": "1 6 6 6 9 9 1x6"},
    {"series": 'load{node="b"}', "values": "0+1x4 _ stale 10x3"},
    {"series": 'up{node="a"}', "values": "1 0 0 0 1 stale 0 0"},
    {"series": "not_a_number", "values": "NaN NaN NaN"},
]  # fmt: skip

A_WARNING = {
    "exp_labels": {"node": "a", "kind": "avg", "severity": "warning"},
    "exp_annotations": {"summary": "a at 6 (home)", "empty": "", "url": "http://hub"},
}


def alert(time: str, name: str, *expected: dict[str, Any]) -> dict[str, Any]:
    return {"alert_rule_test": [{"eval_time": time, "alertname": name, "exp_alerts": list(expected)}]}


def expr(time: str, text: str, *expected: tuple[str, float | str]) -> dict[str, Any]:
    samples = [{"labels": labels, "value": value} for labels, value in expected]
    return {"promql_expr_test": [{"eval_time": time, "expr": text, "exp_samples": samples}]}


AVERAGE = 'node:load:avg{kind="avg", node="%s"}'
FOR_STATE = '{__name__="ALERTS_FOR_STATE", alertname="Down", node="a"}'
CASES: dict[str, tuple[bool, dict[str, Any]]] = {
    "pending alerts do not count": (True, alert("2m", "Busy")),
    "firing after for": (True, alert("3m", "Busy", A_WARNING)),
    "between two evaluations the earlier one counts": (True, alert("3m20s", "Busy", A_WARNING)),
    "a missing alert": (False, alert("2m", "Busy", A_WARNING)),
    "an unexpected alert": (False, alert("3m", "Busy")),
    "a wrong label": (False, alert("3m", "Busy", {**A_WARNING, "exp_labels": {"node": "b"}})),
    "a wrong annotation": (False, alert("3m", "Busy", {**A_WARNING, "exp_annotations": {"summary": "a"}})),
    "an annotation left out": (False, alert("3m", "Busy", {"exp_labels": A_WARNING["exp_labels"]})),
    "an alert nobody has": (True, alert("3m", "Nobody")),
    "a held alert annotation": (
        True,
        alert("2m", "Down", {"exp_labels": {"node": "a"}, "exp_annotations": {"on_missing": "hold"}}),
    ),
    "resolved when up is back": (True, alert("4m", "Down")),
    "absent": (True, alert("1m", "Gone", {"exp_labels": {"node": "z"}})),
    "a rule without labels": (True, alert("0m", "Scalar", {})),
    "keep firing": (True, alert("8m", "Scalar", {})),
    "recorded": (True, expr("3m", "node:load:avg", (AVERAGE % "a", 6), (AVERAGE % "b", 3))),
    "recorded series end": (True, expr("6m", 'node:load:avg{node="b"}')),
    "recorded wrongly": (False, expr("3m", 'node:load:avg{node="a"}', (AVERAGE % "a", 7))),
    "recorded with a label too many": (False, expr("3m", 'node:load:avg{node="a"}', ('x{node="a"}', 6))),
    "a sample missing": (False, expr("3m", "node:load:avg", (AVERAGE % "a", 6))),
    "for state": (True, expr("3m", 'ALERTS_FOR_STATE{alertname="Down"}', (FOR_STATE, 60))),
    "alerts ended": (True, expr("4m", 'ALERTS{alertname="Down"}')),
    "second group sees the first": (True, expr("3m", "busy:count", ("busy:count", 1))),
    "scalar": (True, expr("0m", "1 + 1", ("{}", 2))),
    "nan": (False, expr("0m", "not_a_number", ("not_a_number", ".nan"))),
    "a broken expression": (False, expr("0m", "1 +")),
    "a range as result": (False, expr("0m", "up[5m]")),
    "nothing to test": (True, {}),
    "a test without a name of an alert": (False, {"alert_rule_test": [{"eval_time": "1m"}]}),
    "an unknown key": (False, {"alert_rule_tests": []}),
    "broken values": (False, {"input_series": [{"series": "x", "values": "1 2 three"}], **expr("0m", "x")}),
    "a broken series": (False, {"input_series": [{"series": "x{", "values": "1"}], **expr("0m", "x")}),
}  # fmt: skip


def write(folder: Path, case: dict[str, Any], rules: dict[str, Any] = RULES, **more: Any) -> Path:
    (folder / "rules.yml").write_text(json.dumps(rules))
    test = {"interval": "1m", "input_series": SERIES, "external_labels": {"site": "home"}, **case}
    test["external_url"] = "http://hub"
    text = json.dumps({"rule_files": ["*.yml"], "evaluation_interval": "1m", "tests": [test], **more})
    (folder / "test.json").write_text(text.replace('".nan"', ".nan"))
    return folder / "test.json"


def promtool(path: Path) -> tuple[bool, str]:
    # It leaves its store behind when it ends with an error.
    there = {**os.environ, "TMPDIR": str(path.parent)}
    command = [need("promtool"), "test", "rules", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300, env=there)
    return done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("name", CASES)
def test_promtool_says_the_same(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    passes, case = CASES[name]
    path = write(tmp_path, case)
    verdict = main([str(path)]) == 0
    ours = capsys.readouterr().out
    assert verdict is passes, ours
    theirs, text = promtool(path)
    assert theirs is passes, text


FAILING_RULES: dict[str, Any] = {
    "duplicates": {"alert": "A", "expr": "load", "labels": {"cpu": "", "node": "x"}},
    "duplicate records": {"record": "a", "expr": "load", "labels": {"cpu": "x", "node": "x"}},
    "many to many": {"record": "a", "expr": "load * on() load"},
}


@pytest.mark.parametrize("name", FAILING_RULES)
def test_a_rule_that_fails_fails_the_test(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(tmp_path, alert("1m", "Other"), {"groups": [{"name": "g", "rules": [FAILING_RULES[name]]}]})
    assert main([str(path)]) == 1
    assert "err: " in capsys.readouterr().out
    assert promtool(path)[0] is False


def test_a_limit_fails_the_test(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rules = {"groups": [{"name": "g", "limit": 1, "rules": [{"alert": "A", "expr": "load"}]}]}
    path = write(tmp_path, alert("1m", "Other"), rules)
    assert main([str(path)]) == 1
    assert "rule: A, time: 0s, err: exceeded limit of 1 with 3 alerts" in capsys.readouterr().out
    assert promtool(path)[0] is False


def test_the_order_of_groups_can_be_given(tmp_path: Path) -> None:
    groups = [
        {"name": "late", "rules": [{"record": "b", "expr": "a + 1"}]},
        {"name": "early", "rules": [{"record": "a", "expr": "vector(1)"}]},
    ]
    path = write(tmp_path, expr("0m", "b", ("b", 2)), {"groups": groups}, group_eval_order=["early", "late"])
    assert main([str(path)]) == 0
    assert promtool(path)[0]
    path = write(tmp_path, expr("0m", "b", ("b", 2)), {"groups": groups}, group_eval_order=["late", "late"])
    assert main([str(path)]) == 1
    assert not promtool(path)[0]


def test_what_differs_is_shown_with_its_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "rules.yml").write_text(json.dumps({"groups": [{"name": "g", "rules": [{"alert": "A", "expr": "x"}]}]}))
    (tmp_path / "t.yml").write_text(
        "rule_files: [rules.yml]\n"
        "tests:\n"
        "  - name: mine\n"
        "    input_series:\n"
        "      - {series: 'x{n=\"1\"}', values: '1'}\n"
        "    alert_rule_test:\n"
        "      - {eval_time: 0, alertname: A, exp_alerts: [{exp_labels: {n: '2'}}]}\n"
    )
    assert main([str(tmp_path / "t.yml")]) == 1
    assert capsys.readouterr().out == (
        f"Unit Testing:  {tmp_path}/t.yml\n"
        "  FAILED:\n"
        f"  {tmp_path}/t.yml:7: alertname: A, time: 0s (test mine)\n"
        '      missing:    {alertname="A", n="2"} annotations {}\n'
        '      unexpected: {alertname="A", n="1"} annotations {}\n'
        "\n"
    )


def test_mistakes_of_a_test_file_are_all_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "t.yml"
    path.write_text(
        "rule_file: []\n"
        "evaluation_interval: often\n"
        "tests:\n"
        "  - input_series:\n"
        "      - {series: 'up{', values: '1'}\n"
        "      - {series: up, values: 7}\n"
        "    promql_expr_test:\n"
        "      - {expr: up, eval_time: 1m, exp_samples: [{labels: up, value: many}]}\n"
    )
    assert main([str(path)]) == 1
    lines = [line.removeprefix(f"{path}:") for line in capsys.readouterr().out.splitlines() if str(path) in line][1:]
    assert lines == [
        '1: rule_file: unknown key in the file; did you mean "rule_files"?',
        '2: evaluation_interval: expected a duration such as 5s, 1m30s or 30d, got "often"',
        "5: not a series: 'up{': parse error: unexpected end of input inside braces",
        '6: values: expected text, got 7: put it in quotes: "7"',
        '8: value: expected a number, got "many"',
    ]


def test_random_histories_are_the_same_minute_by_minute(tmp_path: Path) -> None:
    """States, ALERTS and recorded series of random rules over random data, judged by promtool."""
    chance = random.Random(7)
    rules: list[dict[str, Any]] = [{"record": "r", "expr": "sum by (n) (x) > 1"}]
    for number in range(25):
        rule = {"alert": f"A{number}", "expr": chance.choice(["x > 2", "x == 0", "max(x) > 3", "r > 2", "absent(x)"])}
        rule |= {"for": f"{chance.choice([0, 0, 1, 2, 5])}m", "keep_firing_for": f"{chance.choice([0, 0, 1, 3])}m"}
        rules.append(rule)
    words = ["0", "1", "2", "3", "4", "_", "_x6", "stale", "0x3", "3x3"]
    series = [
        {"series": f'x{{n="{n}",k="{k}"}}', "values": " ".join(["_", *(chance.choice(words) for _ in range(20))])}
        for n, k in (("a", "1"), ("a", "2"), ("b", "1"))
    ]
    (tmp_path / "rules.yml").write_text(json.dumps({"groups": [{"name": "g", "rules": rules}]}))
    storage = ScratchStorage()
    for one in series:
        for minute, value in enumerate(samples(one["values"])):
            if value is not None:
                # 59 s: no sample is exactly five minutes old at any evaluation, where Prometheus 2 and 3 differ.
                storage.put(series_labels(one["series"]), minute * 59_000, value)
    evaluate = evaluate_with(Engine(storage))
    (group,) = load_rules([tmp_path / "rules.yml"])
    running = RunningGroup(group, Surroundings(evaluate, storage))
    alerts, exprs = [], []
    for minute in range(40):
        running.evaluate(minute * 60_000)
        for state in running.rules[1:]:
            firing = [one.labels.without(("alertname",)) for one in state.alerts.values() if one.state == "firing"]
            expected = [{"exp_labels": labels.as_dict()} for labels in firing]
            alerts.append({"eval_time": f"{minute}m", "alertname": state.rule.name, "exp_alerts": expected})
        for name in ("ALERTS", "ALERTS_FOR_STATE", "r"):
            got = [{"labels": str(labels), "value": value} for labels, value in evaluate(parse(name), minute * 60_000)]
            exprs.append({"eval_time": f"{minute}m", "expr": name, "exp_samples": got})
    assert sum(len(one["exp_alerts"]) for one in alerts) > 200
    test = {"interval": "59s", "input_series": series, "alert_rule_test": alerts, "promql_expr_test": exprs}
    (tmp_path / "test.json").write_text(json.dumps({"rule_files": ["rules.yml"], "tests": [test]}))
    theirs, text = promtool(tmp_path / "test.json")
    assert theirs, text[:3000]
    assert main([str(tmp_path / "test.json")]) == 0
