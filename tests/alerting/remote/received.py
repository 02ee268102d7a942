"""What a receiver of remote write got, decoded."""

from __future__ import annotations

import struct
from typing import Any

import cramjam

from alerting.model.labels import Labels
from alerting.remote import wire

# (time in milliseconds, the value's bits): NaN compares as what it is.
Sample = tuple[int, int]


def bits(value: float) -> int:
    number: int = struct.unpack("<Q", struct.pack("<d", value))[0]
    return number


def decode(body: bytes) -> dict[Labels, list[Sample]]:
    """One request."""
    request: Any = wire._Request.FromString(bytes(cramjam.snappy.decompress_raw(body)))
    found = {}
    for one in request.timeseries:
        pairs = [(label.name, label.value) for label in one.labels]
        assert pairs == sorted(pairs), "the specification asks for sorted labels"
        found[Labels.of(pairs)] = [(sample.timestamp, bits(sample.value)) for sample in one.samples]
    assert len(found) == len(request.timeseries), "a series twice in one request"
    return found


class Inbox:
    """Keeps what is accepted, as a receiver would: times of a series ascend."""

    def __init__(self) -> None:
        self.samples: dict[Labels, list[Sample]] = {}
        self.requests = 0

    def put(self, body: bytes) -> bool:
        """False, and nothing is kept, when a sample is not after its series' newest (nor that one again)."""
        request = decode(body)
        for labels, rows in request.items():
            known = self.samples.get(labels, [])
            assert [at for at, _ in rows] == sorted({at for at, _ in rows})
            if known and rows[0][0] <= known[-1][0] and rows != known[-1:]:
                return False
        for labels, rows in request.items():
            known = self.samples.setdefault(labels, [])
            known += [row for row in rows if row not in known[-1:]]
        self.requests += 1
        return True

    @property
    def count(self) -> int:
        return sum(map(len, self.samples.values()))
