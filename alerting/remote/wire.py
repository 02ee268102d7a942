"""Remote write 1.0 as bytes: protobuf in a snappy block. The only door to protobuf and cramjam.

Format: https://prometheus.io/docs/specs/prw/remote_write_spec/ ("Protocol"), message prometheus.WriteRequest. The
messages are described here rather than in generated files, which must match the version of the library installed.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import cramjam
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

from alerting.model.labels import NO_LABELS, Labels
from alerting.model.series import SeriesData

HEADERS = {
    "Content-Encoding": "snappy",
    "Content-Type": "application/x-protobuf",
    "X-Prometheus-Remote-Write-Version": "0.1.0",
}
_PACKAGE = "prometheus"
_KINDS = descriptor_pb2.FieldDescriptorProto


def encode(series: Sequence[SeriesData], external: Labels = NO_LABELS) -> bytes:
    """The body of one request. Staleness markers keep their bits: they are NaN of Prometheus' own.

    ``external`` labels are added to each series that has none of that name.
    """
    request = _Request()
    for one in series:
        entry = request.timeseries.add()
        entry.MergeFromString(_labels(one.labels, external))
        add = entry.samples.add
        for time_ms, value in zip(one.times.tolist(), one.values.tolist(), strict=True):
            add(value=value, timestamp=time_ms)
    return bytes(cramjam.snappy.compress_raw(request.SerializeToString()))


@lru_cache(maxsize=20_000)
def _labels(labels: Labels, external: Labels) -> bytes:
    """A series without samples: the same each time, and most of the work. Sorted, as the specification asks."""
    entry = _Series()
    for name, value in external.merged(labels):
        entry.labels.add(name=name, value=value)
    return bytes(entry.SerializeToString())


def _message(file: Any, name: str, *fields: tuple[str, int, int, str]) -> None:
    """Adds a message; each field is (name, number, type, message type or empty); message types are repeated."""
    message = file.message_type.add(name=name)
    for field_name, number, kind, of in fields:
        field = message.field.add(name=field_name, number=number, type=kind)
        field.label = _KINDS.LABEL_REPEATED if of else _KINDS.LABEL_OPTIONAL
        if of:
            field.type_name = f".{_PACKAGE}.{of}"


def _classes() -> tuple[Any, Any]:
    file = descriptor_pb2.FileDescriptorProto(name="tierwatch/remote.proto", package=_PACKAGE, syntax="proto3")
    text, whole, number, inner = _KINDS.TYPE_STRING, _KINDS.TYPE_INT64, _KINDS.TYPE_DOUBLE, _KINDS.TYPE_MESSAGE
    _message(file, "Label", ("name", 1, text, ""), ("value", 2, text, ""))
    _message(file, "Sample", ("value", 1, number, ""), ("timestamp", 2, whole, ""))
    _message(file, "TimeSeries", ("labels", 1, inner, "Label"), ("samples", 2, inner, "Sample"))
    _message(file, "WriteRequest", ("timeseries", 1, inner, "TimeSeries"))
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    made = [
        message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{_PACKAGE}.{name}"))
        for name in ("WriteRequest", "TimeSeries")
    ]
    return made[0], made[1]


_Request, _Series = _classes()
