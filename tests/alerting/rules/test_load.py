"""Rule files: what is accepted must be accepted by promtool too; each mistake has its line and its words."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from alerting.rules.check import main as check
from alerting.rules.definitions import AlertingRule, RecordingRule
from alerting.rules.load import load_rules
from config.problems import ConfigError
from tests.support.peers import need

GOOD = """
groups:
  - name: node
    interval: 30s
    limit: 10
    rules:
      - record: node:cpu:busy
        expr: 1 - avg by (instance) (rate(node_cpu_seconds_total{mode="idle"}[1m]))
        labels: {unit: ratio}
      - alert: DiskFull
        expr: |
          node_filesystem_avail_bytes / node_filesystem_size_bytes < 0.05
            and predict_linear(node_filesystem_avail_bytes[6h], 3600) < 0
        for: 1h30m
        keep_firing_for: 10m
        labels:
          severity: critical
          where: '{{ $labels.mountpoint | title }}'
        annotations:
          summary: 'Disk {{ $labels.mountpoint }} of {{ $labels.instance }} at {{ $value | humanizePercentage }}'
          others: '{{ range query "up == 0" }}{{ .Labels.instance }} {{ end }}'
          on_missing: hold
  - name: empty
  - name: zero
    interval: 0s
    rules:
      - {alert: Always, expr: vector(1), for: 0}
"""


def write(folder: Path, text: str, name: str = "r.yml") -> Path:
    (folder / name).write_text(text.lstrip("\n"))
    return folder / name


def test_a_file_is_read(tmp_path: Path) -> None:
    path = write(tmp_path, GOOD)
    node, empty, zero = load_rules([path])
    assert (node.name, node.file, node.interval_ms, node.limit) == ("node", str(path), 30_000, 10)
    record, alert = node.rules
    assert isinstance(record, RecordingRule)
    assert (record.name, record.labels, record.line) == ("node:cpu:busy", {"unit": "ratio"}, 6)
    assert isinstance(alert, AlertingRule)
    assert (alert.name, alert.for_ms, alert.keep_firing_for_ms) == ("DiskFull", 5_400_000, 600_000)
    assert (alert.on_missing, alert.line) == ("hold", 9)
    assert set(alert.labels) == {"severity", "where"}
    assert "on_missing" in alert.annotations, "Prometheus shows it, so it is part of the alert"
    assert empty.rules == ()
    assert zero.interval_ms is None


def test_what_is_accepted_is_accepted_by_promtool(tmp_path: Path) -> None:
    path = write(tmp_path, GOOD)
    done = subprocess.run([need("promtool"), "check", "rules", str(path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert check([str(path)]) == 0


def test_check_counts_rules(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one, two = write(tmp_path, GOOD), write(tmp_path, "groups: []", "e.yml")
    assert check([str(one), str(two)]) == 0
    assert capsys.readouterr().out == f"{one}: 3 rules\n{two}: 0 rules\n3 rules in 2 files: fine\n"


def test_labels_of_a_group_go_to_its_rules_and_a_rules_own_win(tmp_path: Path) -> None:
    text = """
groups:
  - name: g
    query_offset: 30s
    labels: {team: home, tier: "1"}
    rules:
      - {record: a, expr: up, labels: {tier: "2"}}
      - {alert: A, expr: up}
