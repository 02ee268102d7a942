"""``tierwatch import``: OpenMetrics text with timestamps into a data folder."""

from __future__ import annotations

import argparse
import gzip
import hashlib
import io
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, cast

from alerting.clock import SystemClock
from alerting.query.times import rfc3339
from alerting.storage.backfill import Backfill
from alerting.storage.lock import InUse, alone
from alerting.storage.options import StoreOptions
from alerting.storage.ports import StorageError
from alerting.transfer.folder import DEFAULT, SAMPLES, as_its_owner
from alerting.transfer.importer import IN_THE_FUTURE, TOO_OLD, BadFile, Import, Report
from alerting.transfer.progress import Progress
from alerting.transfer.spool import Spool
from config.load import default_directory, load
from config.problems import ConfigError
from config.units import parse_duration, round_size

SPOOL = "import.spool"
_GZIP = b"\x1f\x8b"
_IDENTITY_BYTES = 64 * 1024
_STOP = """. Stop the aggregator, import, and start it again:
  sudo systemctl stop tierwatch-aggregator"""
_HELP = """\
Timestamps are seconds, as OpenMetrics has them; what "promtool tsdb dump" prints (milliseconds) is read too.
Samples may be of any time and in any order. What the store has at a time already stays; of two samples of a
series at one time in the file the first counts. Types, help texts and exemplars are not kept; histograms and summaries
are kept as their series; native histograms are refused line by line.

The aggregator must not run meanwhile. After an import was ended, by whatever, the same command goes on where it was;
once more after the end changes nothing. Imported samples are not sent on to storage.remote.write_url.
"""


@dataclass(slots=True)
class Source:
    """``owner`` tells one file from another; ``raw`` is the file on disk, whose size is ``size``, None for a pipe."""

    text: BinaryIO
    raw: BinaryIO
    size: int | None
    owner: dict[str, Any]


