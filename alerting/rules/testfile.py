"""Rule tests in promtool's format: read and checked.

Format: https://prometheus.io/docs/prometheus/latest/configuration/unit_testing_rules/.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from alerting.model.labels import Labels
from alerting.rules.notation import NotationError, samples, series_labels
from alerting.rules.reader import Reader, show
from config.problems import ConfigError, Problem
from config.yamlfile import Key, read

_TOP = ("rule_files", "evaluation_interval", "group_eval_order", "tests", "fuzzy_compare")
_TEST = ("name", "interval", "input_series", "alert_rule_test", "promql_expr_test", "external_labels", "external_url")
_DEFAULT_INTERVAL_MS = 60_000
MAX_EVALUATIONS = 200_000  # of one test


@dataclass(frozen=True, slots=True)
class InputSeries:
    labels: Labels
    values: tuple[float | None, ...]


@dataclass(frozen=True, slots=True)
class ExpectedAlert:
    """``labels`` without alertname."""

    labels: Mapping[str, str]
    annotations: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class AlertCase:
    time_ms: int
    alertname: str
    expected: tuple[ExpectedAlert, ...]
    line: int


@dataclass(frozen=True, slots=True)
class ExprCase:
    time_ms: int
    expr: str
    expected: tuple[tuple[Labels, float], ...]
    line: int


@dataclass(frozen=True, slots=True)
class Test:
    """Input series, each sample ``interval_ms`` after the one before, and what must come out."""

    interval_ms: int
    name: str = ""
    series: tuple[InputSeries, ...] = ()
    alerts: tuple[AlertCase, ...] = ()
    exprs: tuple[ExprCase, ...] = ()
    external_labels: Mapping[str, str] = field(default_factory=dict)
    external_url: str = ""

    @property
    def end_ms(self) -> int:
        times = [case.time_ms for case in self.alerts] + [case.time_ms for case in self.exprs]
        return max(times, default=0)


@dataclass(frozen=True, slots=True)
class TestFile:
    rule_files: tuple[Path, ...]
    interval_ms: int
    order: tuple[str, ...]
    tests: tuple[Test, ...]
    unmatched: tuple[str, ...] = ()
    fuzzy: bool = False


def load_test_file(path: Path) -> TestFile:
    """Read a test file. Raises ConfigError with every problem."""
    problems: list[Problem] = []
    document = read(path, problems)
    if document is None:
        raise ConfigError(problems)
    result = _TestReader(document, problems).file(path.parent)
    if problems:
        raise ConfigError(problems)
    return result


class _TestReader(Reader):
    def file(self, folder: Path) -> TestFile:
        top = self.mapping(self.document.value, (), _TOP, "the file")
        interval = self.duration(top, "evaluation_interval", ()) or _DEFAULT_INTERVAL_MS
        files: list[Path] = []
        unmatched: list[str] = []
        for pattern in self._texts(top.get("rule_files"), ("rule_files",)):
            found = _glob(folder, pattern)
            files += found
            if not found:
                unmatched.append(pattern)
        order = self._texts(top.get("group_eval_order"), ("group_eval_order",))
        for index, name in enumerate(order):
            if name in order[:index]:
                self.bad(("group_eval_order", index), f'group name repeated in evaluation order: "{name}"')
        tests = tuple(
            self._test(item, ("tests", index), interval)
            for index, item in enumerate(self.list(top.get("tests"), ("tests",)))
        )
        return TestFile(tuple(files), interval, tuple(order), tests, tuple(unmatched), top.get("fuzzy_compare") is True)

    def _test(self, value: Any, path: Key, default_ms: int) -> Test:
        given = self.mapping(value, path, _TEST, "a test")
        test = Test(
            interval_ms=self.duration(given, "interval", path) or default_ms,
            name=self._optional(given, "name", path),
            series=tuple(self._each(given, "input_series", path, self._series)),
            alerts=tuple(self._each(given, "alert_rule_test", path, self._alert_case)),
            exprs=tuple(self._each(given, "promql_expr_test", path, self._expr_case)),
            external_labels=self.labels(given.get("external_labels"), (*path, "external_labels")),
            external_url=self._optional(given, "external_url", path),
        )
        if test.end_ms // default_ms > MAX_EVALUATIONS:
            self.bad(path, f"more than {MAX_EVALUATIONS} evaluations up to the last eval_time")
        return test

    def _each(self, given: Mapping[str, Any], key: str, path: Key, make: Any) -> list[Any]:
        items = self.list(given.get(key), (*path, key))
        made = (make(item, (*path, key, index)) for index, item in enumerate(items))
        return [one for one in made if one is not None]

    def _series(self, value: Any, path: Key) -> InputSeries | None:
        given = self.mapping(value, path, ("series", "values"), "a series")
        name = self.text(given, "series", path, required="a series needs series and values")
        values = self._optional(given, "values", path)
        try:
            return InputSeries(series_labels(name), tuple(samples(values))) if name else None
        except NotationError as error:
            self.bad(path, str(error))
            return None

    def _alert_case(self, value: Any, path: Key) -> AlertCase | None:
        given = self.mapping(value, path, ("eval_time", "alertname", "exp_alerts"), "an alert test")
        name = self.text(given, "alertname", path, required="an alert test needs alertname")
        expected = []
        for index, item in enumerate(self.list(given.get("exp_alerts"), (*path, "exp_alerts"))):
            where = (*path, "exp_alerts", index)
            alert = self.mapping(item, where, ("exp_labels", "exp_annotations"), "an expected alert")
            labels = self.labels(alert.get("exp_labels"), (*where, "exp_labels"))
            annotations = self.labels(alert.get("exp_annotations"), (*where, "exp_annotations"), noun="annotation")
            expected.append(ExpectedAlert(labels, annotations))
        return AlertCase(self.duration(given, "eval_time", path), name, tuple(expected), self.document.line(path))

    def _expr_case(self, value: Any, path: Key) -> ExprCase | None:
        given = self.mapping(value, path, ("expr", "eval_time", "exp_samples"), "an expression test")
        expr = self.text(given, "expr", path, required="an expression test needs expr")
        expected = []
        for index, item in enumerate(self.list(given.get("exp_samples"), (*path, "exp_samples"))):
            where = (*path, "exp_samples", index)
            sample = self.mapping(item, where, ("labels", "value"), "an expected sample")
            try:
                labels = series_labels(sample.get("labels") or "{}")
            except (NotationError, TypeError) as error:
                self.bad(where, str(error))
                continue
            expected.append((labels, self._number(sample.get("value", 0), (*where, "value"))))
        return ExprCase(self.duration(given, "eval_time", path), expr, tuple(expected), self.document.line(path))

    def _number(self, value: Any, path: Key) -> float:
        try:
            if isinstance(value, bool):
                raise TypeError
            # YAML 1.1 reads 1e3 as text, YAML 1.2 (promtool's) as a number.
            return float(value)
        except (TypeError, ValueError):
            self.bad(path, f"value: expected a number, got {show(value)}")
            return 0.0

    def _optional(self, given: Mapping[str, Any], key: str, path: Key) -> str:
        return self.text(given, key, path, required="") if given.get(key) not in (None, "") else ""

    def _texts(self, value: Any, path: Key) -> list[str]:
        found = []
        for index, item in enumerate(self.list(value, path)):
            if isinstance(item, str):
                found.append(item)
            else:
                self.bad((*path, index), f"{path[-1]}: expected text, got {show(item)}")
        return found


def _glob(folder: Path, pattern: str) -> Sequence[Path]:
    """The files a pattern names, relative to the folder; a plain name that is not there names nothing."""
    path = Path(pattern)
    if path.is_absolute():
        return sorted(Path(path.anchor).glob(str(path.relative_to(path.anchor))))
    # ".." is not followed by glob patterns of pathlib, so it is walked first.
    parts = path.parts
    while parts and parts[0] == "..":
        folder, parts = folder / "..", parts[1:]
    return sorted(folder.glob(str(Path(*parts)))) if parts else []