"""
    (group,) = load_rules([write(tmp_path, text)])
    assert group.query_offset_ms == 30_000
    assert group.rules[0].labels == {"team": "home", "tier": "2"}
    assert {name: str(text.text) for name, text in group.rules[1].labels.items() if not isinstance(text, str)} == {
        "team": "home",
        "tier": "1",
    }


RULE = "groups:\n  - name: g\n    rules:\n      - alert: A\n        expr: up == 0\n"
BAD: dict[str, tuple[str, list[str]]] = {
    "not yaml": ("groups: [", ["2: not valid YAML: while parsing a flow node did not find expected node content"]),
    "a list": (
        "- name: g",
        ["1: expected the file as a mapping with groups, got a list"],
    ),
    "unknown key at the top": (
        "group: []",
        ['1: group: unknown key in the file; did you mean "groups"?'],
    ),
    "unknown key of a group": (
        "groups:\n  - name: g\n    intervall: 5s\n    rules: []",
        ['3: intervall: unknown key in a group; did you mean "interval"?'],
    ),
    "unknown key of a rule": (
        RULE + "        fore: 5m",
        ['6: fore: unknown key in a rule; did you mean "for"?'],
    ),
    "groups is no list": ("groups: {name: g}", ["1: groups: expected a list, got a mapping"]),
    "a group without a name": ("groups:\n  - rules: []", ["2: a group needs a name"]),
    "two groups of one name": (
        "groups:\n  - name: g\n  - name: g",
        ['3: group "g" is repeated in this file (first on line 2)'],
    ),
    "interval": (
        "groups:\n  - name: g\n    interval: 5 s",
        ['3: interval: expected a duration such as 5s, 1m30s or 30d, got "5 s"'],
    ),
    "a number as duration": (
        RULE + "        for: 5",
        ["6: for: expected a duration such as 5s, 1m30s or 30d, got 5"],
    ),
    "limit": ("groups:\n  - name: g\n    limit: -1", ["3: limit: expected a whole number of 0 or more, got -1"]),
    "neither alert nor record": (
        "groups:\n  - name: g\n    rules:\n      - expr: up",
        ["4: a rule needs record or alert"],
    ),
    "alert and record": (
        RULE + "        record: b",
        ["4: only one of record and alert can be set"],
    ),
    "an empty rule": ("groups:\n  - name: g\n    rules:\n      - {}", ["4: a rule needs record or alert, and expr"]),
    "no expression": ("groups:\n  - name: g\n    rules:\n      - alert: A", ['4: rule "A" needs expr']),
    "a number as expression": (
        "groups:\n  - name: g\n    rules:\n      - alert: A\n        expr: 1",
        ['5: expr: expected text, got 1: put it in quotes: "1"'],
    ),
    "expression does not parse": (
        "groups:\n  - name: g\n    rules:\n      - alert: A\n        expr: sum(up",
        ["5: expr: 1:7: parse error: unclosed left parenthesis"],
    ),
    "unknown function": (
        "groups:\n  - name: g\n    rules:\n      - alert: A\n        expr: rat(up[5m])",
        ['5: expr: 1:1: parse error: unknown function with name "rat"'],
    ),
    "a range": (
        "groups:\n  - name: g\n    rules:\n      - alert: A\n        expr: up[5m]",
        ["5: expr: a range of samples is no rule; put a function such as max_over_time() around it"],
    ),
    "a text": (
        "groups:\n  - name: g\n    rules:\n      - alert: A\n        expr: '\"x\"'",
        ["5: expr: a text is no rule; expected an expression that gives numbers"],
    ),
    "metric name": (
        "groups:\n  - name: g\n    rules:\n      - {record: a-b, expr: up}",
        ['4: record: "a-b" is no metric name (letters, digits, _ and :, no digit first)'],
    ),
    "for in a recording rule": (
        "groups:\n  - name: g\n    rules:\n      - record: a\n        expr: up\n        for: 5m",
        ["6: for: only alerting rules have it, this is a recording rule"],
    ),
    "annotations in a recording rule": (
        "groups:\n  - name: g\n    rules:\n      - record: a\n        expr: up\n        annotations: {a: b}",
        ["6: annotations: only alerting rules have it, this is a recording rule"],
    ),
    "label name": (
        RULE + "        labels:\n          a-b: c",
        ['7: "a-b" is no label name (letters, digits and _, no digit first)'],
    ),
    "the metric's name as label": (
        RULE + "        labels:\n          __name__: c",
        ['7: "__name__" is no label name (letters, digits and _, no digit first)'],
    ),
    "a number as label": (
        RULE + "        labels:\n          tier: 1",
        ['7: label "tier": expected text, got 1: put it in quotes: "1"'],
    ),
    "labels are a list": (
        RULE + "        labels: [a]",
        ["6: labels: expected a mapping of names to texts, got a list"],
    ),
    "annotation name": (
        RULE + "        annotations:\n          what to do: x",
        ['7: "what to do" is no annotation name (letters, digits and _, no digit first)'],
    ),
    "on_missing": (
        RULE + "        annotations:\n          on_missing: keep",
        ['7: annotation "on_missing": expected resolve or hold or fire, got "keep"'],
    ),
    "a template that is not closed": (
        RULE + "        annotations:\n          a: '{{ $value'",
        ['7: annotation "a": an action is not closed: expected }}'],
    ),
    "an if without end": (
        RULE + "        annotations:\n          a: '{{ if $value }}x'",
        ['7: annotation "a": expected {{ end }} for {{ if }}, got the end'],
    ),
    "an unknown template function": (
        RULE + "        annotations:\n          a: '{{ $value | humanise }}'",
        ['7: annotation "a": function "humanise" not defined; did you mean "humanize"?'],
    ),
    "an unknown template variable": (
        RULE + "        labels:\n          a: '{{ $label.x }}'",
        ['7: label "a": undefined variable "$label"; known: $externalLabels, $externalURL, $labels, $value'],
    ),
    "too many arguments": (
        RULE + "        annotations:\n          a: '{{ humanize $value 2 }}'",
        ['7: annotation "a": wrong number of arguments for humanize: want 1, got 2'],
    ),
    "an unknown field": (
        RULE + "        annotations:\n          a: '{{ .Label.x }}'",
        ['7: annotation "a": no field ".Label"; known: ExternalLabels, ExternalURL, Labels, Value'],
    ),
    "a comparison that always fails": (
        RULE + "        annotations:\n          a: '{{ if gt $value 5 }}x{{ end }}'",
        [
            '7: annotation "a": gt compares $value, a float, with 5, which templates refuse when the alert fires; '
            "write 5.0"
        ],
    ),
    "a query in a template": (
        RULE + "        annotations:\n          a: '{{ query \"up{\" | first | value }}'",
        ['7: annotation "a": query "up{": 1:4: parse error: unexpected end of input inside braces'],
    ),
    "template blocks": (
        RULE + "        annotations:\n          a: '{{ define \"x\" }}{{ end }}'",
        ['7: annotation "a": "define" is not supported: a rule\'s texts stand alone'],
    ),
    "the same rule twice": (
        RULE + "      - {alert: A, expr: up == 1}",
        [
            '6: alert "A": same name and labels as the rule on line 4; '
            "give them different labels so that they can be told apart"
        ],
    ),
    "a key twice": (RULE + "        expr: up", ['6: "expr" is given twice (first on line 5)']),
    "several": (
        "groups:\n  - name: g\n    limit: x\n    rules:\n"
        "      - {alert: A, expr: 'up +', for: x}\n      - {record: 1a, expr: up}",
        [
            '3: limit: expected a whole number of 0 or more, got "x"',
            "5: expr: 1:5: parse error: unexpected end of input",
            '5: for: expected a duration such as 5s, 1m30s or 30d, got "x"',
            '6: record: "1a" is no metric name (letters, digits, _ and :, no digit first)',
        ],
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_a_mistake_is_named_with_its_line(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text, expected = BAD[name]
    path = write(tmp_path, text)
    with pytest.raises(ConfigError) as caught:
        load_rules([path])
    assert str(caught.value).replace(f"{path}:", "").splitlines() == expected
    assert check([str(path)]) == 1
    assert capsys.readouterr().err == "".join(f"{path}:{line}\n" for line in expected) + (
        f"{len(expected)} problem{'s' if len(expected) > 1 else ''}\n"
    )


def test_mistakes_of_all_files_are_told_together(tmp_path: Path) -> None:
    one = write(tmp_path, "groups:\n  - rules: []", "a.yml")
    two = write(tmp_path, "groups:\n  - rules: []", "b.yml")
    with pytest.raises(ConfigError) as caught:
        load_rules([two, one, tmp_path / "none.yml"])
    assert [problem.file for problem in caught.value.problems] == [str(one), str(two), str(tmp_path / "none.yml")]


def test_files_of_one_name_cannot_hold_groups_of_one_name(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    one, two = write(tmp_path, "groups: [{name: g}]"), write(tmp_path / "sub", "groups: [{name: g}]")
    with pytest.raises(ConfigError) as caught:
        load_rules([one, two])
    assert str(caught.value) == f'{two}: group "g" is in {one} too, a file of the same name; rename one of the two'


def test_a_rule_file_that_is_not_there_is_named_without_advice_for_other_files(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load_rules([tmp_path / "none.yml"])
    assert str(caught.value) == f"{tmp_path / 'none.yml'}: no such file"
