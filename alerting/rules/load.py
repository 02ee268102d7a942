"""Prometheus rule files: read, check everything, freeze. Every problem is told at once, with file and line.

Format: https://prometheus.io/docs/prometheus/latest/configuration/recording_rules/. Every file that is accepted here
is accepted by Prometheus; some that Prometheus takes are refused, with the reason (PromQL that is not supported, rules
that cannot be told apart, numbers where YAML would change how they are written).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from alerting.promql.errors import QueryError
from alerting.promql.parse import parse
from alerting.rules.definitions import (
    ON_MISSING,
    ON_MISSING_MODES,
    AlertingRule,
    Group,
    OnMissing,
    RecordingRule,
    Rule,
    rule_identity,
)
from alerting.rules.expressions import value_problem
from alerting.rules.reader import Reader, show
from alerting.rules.template import Template
from alerting.rules.template_lex import TemplateError
from config.problems import ConfigError, Problem
from config.yamlfile import Key, read

MAX_RULES = 10_000

_GROUP_KEYS = ("name", "interval", "limit", "query_offset", "labels", "rules")
_RULE_KEYS = ("record", "alert", "expr", "for", "keep_firing_for", "labels", "annotations")
_ALERT_ONLY = ("for", "keep_firing_for", "annotations")
_METRIC_NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")


def load_rules(paths: Iterable[Path]) -> list[Group]:
    """The groups of all files, in order. Raises ConfigError with every problem of every file."""
    problems: list[Problem] = []
    groups: list[Group] = []
    for path in paths:
        groups.extend(load_file(path, problems))
    if sum(len(group.rules) for group in groups) > MAX_RULES:
        problems.append(Problem(groups[0].file, 0, f"all rule files together hold more than {MAX_RULES} rules"))
    problems += _same_sources(groups)
    if problems:
        raise ConfigError(problems)
    return groups


def _same_sources(groups: Sequence[Group]) -> list[Problem]:
    """Groups whose states and series could not be told apart, because their files differ only in the folder."""
    files: dict[str, str] = {}
    found = []
    for group in groups:
        first = files.setdefault(group.source, group.file)
        if first != group.file:
            message = f'group "{group.name}" is in {first} too, a file of the same name; rename one of the two'
            found.append(Problem(group.file, 0, message))
    return found


def load_file(path: Path, problems: list[Problem]) -> list[Group]:
    """The groups of one file. What is wrong is added to ``problems``; rules with a problem are left out."""
    document = read(path, problems)
    return [] if document is None else _File(document, problems).groups()


class _File(Reader):
    def groups(self) -> list[Group]:
        top = self.mapping(self.document.value, (), ("groups",), "the file")
        found: list[Group] = []
        names: dict[str, int] = {}
        for index, item in enumerate(self.list(top.get("groups"), ("groups",))):
            path: Key = ("groups", index)
            group = self._group(item, path)
            if group is None:
                continue
            line = self.document.line((*path, "name"))
            if group.name in names:
                message = f'group "{group.name}" is repeated in this file (first on line {names[group.name]})'
                self.bad((*path, "name"), message)
            names.setdefault(group.name, line)
            found.append(group)
        self._duplicates(found)
        return found

    def _group(self, value: Any, path: Key) -> Group | None:
        given = self.mapping(value, path, _GROUP_KEYS, "a group")
        if not given:
            return None
        name = self.text(given, "name", path, required="a group needs a name")
        labels = self.labels(given.get("labels"), (*path, "labels"))
        interval = self.duration(given, "interval", path)
        limit = given.get("limit")
        if limit is not None and (not isinstance(limit, int) or isinstance(limit, bool) or limit < 0):
            self.bad((*path, "limit"), f"limit: expected a whole number of 0 or more, got {show(limit)}")
            limit = 0
        rules = [
            rule
            for index, item in enumerate(self.list(given.get("rules"), (*path, "rules")))
            if (rule := self._rule(item, (*path, "rules", index), labels)) is not None
        ]
        return Group(
            name=name,
            file=self.document.file,
            rules=tuple(rules),
            interval_ms=interval or None,
            limit=limit or 0,
            query_offset_ms=self.duration(given, "query_offset", path),
            labels=labels,
        )

    def _rule(self, value: Any, path: Key, group_labels: Mapping[str, str]) -> Rule | None:
        before = len(self.problems)
        given = self.mapping(value, path, _RULE_KEYS, "a rule")
        if not given:
            if isinstance(value, dict) and len(self.problems) == before:
                self.bad(path, "a rule needs record or alert, and expr")
            return None
        if ("alert" in given) == ("record" in given):
            both = "only one of record and alert can be set" if "alert" in given else "a rule needs record or alert"
            self.bad(path, both)
            return None
        rule = (
            self._alerting(given, path, group_labels)
            if "alert" in given
            else self._recording(given, path, group_labels)
        )
        return rule if len(self.problems) == before else None

    def _alerting(self, given: Mapping[str, Any], path: Key, group_labels: Mapping[str, str]) -> Rule | None:
        name = self.text(given, "alert", path, required="alert: expected a name")
        labels = {**group_labels, **self.labels(given.get("labels"), (*path, "labels"))}
        annotations = self.labels(given.get("annotations"), (*path, "annotations"), noun="annotation")
        text = self.text(given, "expr", path, required=f'rule "{name}" needs expr')
        expr = self._expr(text, (*path, "expr"))
        label_texts = self._templates(labels, (*path, "labels"), "label")
        annotation_texts = self._templates(annotations, (*path, "annotations"), "annotation")
        for_ms = self.duration(given, "for", path)
        keep_ms = self.duration(given, "keep_firing_for", path)
        mode = self._on_missing(annotations, path)
        if expr is None:
            return None
        line = self.document.line(path)
        return AlertingRule(name, text, expr, for_ms, keep_ms, label_texts, annotation_texts, mode, line)

    def _recording(self, given: Mapping[str, Any], path: Key, group_labels: Mapping[str, str]) -> Rule | None:
        name = self.text(given, "record", path, required="record: expected a metric name")
        if name and not _METRIC_NAME.fullmatch(name):
            self.bad(
                (*path, "record"), f'record: "{name}" is no metric name (letters, digits, _ and :, no digit first)'
            )
        for key in _ALERT_ONLY:
            if given.get(key):
                self.bad((*path, key), f"{key}: only alerting rules have it, this is a recording rule")
        text = self.text(given, "expr", path, required=f'rule "{name}" needs expr')
        expr = self._expr(text, (*path, "expr"))
        labels = {**group_labels, **self.labels(given.get("labels"), (*path, "labels"))}
        return None if expr is None else RecordingRule(name, text, expr, labels, self.document.line(path))

    def _expr(self, text: str, path: Key) -> Any:
        if not text:
            return None
        try:
            expr = parse(text)
        except QueryError as error:
            self.bad(path, f"expr: {error}")
            return None
        if problem := value_problem(expr):
            self.bad(path, f"expr: {problem}")
        return expr

    def _templates(self, texts: Mapping[str, str], path: Key, noun: str) -> dict[str, Template]:
        result: dict[str, Template] = {}
        for name, text in texts.items():
            try:
                result[name] = Template(text)
            except TemplateError as error:
                self.bad((*path, name), f'{noun} "{name}": {error}')
                continue
            for query in result[name].queries():
                try:
                    parse(query)
                except QueryError as error:
                    self.bad((*path, name), f'{noun} "{name}": query "{query}": {error}')
        return result

    def _on_missing(self, annotations: Mapping[str, str], path: Key) -> OnMissing:
        mode = annotations.get(ON_MISSING, "resolve")
        for known in ON_MISSING_MODES:
            if mode == known:
                return known
        message = f'annotation "{ON_MISSING}": expected {" or ".join(ON_MISSING_MODES)}, got "{mode}"'
        self.bad((*path, "annotations", ON_MISSING), message)
        return "resolve"

    def _duplicates(self, groups: Sequence[Group]) -> None:
        first: dict[Any, int] = {}
        for group in groups:
            for rule in group.rules:
                identity = rule_identity(rule)
                if identity in first:
                    message = (
                        f'{identity[0]} "{rule.name}": same name and labels as the rule on line {first[identity]}; '
                        "give them different labels so that they can be told apart"
                    )
                    self.problems.append(Problem(self.document.file, rule.line, message))
                first.setdefault(identity, rule.line)
