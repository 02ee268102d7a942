"""The other store as far as it is this cluster's: ``external_labels`` put on the question and taken off the answer.

The meaning of Prometheus' remote read (storage/remote/read.go, addExternalLabels): who names such a label asks for
others' series too, and sees the label.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from alerting.model.labels import Labels
from alerting.model.matcher import Matcher
from alerting.model.series import IntArray, SeriesData
from alerting.remote.querier import RemoteQuerier

Sets = Sequence[Sequence[Matcher]]


class OwnPart:
    """Asked like the ``RemoteQuerier`` it stands around."""

    def __init__(self, remote: RemoteQuerier, external: Labels) -> None:
        self._remote = remote
        self._external = external

    def begin(self, deadline: float | None, warn: Callable[[str], None]) -> OwnPart:
        """See ``PerQuery``."""
        return OwnPart(self._remote.begin(deadline, warn), self._external)

    def select(self, matchers: Sequence[Matcher], start_ms: int, end_ms: int) -> list[SeriesData]:
        """See ``Querier``."""
        added = self._added(matchers)
        return _stripped(self._remote.select([*matchers, *added], start_ms, end_ms), added)

    def at(self, matchers: Sequence[Matcher], times: IntArray, lookback_ms: int) -> list[SeriesData]:
        """See ``QuerySession``."""
        added = self._added(matchers)
        return _stripped(self._remote.at([*matchers, *added], times, lookback_ms), added)

    def series(self, matcher_sets: Sets, start_ms: int, end_ms: int) -> list[Labels]:
        """See ``Querier``."""
        found: set[Labels] = set()
        for matchers in matcher_sets or [()]:
            added = self._added(matchers)
            names = [one.name for one in added]
            told = self._remote.series([[*matchers, *added]], start_ms, end_ms)
            found.update(labels.without(names) for labels in told)
        return sorted(found)

    def label_names(self, matcher_sets: Sets, start_ms: int, end_ms: int) -> list[str]:
        found: set[str] = set()
        for matchers in matcher_sets or [()]:
            added = self._added(matchers)
            told = self._remote.label_names([[*matchers, *added]], start_ms, end_ms)
            found.update(set(told) - {one.name for one in added})
        return sorted(found)

    def label_values(self, name: str, matcher_sets: Sets, start_ms: int, end_ms: int) -> list[str]:
        """Of an external label: its values among everybody's series, to choose from."""
        asked = [[*one, *(more for more in self._added(one) if more.name != name)] for one in matcher_sets or [()]]
        return self._remote.label_values(name, asked, start_ms, end_ms)

    def _added(self, matchers: Sequence[Matcher]) -> list[Matcher]:
        named = {matcher.name for matcher in matchers}
        return [Matcher(name, "=", value) for name, value in self._external if name not in named]


def _stripped(found: list[SeriesData], added: Sequence[Matcher]) -> list[SeriesData]:
    names = [one.name for one in added]
    plain = [SeriesData(one.labels.without(names), one.times, one.values) for one in found]
    return sorted(plain, key=lambda one: one.labels)
