"""What the schema of a service's ``probe`` cannot say: keys that its kind's probe has no use for, and what it needs."""

from __future__ import annotations

import re
from collections.abc import Iterator

from config.cluster import Service
from config.probe import Probe, known_keys
from config.problems import Problem
from config.shape import dotted
from config.yamlfile import Document, Key

_PATH = re.compile(r"/[!-~]*")
DOMAIN = re.compile(r"(?=.{1,253}$)([A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?\.)*[A-Za-z0-9_-]{1,63}\.?")
_WORD = re.compile(r"[!-~]*")
_BLANK = Probe()
# Ways to be late and to be asked too often.
_SHORTEST_INTERVAL, _LONGEST_TIMEOUT = 1.0, 30.0


def check_probe(service: Service, path: Key, document: Document) -> Iterator[Problem]:
    """Problems of one service's probe; ``path`` is the service's."""
    probe = service.probe
    place: Key = (*path, "probe")
    if not isinstance(probe, Probe) or not document.intact(place) or not document.intact((*path, "kind")):
        return

    def problem(key: str, message: str) -> Problem:
        where: Key = (*place, key) if key else place
        return document.problem(where, f"{dotted(where)}: {message}")

    def given(key: str) -> bool:
        return bool(getattr(probe, key)) and document.intact((*place, key))

    known = known_keys(service.kind)
    for key in probe.__struct_fields__:
        if key not in known and getattr(probe, key) != getattr(_BLANK, key):
            message = f"the probe of a service of kind {service.kind} has no use for it"
            yield problem(key, f"{message}; it knows {', '.join(known)}")
    yield from (problem(key, message) for key, message in _values(probe) if given(key))
    yield from (problem(key, message) for key, message in _needs(service, probe))


def _values(probe: Probe) -> Iterator[tuple[str, str]]:
    if not _PATH.fullmatch(probe.path or "/"):
        yield "path", "expected a path that starts with / and has no spaces"
    if not _WORD.fullmatch(probe.host):
        yield "host", "expected a host name"
    if probe.query and not DOMAIN.fullmatch(probe.query):
        yield "query", "expected a domain name such as example.org"
    for pattern in (*probe.files, probe.drift):
        if pattern and not pattern.startswith("/"):
            yield (
                ("drift" if pattern == probe.drift else "files"),
                f'expected a path that starts with /, got "{pattern}"',
            )
    if probe.interval is not None and probe.interval < _SHORTEST_INTERVAL:
        yield "interval", "expected at least 1s"
    if probe.timeout is not None and not 0 < probe.timeout <= _LONGEST_TIMEOUT:
        yield "timeout", "expected more than 0s and at most 30s"


def _needs(service: Service, probe: Probe) -> Iterator[tuple[str, str]]:
    if probe.password_file and probe.password_env:
        yield "password_env", "expected either password_file or password_env"
    if service.kind == "postgresql" and (probe.password_file or probe.password_env) and not probe.user:
        yield "", "a password needs its user"
    if service.kind == "dns" and not probe.query:
        yield "", "which name must it know? give it a query, such as example.org"
