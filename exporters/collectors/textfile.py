"""Metrics that other programs leave as ``*.prom`` files. A bad file costs its own metrics and sets the error metric."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from config.daemon.log import event
from exporters.catalog import own
from exporters.catalog.metric import Metric
from exporters.collector import CollectorFailed, Family
from exporters.collectors.shape import Row, single
from exporters.sources.files import listing, modified, read_bytes
from exporters.sources.textformat import BadText, ParsedFamily, parse

MAX_FILES = 200
MAX_FILE_BYTES = 1024 * 1024

_log = logging.getLogger(__name__)


class TextFiles:
    """A folder of files in the text format, as node_exporter's ``--collector.textfile.directory``."""

    def __init__(self, directory: str) -> None:
        self._directory = directory
        self._complaints: dict[str, str] = {}

    def collect(self) -> Sequence[Family]:
        try:
            names = [name for name in listing(self._directory) if name.endswith(".prom")]
        except OSError as error:
            raise CollectorFailed(f"{self._directory}: {error.strerror}") from error
        merged: dict[str, ParsedFamily] = {}
        changed: list[Row] = []
        complaints: dict[str, str] = {}
        for name in names[:MAX_FILES]:
            path = f"{self._directory}/{name}"
            try:
                families = self._read(path)
                _merge(families, merged)
                changed.append(((path,), modified(path)))
            except (OSError, BadText) as error:
                complaints[name] = str(error)
        for name in names[MAX_FILES:]:
            complaints[name] = f"not read: more than {MAX_FILES} files"
        self._tell(complaints)
        found = [_family(family) for family in merged.values()]
        found.append(single(own.TEXTFILE_ERROR, 1.0 if complaints else 0.0))
        if changed:
            found.append(Family(own.TEXTFILE_MTIME, changed))
        return found

    def _read(self, path: str) -> dict[str, ParsedFamily]:
        content = read_bytes(path, MAX_FILE_BYTES + 1)
        if len(content) > MAX_FILE_BYTES:
            raise BadText(f"larger than {MAX_FILE_BYTES} bytes")
        try:
            return parse(content.decode("utf-8"))
        except UnicodeDecodeError as error:
            raise BadText(f"byte {error.start} is not UTF-8") from error

    def _tell(self, complaints: dict[str, str]) -> None:
        """Once for each problem, not at each scrape."""
        for name, text in complaints.items():
            if self._complaints.get(name) != text:
                event(_log, logging.ERROR, "textfile not taken", file=f"{self._directory}/{name}", error=text)
        self._complaints = complaints


def _merge(families: dict[str, ParsedFamily], merged: dict[str, ParsedFamily]) -> None:
    """All of a file or nothing of it: two files that disagree on a type would make an invalid page."""
    for name, family in families.items():
        known = merged.get(name)
        if known is not None and known.kind != family.kind:
            raise BadText(f"{name} is a {family.kind} here and a {known.kind} in another file")
    for name, family in families.items():
        known = merged.setdefault(name, ParsedFamily(name, family.kind, family.help))
        known.help = known.help or family.help
        known.rows += family.rows


def _family(family: ParsedFamily) -> Family:
    """Samples with different labels get all of the family's labels, the missing ones empty, which means "none"."""
    names = tuple(sorted({name for labels, _ in family.rows for name in labels}))
    metric = Metric(family.name, family.kind, family.help or f"Metric read from {family.name}.", names)
    return Family(metric, [(tuple(labels.get(name, "") for name in names), value) for labels, value in family.rows])
