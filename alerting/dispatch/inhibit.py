"""Inhibition: an alert that explains others keeps them from being told. Pure.

Alertmanager's meaning (https://prometheus.io/docs/alerting/latest/configuration/#inhibit_rule): a firing alert that
matches ``source`` mutes those that match ``target`` when all ``equal`` labels have the same value, missing in both
counting as the same. An alert that matches both sides is not muted by alerts of which the same is true, itself
included.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from alerting.dispatch.route import compile_matchers
from alerting.model.labels import Labels
from alerting.model.matcher import Matcher, all_match
from config.alerting import InhibitRule

_NOBODY: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Inhibition:
    """One rule, compiled."""

    source: tuple[Matcher, ...]
    target: tuple[Matcher, ...]
    equal: tuple[str, ...]

    def values(self, labels: Mapping[str, str]) -> tuple[str, ...]:
        return tuple(labels.get(name, "") for name in self.equal)


def build(rules: Iterable[InhibitRule]) -> tuple[Inhibition, ...]:
    """Compile checked rules. Raises ValueError for a matcher that the check would refuse."""
    return tuple(
        Inhibition(compile_matchers(rule.source_matchers), compile_matchers(rule.target_matchers), tuple(rule.equal))
        for rule in rules
    )


def inhibited(
    rules: Sequence[Inhibition], targets: Mapping[str, Labels], sources: Mapping[str, Labels]
) -> dict[str, frozenset[str]]:
    """Which targets are muted, and by whom: fingerprint -> fingerprints of the sources.

    Both mappings go from fingerprint to labels; usually both are all firing alerts.
    """
    muted: dict[str, frozenset[str]] = {}
    for rule in rules:
        alone, both = _sources(rule, sources)
        if not alone and not both:
            continue
        for fingerprint, labels in targets.items():
            known = labels.as_dict()
            if not all_match(rule.target, known):
                continue
            values = rule.values(known)
            by = alone.get(values, _NOBODY)
            if not all_match(rule.source, known):
                by |= both.get(values, _NOBODY)
            by -= {fingerprint}
            if by:
                muted[fingerprint] = muted.get(fingerprint, _NOBODY) | by
    return muted


Sources = dict[tuple[str, ...], frozenset[str]]


def _sources(rule: Inhibition, sources: Mapping[str, Labels]) -> tuple[Sources, Sources]:
    """The rule's sources by the values of their equal labels: those that are no target, and those that are both."""
    alone: Sources = {}
    both: Sources = {}
    for fingerprint, labels in sources.items():
        known = labels.as_dict()
        if all_match(rule.source, known):
            kind = both if all_match(rule.target, known) else alone
            values = rule.values(known)
            kind[values] = kind.get(values, _NOBODY) | {fingerprint}
    return alone, both