def main(argv: Sequence[str]) -> int:
    """Exit status 0 when the file was read to its end, 1 when it could not be (or nothing in it was any good)."""
    parser = argparse.ArgumentParser(
        prog="tierwatch import",
        description="Load OpenMetrics text with timestamps into the data folder of an aggregator that is stopped.",
        epilog=_HELP,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("file", metavar="FILE", help="text, or text packed with gzip; - is standard input")
    parser.add_argument("--data", type=Path, default=DEFAULT, metavar="DIR", help="default: %(default)s")
    parser.add_argument(
        "--config", type=Path, default=default_directory(), metavar="DIR", help="for storage.retention; %(default)s"
    )
    parser.add_argument(
        "--retention", metavar="DURATION", help="keep samples this old, whatever the configuration says"
    )
    parser.add_argument("--restart", action="store_true", help="forget how far an earlier run over this file came")
    arguments = parser.parse_args(argv)
    try:
        options = _options(arguments.config, arguments.retention)
    except ValueError as error:
        parser.error(f"--retention: {error}")
    progress = Progress(sys.stderr)
    try:
        with _opened(arguments.file) as source:
            report, used = _run(source, arguments.data, options, progress, restart=arguments.restart)
    except (StorageError, BadFile, OSError) as error:
        progress.end()
        sys.stderr.write(f"tierwatch import: {error}\n")
        return 1
    except KeyboardInterrupt:
        progress.end()
        sys.stderr.write("tierwatch import: stopped; the same command goes on from here\n")
        return 130
    sys.stdout.write(summary(report, options, used))
    return 1 if report.tally.bad and not report.tally.samples else 0


def _run(source: Source, data: Path, options: StoreOptions, progress: Progress, *, restart: bool) -> tuple[Report, int]:
    """The report and the bytes that the store uses afterwards."""
    if not data.is_dir():
        raise StorageError(f"{data}: no such folder; --data must name the data folder of an aggregator (make it first)")
    now_ms = SystemClock().now_ms()
    with ExitStack() as stack:
        try:
            as_its_owner(data)
        except OSError as error:
            raise StorageError(f"{data}: {error.strerror or error}") from error
        try:
            stack.enter_context(alone(data, "import"))
        except InUse as error:
            stop = "" if error.writer == "import" else _STOP
            raise StorageError(f"{error}, and an import has to be alone{stop}") from None
        if restart:
            (data / SPOOL).unlink(missing_ok=True)
        spool, going_on = Spool.open(data / SPOOL, source.owner, options.block_ms)
        stack.callback(spool.close)
        work = Import(spool, options, now_ms, progress.say)
        if going_on and spool.mark:
            sys.stderr.write(f"going on after {work.report.tally.samples:,} samples\n")
        if not work.all_read:
            try:
                work.read(source.text, source.size, source.raw.tell)
            except BadFile:
                spool.remove()
                raise
        progress.phase()
        store = Backfill.open(data / SAMPLES, options, now_ms)
        stack.callback(store.close)
        work.write(store)
        used = store.file_bytes()
        progress.end()
        spool.remove()
    return work.report, used


@contextmanager
def _opened(name: str) -> Iterator[Source]:
    if name == "-":
        raw = sys.stdin.buffer
        packed = cast(io.BufferedReader, raw).peek(2)[:2] == _GZIP
        text = cast(BinaryIO, gzip.GzipFile(fileobj=raw)) if packed else raw
        # What went through a pipe is not there again: it cannot be gone on with.
        yield Source(text, raw, None, {"pipe": os.getpid(), "began": SystemClock().now_ms()})
        return
    path = Path(name)
    try:
        raw_file = path.open("rb")
    except OSError as error:
        raise BadFile(f"{path}: {error.strerror or error}") from error
    with raw_file as raw:
        found = path.stat()
        head = raw.read(_IDENTITY_BYTES)
        raw.seek(0)
        owner = {
            "size": found.st_size,
            "mtime_ns": found.st_mtime_ns,
            "begins": hashlib.blake2b(head, digest_size=16).hexdigest(),
        }
        text = cast(BinaryIO, gzip.GzipFile(fileobj=raw)) if head[:2] == _GZIP else raw
        yield Source(text, raw, found.st_size, owner)


def _options(directory: Path, retention: str | None) -> StoreOptions:
    """What the aggregator would keep. Raises ValueError for a bad ``retention``."""
    try:
        settings = load(directory).alerting.storage
    except ConfigError as error:
        options = StoreOptions()
        if retention is None:
            days = options.retention_ms // 86_400_000
            first = str(error).splitlines()[0]
            sys.stderr.write(f"note: keeping {days} days, the default, as the configuration cannot be read ({first})\n")
    else:
        options = StoreOptions(retention_ms=round(settings.retention * 1000), max_bytes=settings.max_bytes)
    if retention is not None:
        options = StoreOptions(retention_ms=round(parse_duration(retention) * 1000), max_bytes=options.max_bytes)
    return options


def summary(report: Report, options: StoreOptions, used: int) -> str:
    """What was done and what was not, in lines."""
    tally, written = report.tally, report.written
    lines = [f"read {tally.samples:,} samples on {tally.lines:,} lines"]
    if report.first_ms is not None and report.last_ms is not None:
        lines[0] += f", from {rfc3339(report.first_ms)} to {rfc3339(report.last_ms)}"
    lines.append(f"stored {written.stored:,}")
    if written.known:
        lines.append(f"skipped {written.known:,}: the store had a sample of that series at that time already")
    if written.refused:
        lines.append(
            f"skipped {written.refused:,}: more than {options.max_series:,} series; look for a label that grows"
        )
    for reason, count in sorted(tally.skipped.items()):
        lines.append(f"skipped {count:,}: {reason}{_advice(reason, report, options)}")
    if tally.exemplars:
        lines.append(f"left out {tally.exemplars:,} exemplars; their samples are kept")
    if tally.bad:
        lines.append(f"skipped {tally.bad:,} lines that cannot be read:")
        lines += [f"  {line}" for line in tally.bad_lines]
        if tally.bad > len(tally.bad_lines):
            lines.append(f"  ... and {tally.bad - len(tally.bad_lines):,} more")
    if not tally.eof:
        lines.append('note: the file does not end with "# EOF"; it may have been cut off')
    if used > options.max_bytes:
        lines.append(
            f"note: the store now uses {round_size(used)}, storage.max_bytes is {round_size(options.max_bytes)}: "
            "the aggregator will drop the oldest samples"
        )
    return "\n".join(lines) + "\n"


def _advice(reason: str, report: Report, options: StoreOptions) -> str:
    if reason == TOO_OLD:
        return f" ({options.retention_ms / 86_400_000:g} days); raise storage.retention first, and import again"
    if reason == IN_THE_FUTURE and report.tally.skipped[reason] == report.tally.samples:
        return "; OpenMetrics has seconds, are these milliseconds?"
    return ""
