"""Making and reading data folders in tests."""

from __future__ import annotations

import io
from pathlib import Path

from alerting.model.labels import Labels, quote
from alerting.promql.value import format_value
from alerting.storage.backfill import Backfill
from alerting.storage.options import StoreOptions
from alerting.storage.snapshot import Snapshot
from alerting.transfer.importer import Import, Report
from alerting.transfer.openmetrics import OpenMetricsWriter
from alerting.transfer.spool import Spool
from tests.alerting.storage.model import Answer, answer

NOW = 1_700_000_000_000
OPTIONS = StoreOptions()
Samples = dict[Labels, list[tuple[int, float]]]


def nothing(_: str, __: float | None, ___: str) -> None:
    """Nobody looks."""


def text_of(series: Samples, *, eof: bool = True) -> bytes:
    """OpenMetrics text, written here by hand."""
    lines = []
    for labels, rows in series.items():
        inner = ",".join(f"{name}={quote(value)}" for name, value in labels if name != "__name__")
        lines += [f"{labels.metric_name}{{{inner}}} {format_value(value)} {at / 1000:.3f}" for at, value in rows]
    return "\n".join([*lines, *(["# EOF"] if eof else []), ""]).encode()


def load(data: Path, text: bytes, options: StoreOptions = OPTIONS, now_ms: int = NOW) -> Report:
    """Import ``text`` into the folder as the command does."""
    spool, _ = Spool.open(data / "import.spool", {"text": hash(text)}, options.block_ms)
    try:
        work = Import(spool, options, now_ms, nothing)
        file = io.BytesIO(text)
        if not work.all_read:
            work.read(file, len(text), file.tell)
        store = Backfill.open(data / "metrics.db", options, now_ms)
        try:
            work.write(store)
        finally:
            store.close()
        spool.remove()
    finally:
        spool.close()
    return work.report


def stored(data: Path) -> Answer:
    with Snapshot.open(data / "metrics.db", NOW) as snapshot:
        return answer(snapshot.select([], 0, 1 << 60))


def exported(data: Path) -> str:
    parts: list[str] = []
    with Snapshot.open(data / "metrics.db", NOW) as snapshot:
        writer = OpenMetricsWriter(parts.append, snapshot.names(), endings=True)
        for piece in snapshot.everything([], 0, 1 << 60):
            for series in piece:
                writer.put(series)
        writer.end()
    return "".join(parts)
