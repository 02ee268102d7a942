"""One batch of samples to the receiver: again while it is away, in halves when it refuses, given up when that is final.

What an answer means: https://prometheus.io/docs/specs/prw/remote_write_spec/ ("Retries & Backoff"): again after 5xx and
429, never after another 4xx.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable, Sequence

from alerting.model.labels import NO_LABELS, Labels
from alerting.model.series import SeriesData
from alerting.remote.http import Answer, Http, RemoteFailed, TooLarge, words
from alerting.remote.stats import Tally
from alerting.remote.wire import HEADERS, encode
from config.daemon.log import event

log = logging.getLogger(__name__)

FIRST_PAUSE_S = 1.0
LONGEST_PAUSE_S = 60.0
LONGEST_RETRY_AFTER_S = 300.0
SAMPLES_A_SECOND = 20_000
"""While catching up: some percent of a core, and of a home's uplink."""
SPLITS = 64
"""Requests that one refused batch may become: enough to keep all but a few bad series of it."""
FEWEST_SPLITS = 2
SAY_AGAIN_S = 60.0
_MOST_ANSWER = 1 << 20
# The content was refused, not the sender: part of it may be good.
_CONTENT = frozenset({400, 409, 413, 422})


class Stopped(Exception):
    """The writer is to end."""


class TooOld(Exception):
    """The batch was not taken in time."""


class Delivery:
    """For one thread. ``stop`` ends waiting. ``external``: labels that every series gets."""

    def __init__(
        self,
        http: Http,
        tally: Tally,
        stop: threading.Event,
        first_pause_s: float = FIRST_PAUSE_S,
        external: Labels = NO_LABELS,
    ) -> None:
        self._http = http
        self._tally = tally
        self._stop = stop
        self._first_pause_s = first_pause_s
        self._external = external
        self._splits = 0
        self._splits_next = SPLITS
        self._said: dict[str, float] = {}

    def deliver(self, batch: Sequence[SeriesData], *, uncertain: bool, too_old: Callable[[], bool]) -> None:
        """Returns when the receiver has taken or refused all of it. Raises Stopped, and TooOld.

        ``uncertain``: the receiver may have it already.
        """
        self._splits, before = self._splits_next, self._tally.sent
        self._send(batch, uncertain, too_old)
        # Where nothing of a batch was good, the next will be no better: all of an outage may be too old for it.
        self._splits_next = SPLITS if self._tally.sent > before else max(self._splits_next // 4, FEWEST_SPLITS)

    def _send(self, batch: Sequence[SeriesData], uncertain: bool, too_old: Callable[[], bool]) -> None:
        began = time.monotonic()
        samples = size_of(batch)
        answer, uncertain = self._until_answered(encode(batch, self._external), uncertain, too_old)
        if 200 <= answer.status < 300:
            self._tally.sent += samples
            self._tally.error = ""
        elif answer.status in _CONTENT and samples > 1 and self._splits > 0:
            self._splits -= 2
            for half in halves(batch):
                self._send(half, uncertain, too_old)
            return
        else:
            self._refused(answer, samples, uncertain)
        self._wait(samples / SAMPLES_A_SECOND - (time.monotonic() - began))

    def _until_answered(self, body: bytes, uncertain: bool, too_old: Callable[[], bool]) -> tuple[Answer, bool]:
        """The answer that settles it, and whether an earlier try may have arrived."""
        pause = self._first_pause_s
        while True:
            self._tally.requests += 1
            self._tally.bytes += len(body)
            wanted = 0.0
            try:
                answer = self._http.ask("", body, HEADERS, most_bytes=_MOST_ANSWER, harmless=False)
            except RemoteFailed as error:
                why = str(error)
            except TooLarge as error:
                return Answer(400, str(error).encode()), uncertain
            else:
                if answer.status < 500 and answer.status != 429:
                    return answer, uncertain
                why = f"{self._http.name}: HTTP status {answer.status}: {words(answer.body)}"
                wanted = min(answer.retry_after or 0.0, LONGEST_RETRY_AFTER_S)
            if self._stop.is_set():
                raise Stopped
            uncertain = True
            self._tally.retries += 1
            self._tally.error = why
            self._say("remote write fails, samples wait in the own store", why)
            if too_old():
                raise TooOld
            self._wait(max(wanted, pause * random.uniform(0.5, 1.5)))  # noqa: S311 - so that many do not come at once
            if too_old():
                raise TooOld
            pause = min(2 * pause, LONGEST_PAUSE_S)

    def _refused(self, answer: Answer, samples: int, uncertain: bool) -> None:
        why = f"{self._http.name}: HTTP status {answer.status}: {words(answer.body)}"
        if uncertain and answer.status in _CONTENT:
            self._tally.repeated += samples
            return
        self._tally.failed += samples
        self._tally.error = why
        self._say("remote write refused samples, they are not sent again", why)

    def _say(self, what: str, why: str) -> None:
        now = time.monotonic()
        if now - self._said.get(what, -SAY_AGAIN_S) >= SAY_AGAIN_S:
            self._said[what] = now
            event(log, logging.WARNING, what, error=why)

    def _wait(self, seconds: float) -> None:
        if self._stop.wait(seconds) if seconds > 0 else self._stop.is_set():
            raise Stopped


def size_of(batch: Sequence[SeriesData]) -> int:
    """Number of samples."""
    return sum(len(one.times) for one in batch)


def halves(batch: Sequence[SeriesData]) -> list[list[SeriesData]]:
    """The earlier and the later times of it; of one time only, the first and the last series. Two samples at least."""
    low = min(int(one.times[0]) for one in batch)
    high = max(int(one.times[-1]) for one in batch)
    if low == high:
        middle = len(batch) // 2
        return [list(batch[:middle]), list(batch[middle:])]
    early, late = [], []
    for one in batch:
        count = int(one.times.searchsorted((low + high) // 2, side="right"))
        if count:
            early.append(SeriesData(one.labels, one.times[:count], one.values[:count]))
        if count < len(one.times):
            late.append(SeriesData(one.labels, one.times[count:], one.values[count:]))
    return [early, late]
