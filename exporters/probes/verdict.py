"""What a probe says of a service: one of four states, why, and figures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from exporters.catalog.metric import Metric
from exporters.collectors.shape import Row


class State(StrEnum):
    """``degraded``: it answers, but not all that it is for works. ``unknown``: this node cannot tell."""

    UP = "up"
    DEGRADED = "degraded"
    DOWN = "down"
    UNKNOWN = "unknown"


class Reason(StrEnum):
    """Why a service is not simply up; a bounded set, because it becomes a label."""

    # the way there
    REFUSED = "connection refused"
    TIMEOUT = "no answer in time"
    CLOSED = "connection closed"
    UNREACHABLE = "host unreachable"
    TLS = "TLS handshake failed"
    GARBAGE = "answer is not its protocol"
    UNEXPECTED = "unexpected answer"
    TOO_LARGE = "answer too large"
    HTTP_STATUS = "bad HTTP status"
    LOSS = "packets lost"
    SLOW = "answers slowly"
    # credentials and rights
    NO_CREDENTIALS = "wants credentials, none given"
    CREDENTIALS_REFUSED = "credentials refused"
    CREDENTIALS_UNREADABLE = "password cannot be read"
    NOT_PERMITTED = "probe not permitted"
    # what the service says of itself
    STARTING = "starting"
    STOPPING = "stopping"
    LOADING = "loading its data"
    SATURATED = "no connection left"
    DROPPING = "drops connections"
    PERSISTENCE = "cannot save to disk"
    MEMORY_FULL = "memory limit reached"
    REPLICA_LINK = "replica lost its primary"
    REPLICA_LAG = "replica is behind"
    DATABASE = "its database fails"
    CONFIGURATION = "configuration refused or empty"
    TARGETS = "no healthy upstream target"
    QUORUM = "no quorum"
    HEALING = "healing drives"
    OFFLINE = "storage offline"
    MODELS_MISSING = "models missing"
    ON_CPU = "model runs on the CPU"
    QUEUE_FULL = "queue full"
    QUEUE_STUCK = "queue does not move"
    GPU_LOST = "GPU lost"
    MIGRATION = "migration needed or running"
    UNHEALTHY = "says it is unhealthy"
    BACKEND = "proxy answers, backend does not"
    CERTIFICATE = "certificate not valid"
    DNS_FAILED = "names are not resolved"
    # files
    MISSING = "file missing"
    STALE = "too old"
    TOO_SMALL = "too small"
    DRIFT = "drift"
    # the probe itself
    NOT_YET = "not probed yet"
    NO_READING = "probe gives no reading"
    FAULT = "fault of the probe"


Rows = dict[Metric, list[Row]]


class Figures:
    """Readings of one service; an unknown value is left out."""

    def __init__(self, service: str) -> None:
        self.rows: Rows = {}
        self._service = service

    def add(self, metric: Metric, value: float | None, *labels: str) -> None:
        """``labels``: those after ``service``, in the metric's order."""
        if value is not None:
            self.rows.setdefault(metric, []).append(((self._service, *labels), float(value)))


@dataclass(frozen=True, slots=True)
class Verdict:
    """The outcome of one check. ``detail``: for the log, for what only the owner of this node can mend."""

    state: State
    reason: Reason | None = None
    rows: Mapping[Metric, list[Row]] = field(default_factory=dict)
    detail: str = ""


class Unwell(Exception):
    """Ends a check early: the service is in this state for this reason."""

    def __init__(self, state: State, reason: Reason, detail: str = "") -> None:
        super().__init__(reason)
        self.state = state
        self.reason = reason
        self.detail = detail


def down(reason: Reason) -> Unwell:
    return Unwell(State.DOWN, reason)


def degraded(reason: Reason) -> Unwell:
    return Unwell(State.DEGRADED, reason)


def unknown(reason: Reason, detail: str = "") -> Unwell:
    return Unwell(State.UNKNOWN, reason, detail)
