"""``tierwatch export``: samples out of a data folder as OpenMetrics text, beside the aggregator that writes it."""

from __future__ import annotations

import argparse
import gzip
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from alerting.clock import SystemClock
from alerting.model.matcher import Matcher
from alerting.promql import nodes
from alerting.promql.errors import QueryError
from alerting.promql.parse import parse
from alerting.query.times import parse_moment
from alerting.storage.ports import StorageError
from alerting.storage.snapshot import Snapshot
from alerting.transfer.folder import DEFAULT, SAMPLES, missing
from alerting.transfer.openmetrics import OpenMetricsWriter
from alerting.transfer.progress import Progress

_END_MS = 1 << 61
_HELP = """\
The text is of one moment, however long the writing takes; the aggregator is not disturbed. What a running one has not
written to disk yet, the samples of the last ten seconds, is missing.

"promtool tsdb create-blocks-from openmetrics" and "tierwatch import" read it. Where a series ended (a target that
vanished) is told in HELP lines that only the latter understands; --strict leaves them out.
"""


def main(argv: Sequence[str]) -> int:
    """Exit status 0, or 1 when it could not be done; FILE is whole or is not there."""
    parser = argparse.ArgumentParser(
        prog="tierwatch export",
        description="Write an aggregator's samples as OpenMetrics text with timestamps; it may run meanwhile.",
        epilog=_HELP,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--data", type=Path, default=DEFAULT, metavar="DIR", help="default: %(default)s")
    parser.add_argument("--out", required=True, metavar="FILE", help="packed when it ends in .gz; - is standard output")
    parser.add_argument(
        "--match", action="append", default=[], metavar="SELECTOR", help="these series only; repeatable"
    )
    parser.add_argument("--start", metavar="TIME", help="from then on: RFC 3339, seconds since 1970, now-1d")
    parser.add_argument("--end", metavar="TIME", help="up to then")
    parser.add_argument("--strict", action="store_true", help="nothing that OpenMetrics does not have")
    arguments = parser.parse_args(argv)
    now_ms = SystemClock().now_ms()
    try:
        matcher_sets = [selector(text) for text in arguments.match]
        start_ms = parse_moment(arguments.start, now_ms) if arguments.start else 0
        end_ms = parse_moment(arguments.end, now_ms) if arguments.end else _END_MS
    except ValueError as error:
        parser.error(str(error))
    progress = Progress(sys.stderr)
    try:
        with Snapshot.open(arguments.data / SAMPLES, now_ms) as snapshot, _opened(arguments.out) as write:
            writer = OpenMetricsWriter(write, snapshot.names(), endings=not arguments.strict)
            total = snapshot.cells() if not matcher_sets and not (arguments.start or arguments.end) else 0
            for piece in snapshot.everything(matcher_sets, start_ms, end_ms):
                for data in piece:
                    writer.put(data)
                    progress.say("exporting", writer.samples / total if total else None, f"{writer.samples:,} samples")
            writer.end()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # its reader has gone: the rest goes nowhere
        return 1
    except (StorageError, OSError) as error:
        progress.end()
        sys.stderr.write(f"tierwatch export: {_said(error)}\n")
        return 1
    progress.end()
    says = sys.stderr if arguments.out == "-" else sys.stdout
    says.write(f"exported {writer.samples:,} samples of {writer.series:,} series\n{missing(arguments.data)}")
    if writer.endings_left_out:
        says.write(f"left out: {writer.endings_left_out:,} marks where a series ended\n")
    return 0


def selector(text: str) -> Sequence[Matcher]:
    """The matchers of ``up{job="node"}``. Raises ValueError."""
    try:
        expr = parse(text)
    except QueryError as error:
        raise ValueError(f"--match {text!r}: {error}") from error
    if not isinstance(expr, nodes.VectorSelector) or expr.at is not None or expr.offset_ms:
        raise ValueError(f'--match {text!r}: expected a selector such as up or {{job="node"}}')
    return expr.matchers


def _said(error: Exception) -> str:
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename}: {error.strerror}"
    return str(error)


@contextmanager
def _opened(name: str) -> Iterator[Callable[[str], object]]:
    """Takes text. A file gets its name when it is whole, and none when the body raises."""
    if name == "-":
        out = sys.stdout.buffer
        yield lambda text: out.write(text.encode())
        out.flush()
        return
    path = Path(name).resolve()
    if path.exists() and not path.is_file():  # a pipe, a device: nothing that another file may take the place of
        with path.open("wb") as stream:
            yield lambda text: stream.write(text.encode())
        return
    part = path.with_name(f"{path.name}.part")
    try:
        with part.open("wb") as raw:
            if name.endswith(".gz"):
                with gzip.GzipFile(filename="", fileobj=raw, mode="wb", compresslevel=6) as packed:
                    yield lambda text: packed.write(text.encode())
            else:
                yield lambda text: raw.write(text.encode())
            raw.flush()
            os.fsync(raw.fileno())
        part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
