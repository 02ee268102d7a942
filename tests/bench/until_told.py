"""How long until somebody is told: something is broken and mended again and again, and two loopback receivers say when
they took the news, one of ours, one of Prometheus' and Alertmanager's where they run beside it."""

from __future__ import annotations

import json
import random
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tests.acceptance.exporter_process import exporter
from tests.bench.alerting_peer import WHO, telling
from tests.support.aggregator import Aggregator
from tests.support.far_cluster import write_alerting
from tests.support.ports import free_port
from tests.support.real_services import within
from tests.support.receiver import HttpReceiver, Post
from tests.support.small_cluster import one_node

# Seconds until a message that does not come is missing.
PATIENCE = 30.0
Act = Callable[[], object]


@dataclass(frozen=True, slots=True)
class Told:
    """Seconds from each failure to the news of it, in the order of the failures."""

    ours: Sequence[float]
    theirs: Sequence[float]

    def settled(self) -> Told:
        """Without the first: an aggregator that has just started has a sender ready after half a minute, or its first
        message."""
        return Told(self.ours[1:], self.theirs[1:])


@dataclass(frozen=True, slots=True)
class Both:
    """Who is told by ours, and by theirs where they are."""

    phone: HttpReceiver
    hook: HttpReceiver | None = None

    def once(self, fail: Act, mend: Act, about: str = "") -> tuple[float, float | None]:
        """Seconds until each was told, with ``about`` in the message; both know that it is over when this returns."""
        since = len(self.phone.posts), len(self.hook.posts) if self.hook else 0
        begun = time.monotonic()
        fail()
        ours = _first(self.phone, since[0], lambda post: _ours(post, "DOWN", about)) - begun
        theirs = _first(self.hook, since[1], lambda post: _theirs(post, "firing", about)) - begun if self.hook else None
        mend()
        _first(self.phone, since[0], lambda post: _ours(post, "RESOLVED", ""))
        if self.hook:
            _first(self.hook, since[1], lambda post: _theirs(post, "resolved", about))
        return ours, theirs


def repeat(times: int, once: Callable[[int], tuple[float, float | None]], pause: tuple[float, float]) -> Told:
    """``once`` so many times, each after a pause of seconds, least and most: at any moment of everybody's rounds."""
    chance = random.Random(4)
    found = []
    for number in range(times):
        time.sleep(chance.uniform(*pause))
        found.append(once(number))
    return Told([ours for ours, _ in found], [theirs for _, theirs in found if theirs is not None])


def _ours(post: Post, begins: str, about: str) -> bool:
    return post.json["title"].startswith(begins) and about in json.dumps(post.json, ensure_ascii=False)


def _theirs(post: Post, status: str, about: str) -> bool:
    return post.json["status"] == status and about in json.dumps(post.json)


def _first(receiver: HttpReceiver, since: int, fits: Callable[[Post], bool]) -> float:
    """When it took the first such post after ``since`` others."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        for post in receiver.posts[since:]:
            if fits(post):
                return post.at
        time.sleep(0.005)
    raise AssertionError(f"not told within {PATIENCE:g} s; told was {[post.json for post in receiver.posts[since:]]}")


@dataclass(frozen=True, slots=True)
class Node:
    """``folder``: for what a bench keeps; ``page``: HOST:PORT of the exporter."""

    folder: Path
    page: str
    both: Both
    aggregator: Aggregator


@contextmanager
def watched_node(
    services: Mapping[str, Mapping[str, Any]],
    *options: str,
    ready: Sequence[str],
    alerts: str,
    beside: bool,
    interval: str = "5s",
    flows: Mapping[str, Any] | None = None,
) -> Iterator[Node]:
    """An exporter with ``options`` and an aggregator, with the shipped rules; told are ``alerts`` (a regular
    expression). ``ready``: what the exporter's page says before the aggregator starts, whose next look may be far away;
    ``beside``: there is a receiver for the others too."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="tw-told-")))
        phone = stack.enter_context(HttpReceiver())
        hook = stack.enter_context(HttpReceiver()) if beside else None
        config, port = folder / "config", free_port()
        write_alerting(config, phone, alerts, interval)
        (config / "cluster.yaml").write_text(one_node(services, port=port, flows=flows))
        words = ("--config", str(config), "--node", "ONE", "--listen", f"127.0.0.1:{port}", *options)
        running = stack.enter_context(exporter(*words))
        within(20, lambda: all(text in running.get().decode() for text in ready), f"{ready} on the page")
        aggregator = stack.enter_context(Aggregator(folder))
        aggregator.start()
        aggregator.until_value('up{job="node"} == 1')
        yield Node(folder, f"127.0.0.1:{port}", Both(phone, hook), aggregator)


@contextmanager
def beside_it(node: Node, page: str, expression: str) -> Iterator[None]:
    """Prometheus and Alertmanager, where ``node`` has a receiver for them."""
    if node.both.hook is None:
        yield
        return
    with telling(node.folder / "peer", [page], expression, node.both.hook):
        yield


def table(what: str, told: Told, ours: str) -> str:
    """Markdown. ``ours``: what is to be said of how we were set."""
    lines = [f"| {what} | times | median | 95 of 100 within | worst |", "|---|---|---|---|---|"]
    for who, times in ((f"ours, {ours}", told.ours), (WHO, told.theirs)):
        if times:
            cells = (statistics.median(times), late(times), max(times))
            lines.append(f"| {who} | {len(times)} | " + " | ".join(f"{seconds:.2f} s" for seconds in cells) + " |")
        else:
            lines.append(f"| {who} | not measured | | | |")
    return "\n".join(lines)


def late(times: Sequence[float]) -> float:
    """95 of 100 are not longer."""
    return sorted(times)[max(0, -(-95 * len(times) // 100) - 1)]
