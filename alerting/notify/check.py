"""Are the receivers' URLs ones that Apprise can use? Asked when a configuration is checked, loaded or reloaded.

Nothing is sent. Blocks for as long as Apprise takes to load (a second on a PC, several on a small board).
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Sequence

from alerting.notify.children import WORKER, environment
from alerting.notify.urls import fault
from config.load import ALERTING_FILE, Config
from config.problems import Problem
from config.yamlfile import Document, read

_DEADLINE_S = 60.0


class CannotCheck(Exception):
    """Apprise could not be asked; the message says why."""


def check_urls(urls: Sequence[str]) -> list[str | None]:
    """What is wrong with each URL, None when nothing is. No answer quotes a URL. Raises CannotCheck."""
    faults = [fault(url) for url in urls]
    if all(faults):
        return faults
    request = json.dumps({"op": "check", "urls": list(urls)}) + "\n"
    try:
        done = subprocess.run(
            WORKER,
            input=request,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment(os.environ),
            timeout=_DEADLINE_S,
            encoding="utf-8",
            check=False,
        )
        answer = json.loads(done.stdout)
    except (OSError, subprocess.TimeoutExpired, ValueError) as error:
        # ``from None``: the error holds the input, and that holds the URLs.
        raise CannotCheck(f"the notification worker did not answer ({type(error).__name__})") from None
    if "error" in answer:
        raise CannotCheck(str(answer["error"]))
    found: list[str | None] = answer["faults"]
    return found


def unknown_urls(config: Config) -> list[Problem]:
    """A problem for each URL that cannot be used, naming receiver, place and scheme, never the URL. Raises
    CannotCheck."""
    urls = [(name, place, url) for name, found in config.urls.items() for place, url in enumerate(found)]
    if not urls:
        return []
    faults = check_urls([url.reveal() for _, _, url in urls])
    document = read(config.directory / ALERTING_FILE, [])
    return [
        _problem(config, document, name, place, reason)
        for (name, place, _), reason in zip(urls, faults, strict=True)
        if reason is not None
    ]


def _problem(config: Config, document: Document | None, name: str, place: int, reason: str) -> Problem:
    for index, receiver in enumerate(config.alerting.receivers):
        if receiver.name == name and document is not None:
            # URLs that come out empty were left out, so the place is only sure when all are there.
            sure = len(receiver.apprise) == len(config.urls[name])
            path = ("receivers", index, "apprise", place) if sure else ("receivers", index)
            return document.problem(path, f'receiver "{name}", URL {place + 1}: {reason}')
    return Problem(str(config.directory / ALERTING_FILE), 0, f'receiver "{name}", URL {place + 1}: {reason}')
