"""``tierwatch backup``: a consistent copy of a data folder, beside the aggregator that writes it."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path

from alerting.storage.copying import Held, verify
from alerting.storage.ports import StorageError
from alerting.transfer.folder import DATABASES, DEFAULT, SAMPLES, missing
from alerting.transfer.progress import Progress
from config.units import round_size

_SPARE_BYTES = 16 << 20
_SIDE_FILES = ("-wal", "-shm", "-journal")
_HELP = """\
All databases (samples, alert states, undelivered notifications) as they are at one moment. A running aggregator is not
disturbed; what it has not written to disk yet, the samples of the last ten seconds, is missing. The copy is checked,
and takes its name only when it is whole.

To restore:
  sudo systemctl stop tierwatch-aggregator
  sudo mv /var/lib/tierwatch /var/lib/tierwatch.before
  sudo cp -r BACKUP /var/lib/tierwatch
  sudo chown -R tierwatch: /var/lib/tierwatch
  sudo systemctl start tierwatch-aggregator
Move the old folder away as a whole: a database must not meet the log (-wal) of another.
"""


def main(argv: Sequence[str]) -> int:
    """Exit status 0, or 1 when there is no copy."""
    parser = argparse.ArgumentParser(
        prog="tierwatch backup",
        description="Copy the data folder of a running or a stopped aggregator.",
        epilog=_HELP,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--data", type=Path, default=DEFAULT, metavar="DIR", help="default: %(default)s")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="a new folder")
    arguments = parser.parse_args(argv)
    progress = Progress(sys.stderr)
    try:
        size = backup(arguments.data, arguments.out, progress.say)
    except (StorageError, OSError) as error:
        progress.end()
        sys.stderr.write(f"tierwatch backup: {error}\n")
        return 1
    progress.end()
    sys.stdout.write(f"{arguments.out}: {round_size(size)}, checked\n{missing(arguments.data)}")
    return 0


def backup(data: Path, out: Path, tell: Callable[[str, float | None, str], None]) -> int:
    """Copy, check, rename; returns the bytes. Raises StorageError and OSError; then ``out`` is not there."""
    if not (data / SAMPLES).exists():
        raise StorageError(f"{data / SAMPLES}: no such file; --data must name the folder of an aggregator")
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise StorageError(f"{out}: exists already; a backup makes a folder of its own")
    part = out.with_name(f"{out.name}.part")
    with ExitStack() as stack:
        held = []
        for name in DATABASES:
            if (data / name).exists():
                held.append(Held(data / name))
                stack.callback(held[-1].close)
        total = sum(one.bytes for one in held)
        _check_room(out.absolute().parent, total)
        if part.exists():  # of a backup that was ended
            shutil.rmtree(part)
        part.mkdir(mode=0o700, parents=True)
        try:
            done = 0
            for one in held:
                target = part / one.path.name
                one.copy(target, _sharing(tell, done, one.bytes, total))
                target.chmod(0o600)
                done += one.bytes
            for number, one in enumerate(held):
                tell("checking", number / len(held), one.path.name)
                verify(part / one.path.name)
                for suffix in _SIDE_FILES:  # SQLite leaves them where it may only read
                    (part / f"{one.path.name}{suffix}").unlink(missing_ok=True)
            with suppress(FileNotFoundError):
                out.rmdir()
            part.rename(out)
            _sync(out.absolute().parent)
        except BaseException:
            shutil.rmtree(part, ignore_errors=True)
            raise
    return total


def _sharing(
    tell: Callable[[str, float | None, str], None], before: int, size: int, total: int
) -> Callable[[float], None]:
    def heard(share: float) -> None:
        done = before + share * size
        tell("copying", done / max(total, 1), f"{round_size(done)} of {round_size(total)}")

    return heard


def _check_room(folder: Path, wanted: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(folder).free
    if free < wanted + _SPARE_BYTES:
        raise StorageError(
            f"{folder}: {round_size(free)} free, the copy takes {round_size(wanted)} and needs "
            f"{round_size(_SPARE_BYTES)} to spare; choose another disk"
        )


def _sync(folder: Path) -> None:
    number = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(number)
    finally:
        os.close(number)
