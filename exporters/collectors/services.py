"""What the probes found last, from memory: no service is asked within a scrape."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from exporters.catalog import services as catalog
from exporters.catalog.metric import Metric
from exporters.collector import CollectorFailed, Family
from exporters.collectors.shape import Row, families
from exporters.probes.service import Probes
from exporters.probes.verdict import Reason, State, Verdict
from exporters.probes.watch import Result, Watch
from exporters.registry import Settings

# A reading is good for so many intervals; a service whose probe has said nothing for longer is unknown.
KEPT_INTERVALS = 3
_UNASKED = Verdict(State.UNKNOWN, Reason.NOT_YET)
_SILENT = Verdict(State.UNKNOWN, Reason.NO_READING)


class Services:
    """Starts the probes; ``settings.on_stop`` is given what ends them."""

    def __init__(self, settings: Settings) -> None:
        wanted = [service.probe for service in settings.services if service.probe is not None]
        self._wall = settings.wall
        self._probes = Probes(wanted, lambda: settings.changed("service"))
        self._probes.start()
        settings.on_stop(self._probes.stop)

    def collect(self) -> Sequence[Family]:
        return tell(self._probes.watches, time.monotonic(), self._wall)


def tell(watches: Sequence[Watch], now: float, wall: Callable[[], float]) -> list[Family]:
    """Every service's state and figures. ``now`` is monotonic."""
    if not watches:
        raise CollectorFailed("there is no service to tell of")
    rows: dict[Metric, list[Row]] = {}
    epoch = wall() - now
    for watch in watches:
        service, kind = watch.probe.service, watch.probe.wanted.kind
        verdict = verdict_of(watch, now)
        for state in State:
            rows.setdefault(catalog.STATE, []).append(((service, kind, state), 1.0 if state is verdict.state else 0.0))
        if verdict.reason is not None:
            rows.setdefault(catalog.PROBLEM, []).append(((service, kind, verdict.reason), 1.0))
        if verdict.state is not State.UNKNOWN:
            rows.setdefault(catalog.PROBE_SUCCESS, []).append(((service,), 0.0 if verdict.state is State.DOWN else 1.0))
        for metric, found in verdict.rows.items():
            rows.setdefault(metric, []).extend(found)
        up = watch.probe.up
        if up is not None and verdict.state is State.DOWN and up not in verdict.rows:
            rows.setdefault(up, []).append(((service,), 0.0))
        if watch.result is not None:
            _tell_checks(watch.result, service, kind, epoch, rows)
    return families(rows)


def _tell_checks(result: Result, service: str, kind: str, epoch: float, rows: dict[Metric, list[Row]]) -> None:
    rows.setdefault(catalog.CHECKED, []).append(((service, kind), epoch + result.at))
    rows.setdefault(catalog.PROBE_DURATION, []).append(((service,), result.seconds))
    rows.setdefault(catalog.CHECKS, []).append(((service,), float(result.checks)))
    rows.setdefault(catalog.CHANGES, []).append(((service,), float(result.changes)))


def verdict_of(watch: Watch, now: float) -> Verdict:
    """The last verdict while it is young enough."""
    result = watch.result
    if result is None:
        return _UNASKED
    if now - result.at > KEPT_INTERVALS * watch.pace.interval + watch.pace.timeout:
        return _SILENT
    return result.verdict
