"""Where notifications go: the Apprise URLs of each receiver, secrets filled in."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from config.alerting import Alerting, Url
from config.problems import Problem
from config.secrets import Secret, expand, from_file
from config.shape import dotted
from config.yamlfile import Document, Key


def receiver_urls(
    alerting: Alerting, document: Document, environ: Mapping[str, str], directory: Path, problems: list[Problem]
) -> dict[str, tuple[Secret, ...]]:
    """The Apprise URLs of each receiver, from text, environment and files. Empty ones are left out: a receiver
    without a URL is allowed (nobody is told; the page says so)."""
    urls: dict[str, tuple[Secret, ...]] = {}
    for index, receiver in enumerate(alerting.receivers):
        found = []
        for place, source in enumerate(receiver.apprise):
            path: Key = ("receivers", index, "apprise", place)
            if any(not document.intact(each) for each in (path, (*path, "url"), (*path, "url_file"))):
                continue
            try:
                secret = _secret(source, environ, directory)
            except ValueError as error:
                problems.append(document.problem(path, f"{dotted(path)}: {error}"))
            else:
                found += [secret] if secret else []
        urls[receiver.name] = tuple(found)
    return urls


def _secret(source: Url, environ: Mapping[str, str], directory: Path) -> Secret:
    """The URL that a source names; empty when its variable is. Raises ValueError, never with the URL in it."""
    if bool(source.url) == bool(source.url_file):
        raise ValueError("expected either url or url_file")
    if source.url:
        return Secret(expand(source.url, environ).strip())
    if "://" in source.url_file:
        raise ValueError("url_file names a file that holds the URL; write the URL itself as url")
    return from_file(directory / expand(source.url_file, environ))
