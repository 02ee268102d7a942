"""``tierwatch test rules``: run promtool's rule tests with this engine and say what differs."""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Sequence
from pathlib import Path

from alerting.model.alert import Alert
from alerting.model.labels import Labels
from alerting.promql.engine import Engine
from alerting.promql.errors import QueryError
from alerting.promql.parse import parse
from alerting.promql.value import format_value
from alerting.rules.definitions import Group
from alerting.rules.expressions import Evaluate, evaluate_with
from alerting.rules.group import RunningGroup, Surroundings
from alerting.rules.load import load_rules
from alerting.rules.scratch import ScratchStorage
from alerting.rules.testfile import AlertCase, ExprCase, Test, TestFile, load_test_file
from config.problems import ConfigError
from config.units import format_duration


def main(argv: Sequence[str]) -> int:
    """Exit status 0 when every test of every file passed, 1 when not."""
    parser = argparse.ArgumentParser(prog="tierwatch test rules", description=__doc__)
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE", help="test files in promtool's format")
    arguments = parser.parse_args(argv)
    failed = False
    for path in arguments.files:
        sys.stdout.write(f"Unit Testing:  {path}\n")
        try:
            file = load_test_file(path)
            for pattern in file.unmatched:
                sys.stderr.write(f"  WARNING: no file match pattern {pattern}\n")
            problems = run_file(file, path)
        except ConfigError as error:
            problems = [str(error)]
        if problems:
            failed = True
            sys.stdout.write("  FAILED:\n" + "".join(f"{problem}\n" for problem in problems) + "\n")
        else:
            sys.stdout.write("  SUCCESS\n\n")
    return 1 if failed else 0


def run_file(file: TestFile, path: Path) -> list[str]:
    """What went wrong in the tests of a file; empty when nothing did. Raises ConfigError for broken rule files."""
    groups = load_rules(file.rule_files)
    order = {name: position for position, name in enumerate(file.order)}
    groups.sort(key=lambda group: order.get(group.name, 0))
    return [problem for test in file.tests for problem in _Run(file, test, groups, path).problems()]


class _Run:
    """One test."""

    def __init__(self, file: TestFile, test: Test, groups: Sequence[Group], path: Path) -> None:
        self._file = file
        self._test = test
        self._path = path
        self._title = f" (test {test.name})" if test.name else ""
        storage = ScratchStorage()
        for series in test.series:
            for position, value in enumerate(series.values):
                if value is not None:
                    storage.put(series.labels, position * test.interval_ms, value)
        self._evaluate: Evaluate = evaluate_with(Engine(storage, subquery_step_ms=file.interval_ms))
        around = Surroundings(
            evaluate=self._evaluate,
            storage=storage,
            default_interval_ms=test.interval_ms,
            external_labels=test.external_labels,
            external_url=test.external_url,
        )
        self._groups = [RunningGroup(group, around) for group in groups]

    def problems(self) -> list[str]:
        found: list[str] = []
        step = self._file.interval_ms
        for time_ms in range(0, self._test.end_ms + 1, step):
            errors = self._turn(time_ms)
            if errors:
                return found + errors
            for case in self._test.alerts:
                if time_ms <= case.time_ms < time_ms + step:
                    found += self._alerts(case)
        for expr in self._test.exprs:
            found += self._expr(expr)
        return found

    def _turn(self, time_ms: int) -> list[str]:
        errors = []
        for group in self._groups:
            group.evaluate(time_ms)
            errors += [
                f"    rule: {state.rule.name}, time: {_time(time_ms)}, err: {state.last.error}{self._title}"
                for state in group.rules
                if state.last is not None and state.last.error
            ]
        return errors

    def _alerts(self, case: AlertCase) -> list[str]:
        got = [
            _alert_text(alert)
            for group in self._groups
            for state in group.rules
            if state.rule.name == case.alertname
            for alert in state.alerts.values()
            if alert.state == "firing"
        ]
        want = [_text({**alert.labels, "alertname": case.alertname}, alert.annotations) for alert in case.expected]
        what = f"alertname: {case.alertname}, time: {_time(case.time_ms)}"
        return self._difference(case.line, what, want, got)

    def _expr(self, case: ExprCase) -> list[str]:
        what = f"expr: {case.expr!r}, time: {_time(case.time_ms)}"
        try:
            vector = self._evaluate(parse(case.expr), case.time_ms)
        except QueryError as error:
            return [f"  {self._path}:{case.line}: {what}{self._title}\n      err: {error}"]
        got, want = sorted(vector, key=_by_labels), sorted(case.expected, key=_by_labels)
        if len(got) == len(want) and all(map(self._same, got, want)):
            return []
        return self._difference(
            case.line, what, list(map(_sample_text, want)), list(map(_sample_text, got)), force=True
        )

    def _same(self, got: tuple[Labels, float], want: tuple[Labels, float]) -> bool:
        if got[0] != want[0]:
            return False
        if self._file.fuzzy:
            return math.isclose(got[1], want[1], rel_tol=1e-15) or (math.isnan(got[1]) and math.isnan(want[1]))
        return got[1] == want[1]

    def _difference(
        self, line: int, what: str, want: Sequence[str], got: Sequence[str], *, force: bool = False
    ) -> list[str]:
        """The expected items that are not there and those that are there unexpectedly; empty when all agree."""
        left, unexpected = list(want), []
        for item in got:
            if item in left:
                left.remove(item)
            else:
                unexpected.append(item)
        if not left and not unexpected and not force:
            return []
        lines = [f"  {self._path}:{line}: {what}{self._title}"]
        lines += [f"      missing:    {item}" for item in sorted(left)]
        lines += [f"      unexpected: {item}" for item in sorted(unexpected)]
        if not left and not unexpected:
            lines.append("      NaN is never equal to NaN here, as in promtool; write the test with == or absent()")
        return ["\n".join(lines)]


def _by_labels(sample: tuple[Labels, float]) -> Labels:
    return sample[0]


def _time(time_ms: int) -> str:
    return format_duration(time_ms / 1000)


def _alert_text(alert: Alert) -> str:
    return _text(dict(alert.labels), alert.annotations)


def _text(labels: dict[str, str], annotations: object) -> str:
    """Labels and annotations in one line; an empty label is none, an empty annotation is one."""
    plain = dict(annotations) if isinstance(annotations, dict) else {}
    return f"{Labels.of(labels)} annotations {Labels(sorted(plain.items()))}"


def _sample_text(sample: tuple[Labels, float]) -> str:
    return f"{sample[0]} {format_value(sample[1])}"
