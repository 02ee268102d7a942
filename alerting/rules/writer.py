"""Writes what a rule gave: one frame of the store for each evaluation."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from alerting.model.alert import Alert
from alerting.model.labels import METRIC_NAME, Labels
from alerting.model.series import ABSENT
from alerting.storage.ports import FrameWriter

ALERTS = "ALERTS"
ALERTS_FOR_STATE = "ALERTS_FOR_STATE"


class SeriesWriter:
    """One rule's series. A rule has its own frames, so a rule that failed does not end its series, and a rule sees
    what the rules before it in the group wrote at the same time, both as in Prometheus."""

    def __init__(self, writer: FrameWriter) -> None:
        self._writer = writer
        # What the frame before held is unknown after a restart: write one to end what is over.
        self._live = True

    def write(self, time_ms: int, values: Mapping[Labels, float]) -> bool:
        """Store the values; a series that is not named ends here. False when the store refused the time."""
        self._writer.compact()
        columns = {self._writer.column(labels): value for labels, value in values.items()}
        if not columns and not (self._live and self._writer.width):
            self._live = False
            return True
        row = np.full(self._writer.width, ABSENT, dtype=np.float64)
        for column, value in columns.items():
            row[column] = value
        done = self._writer.append(time_ms, row)
        if done:
            self._live = bool(columns)
        return done

    def close(self, time_ms: int) -> None:
        """The rule is gone: its series end."""
        self._writer.close(time_ms)


def alert_series(states: Mapping[Labels, Alert]) -> dict[Labels, float]:
    """``ALERTS`` and ``ALERTS_FOR_STATE`` of the pending and firing alerts, as Prometheus writes them."""
    series: dict[Labels, float] = {}
    for labels, alert in states.items():
        if alert.state != "resolved":
            series[labels.merged({METRIC_NAME: ALERTS, "alertstate": alert.state})] = 1.0
            series[labels.merged({METRIC_NAME: ALERTS_FOR_STATE})] = float(alert.active_ms // 1000)
    return series
