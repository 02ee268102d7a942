"""What the schema of the alerting file cannot say: receivers that exist, matchers that parse, times that make sense."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from config.alerting import Alerting, Route
from config.matchers import parse_matcher
from config.problems import Problem
from config.references import unknown
from config.shape import dotted
from config.units import format_duration, format_size
from config.yamlfile import Document, Key

_SHORTEST_RETENTION = 3600.0
_SMALLEST_STORE = 64 * 2**20
_SMALLEST_BODY = 64 * 2**10
_LONGEST_WAIT = 300.0
_MAGIC = frozenset("*?[")


def check_alerting(alerting: Alerting, document: Document, directory: Path) -> Iterator[Problem]:
    """Problems across an alerting file; parts that ``document`` knows as broken may be blank. Rule files are looked
    for in ``directory``."""
    return _AlertingCheck(alerting, document, directory).problems()


class _AlertingCheck:
    def __init__(self, alerting: Alerting, document: Document, directory: Path) -> None:
        self._alerting = alerting
        self._document = document
        self._directory = directory

    def problems(self) -> Iterator[Problem]:
        yield from self._timing()
        yield from self._amounts()
        yield from self._remote()
        yield from self._rule_files()
        url = self._alerting.external_url
        if url and not url.startswith(("http://", "https://")) and self._document.intact(("external_url",)):
            yield self._problem(("external_url",), "expected an address that starts with http:// or https://")
        yield from self._receivers()
        root = self._alerting.route
        if self._document.intact(("route",)):
            if root.receiver is None and self._document.intact(("route", "receiver")):
                yield self._problem(("route",), '"receiver" is missing; alerts that match no other route go there')
            if root.matchers or root.continue_:
                yield self._problem(("route",), "the root takes every alert, it cannot have matchers or continue")
            yield from self._route(root, ("route",))
        for index, rule in enumerate(self._alerting.inhibit_rules):
            for key, texts in (("source_matchers", rule.source_matchers), ("target_matchers", rule.target_matchers)):
                yield from self._matchers(texts, ("inhibit_rules", index, key))

    def _problem(self, path: Key, message: str) -> Problem:
        return self._document.problem(path, f"{dotted(path)}: {message}")

    def _at_least(self, path: Key, seconds: float | None, least: float) -> Iterator[Problem]:
        if seconds is not None and seconds < least and self._document.intact(path):
            yield self._problem(path, f"expected at least {format_duration(least)}, got {format_duration(seconds)}")

    def _timing(self) -> Iterator[Problem]:
        timing = self._alerting.timing
        for name in ("scrape_interval", "scrape_timeout", "evaluation_interval"):
            yield from self._at_least(("timing", name), getattr(timing, name), 1.0)
        interval: Key = ("timing", "scrape_interval")
        path: Key = ("timing", "scrape_timeout")
        sound = self._document.intact(path) and self._document.intact(interval)
        if sound and timing.scrape_timeout > timing.scrape_interval:
            shown = format_duration(timing.scrape_interval), format_duration(timing.scrape_timeout)
            yield self._problem(path, f"expected at most scrape_interval ({shown[0]}), got {shown[1]}")

    def _amounts(self) -> Iterator[Problem]:
        yield from self._at_least(("storage", "retention"), self._alerting.storage.retention, _SHORTEST_RETENTION)
        for path, size, least in (
            (("storage", "max_bytes"), self._alerting.storage.max_bytes, _SMALLEST_STORE),
            (("limits", "body_bytes"), self._alerting.limits.body_bytes, _SMALLEST_BODY),
        ):
            if size < least and self._document.intact(path):
                yield self._problem(path, f"expected at least {format_size(least)}, got {format_size(size)}")

    def _remote(self) -> Iterator[Problem]:
        storage, place = self._alerting.storage, ("storage", "remote")
        for name in ("query_timeout", "write_timeout"):
            path: Key = (*place, name)
            yield from self._at_least(path, getattr(storage.remote, name), 0.1)
            if getattr(storage.remote, name) > _LONGEST_WAIT and self._document.intact(path):
                shown = format_duration(_LONGEST_WAIT), format_duration(getattr(storage.remote, name))
                yield self._problem(path, f"expected at most {shown[0]}, got {shown[1]}")
        path = (*place, "max_lag")
        yield from self._at_least(path, storage.remote.max_lag, 60.0)
        sound = self._document.intact(path) and self._document.intact(("storage", "retention"))
        if sound and path in self._document.lines and storage.remote.max_lag > storage.retention:
            shown = format_duration(storage.retention), format_duration(storage.remote.max_lag)
            yield self._problem(path, f"expected at most retention ({shown[0]}): what is not kept cannot be sent later")

    def _rule_files(self) -> Iterator[Problem]:
        for index, pattern in enumerate(self._alerting.rule_files):
            path: Key = ("rule_files", index)
            if not self._document.intact(path):
                continue
            if Path(pattern).is_absolute() or ".." in Path(pattern).parts:
                yield self._problem(path, f'expected a path inside this folder, such as rules/*.yml, got "{pattern}"')
            elif any("**" in part and part != "**" for part in Path(pattern).parts):
                yield self._problem(
                    path, f'"**" stands for any folders and must be alone between slashes, got "{pattern}"'
                )
            elif not _MAGIC & set(pattern) and not (self._directory / pattern).is_file():
                yield self._problem(path, f'no file "{pattern}" in {self._directory}')

    def _receivers(self) -> Iterator[Problem]:
        names: set[str] = set()
        for index, receiver in enumerate(self._alerting.receivers):
            path: Key = ("receivers", index, "name")
            if not self._document.intact(path):
                continue
            if receiver.name in names:
                yield self._problem(path, f'the name "{receiver.name}" is given twice')
            names.add(receiver.name)

    def _receivers_known(self) -> bool:
        names: list[Key] = [("receivers", index, "name") for index in range(len(self._alerting.receivers))]
        given = {receiver.name for receiver in self._alerting.receivers}
        # A name given twice was probably meant to be the one that is missed.
        sound = len(given) == len(names) and all(self._document.intact(path) for path in names)
        return sound and self._document.intact(("receivers",))

    def _route(self, route: Route, path: Key) -> Iterator[Problem]:
        known = [receiver.name for receiver in self._alerting.receivers]
        place: Key = (*path, "receiver")
        sound = self._receivers_known() and self._document.intact(place)
        if route.receiver is not None and route.receiver not in known and sound:
            yield self._problem(place, unknown(route.receiver, "receiver", known))
        yield from self._matchers(route.matchers, (*path, "matchers"))
        yield from self._at_least((*path, "group_interval"), route.group_interval, 1.0)
        yield from self._at_least((*path, "repeat_interval"), route.repeat_interval, 1.0)
        for index, child in enumerate(route.routes):
            yield from self._route(child, (*path, "routes", index))

    def _matchers(self, texts: Iterable[str], path: Key) -> Iterator[Problem]:
        for index, text in enumerate(texts):
            if not self._document.intact((*path, index)):
                continue
            try:
                parse_matcher(text)
            except ValueError as error:
                yield self._problem((*path, index), str(error))
