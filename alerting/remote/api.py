"""Prometheus' HTTP API from the other side: https://prometheus.io/docs/prometheus/latest/querying/api/."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar
from urllib.parse import quote as quote_url
from urllib.parse import urlencode

import msgspec
import numpy as np

from alerting.model.labels import METRIC_NAME, Labels, name_text, quote
from alerting.model.matcher import Matcher
from alerting.model.series import SeriesData
from alerting.remote.http import Http, RemoteFailed, TooLarge, words
from alerting.storage.ports import StorageError

MOST_BYTES = 32 << 20
"""Of one answer, unpacked: about half a million samples."""
MOST_STEPS = 10_000
"""Of one range query; Prometheus refuses more than 11,000."""
_FORM = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"}
# Times a server can be asked for; what lies outside stands for "no limit".
_LATEST_MS = 253_402_300_799_000
_TOO_MUCH = re.compile(r"too many (samples|points|chunks|series)|maximum|max\w*samples|exceed|limit", re.IGNORECASE)
_UNPROCESSABLE = 422
_TOO_MANY_REQUESTS = 429

T = TypeVar("T")


class TooMuch(StorageError):
    """The server finds the query too large; less at once may do."""


class _Envelope(msgspec.Struct):
    status: str
    data: msgspec.Raw = msgspec.Raw(b"null")
    errorType: str = ""  # noqa: N815 - as on the wire
    error: str = ""
    warnings: list[str] | None = None


class _Series(msgspec.Struct):
    metric: dict[str, str]
    values: list[tuple[float, str]] = []
    value: tuple[float, str] | None = None
    histogram: msgspec.Raw = msgspec.Raw(b"")
    histograms: msgspec.Raw = msgspec.Raw(b"")


class _Result(msgspec.Struct):
    result: list[_Series]


@dataclass(frozen=True, slots=True)
class Api:
    """One server. ``warn`` gets what it says beside its answers; ``deadline`` as time.monotonic() reads.

    Every method raises StorageError, in words that name the server.
    """

    http: Http
    deadline: float | None = None
    warn: Callable[[str], None] = lambda _: None

    def raw(self, selector: str, start_ms: int, end_ms: int) -> list[SeriesData]:
        """Samples with start <= time <= end, without staleness markers; raises TooMuch when less should be asked for.

        Asked as a range selector from its right end. Windows are open on the left since Prometheus 3 and closed
        before: it is asked for one that is open at the millisecond before, and what lies there is left out.
        """
        window = f"{selector}[{end_ms - start_ms + 1}ms]"
        found = self._cut("query", start_ms, end_ms, query=window, time=_seconds(end_ms))
        return sorted(found, key=lambda data: data.labels)

    def at_times(self, expr: str, first_ms: int, step_ms: int, count: int, lookback_ms: int) -> list[SeriesData]:
        """The values of an expression at ``count`` times from the first on, as the server itself sees them."""
        # VictoriaMetrics moves times to be able to cache unless told not to, and takes an instant query's step for its
        # lookback; the others pass over what they do not know.
        asked = {"query": expr, "lookback_delta": f"{lookback_ms}ms", "nocache": "1"}
        if count == 1:
            asked |= {"time": _seconds(first_ms), "step": f"{lookback_ms / 1000:.3f}"}
            return self._cut("query", first_ms, first_ms, **asked)
        last_ms = first_ms + (count - 1) * step_ms
        asked |= {"start": _seconds(first_ms), "end": _seconds(last_ms), "step": f"{step_ms / 1000:.3f}"}
        return self._cut("query_range", first_ms, last_ms, **asked)

    def understands(self, expr: str) -> bool:
        """Whether an expression is one in the server's language."""
        body = urlencode({"query": expr}).encode()
        return self.http.ask("/api/v1/query", body, _FORM, deadline=self.deadline, most_bytes=MOST_BYTES).status == 200

    def series(self, selectors: Sequence[str], start_ms: int, end_ms: int) -> list[Labels]:
        found = self._query("series", list[dict[str, str]], **_window(start_ms, end_ms), **_match(selectors))
        return sorted({Labels.of(labels) for labels in found})

    def label_names(self, selectors: Sequence[str], start_ms: int, end_ms: int) -> list[str]:
        return sorted(self._query("labels", list[str], **_window(start_ms, end_ms), **_match(selectors)))

    def label_values(self, name: str, selectors: Sequence[str], start_ms: int, end_ms: int) -> list[str]:
        asked = urlencode({**_window(start_ms, end_ms), **_match(selectors)}, doseq=True)
        return sorted(self._get(f"/api/v1/label/{quote_url(name, safe='')}/values?{asked}", None, list[str]))

    def _cut(self, what: str, start_ms: int, end_ms: int, **asked: str) -> list[SeriesData]:
        found = self._query(what, _Result, **asked).result
        if any(bytes(one.histogram) or bytes(one.histograms) for one in found):
            self.warn(f"{self.http.name}: native histograms are not supported and are left out")
        try:
            return _cut(found, start_ms, end_ms)
        except (ValueError, OverflowError) as error:  # text that is no number, a time that is no time
            raise StorageError(f"{self.http.name}: its answer is not Prometheus' API: {error}") from error

    def _query(self, what: str, kind: type[T], **asked: str | list[str]) -> T:
        return self._get(f"/api/v1/{what}", urlencode(asked, doseq=True).encode(), kind)

    def _get(self, path: str, body: bytes | None, kind: type[T]) -> T:
        try:
            answer = self.http.ask(path, body, _FORM, deadline=self.deadline, most_bytes=MOST_BYTES)
        except TooLarge as error:
            raise TooMuch(f"{self.http.name}: {error}") from error
        try:
            envelope = msgspec.json.decode(answer.body, type=_Envelope)
            if answer.status == 200 and envelope.status == "success":
                for warning in envelope.warnings or ():
                    self.warn(f"{self.http.name}: {words(warning.encode())}")
                # A server without any label or series answers null.
                data = envelope.data if bytes(envelope.data) != b"null" else b"[]"
                return msgspec.json.decode(data, type=kind)
            said = words(envelope.error.encode()) or f"HTTP status {answer.status}"
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            if answer.status == 200:
                raise StorageError(
                    f"{self.http.name}: its answer is not Prometheus' API: {words(answer.body)}"
                ) from error
            said = f"HTTP status {answer.status}: {words(answer.body)}"
        raise _failure(answer.status, said)(f"{self.http.name}: {said}")


def _failure(status: int, said: str) -> type[StorageError]:
    if status >= 500 or status == _TOO_MANY_REQUESTS:
        return RemoteFailed  # the server's trouble, not the query's
    return TooMuch if status == _UNPROCESSABLE and _TOO_MUCH.search(said) else StorageError


def selector(matchers: Sequence[Matcher]) -> str:
    """PromQL for some matchers; one is added where none of them refuses the empty text, as servers demand."""
    parts = [f"{name_text(matcher.name)}{matcher.op}{quote(matcher.value)}" for matcher in matchers]
    if all(matcher.matches("") for matcher in matchers):
        parts.append(f'{METRIC_NAME}!=""')
    return "{" + ",".join(parts) + "}"


def _cut(found: Sequence[_Series], start_ms: int, end_ms: int) -> list[SeriesData]:
    """Series with their samples inside the times, strictly ascending, however the server gave them."""
    cut: dict[Labels, SeriesData] = {}
    for labels, points in _points(found):
        times = np.array([round(at * 1000) for at, _ in points], np.int64)
        values = np.array([float(text) for _, text in points], np.float64)
        if labels in cut:  # one series in two parts
            times, values = np.append(cut[labels].times, times), np.append(cut[labels].values, values)
        inside = (times >= start_ms) & (times <= end_ms)
        times, first = np.unique(times[inside], return_index=True)
        if len(times):
            cut[labels] = SeriesData(labels, times, values[inside][first])
    return list(cut.values())


def _points(found: Sequence[_Series]) -> Iterator[tuple[Labels, list[tuple[float, str]]]]:
    for one in found:
        yield Labels.of(one.metric), one.values if one.value is None else [one.value]


def _match(selectors: Sequence[str]) -> dict[str, list[str]]:
    return {"match[]": list(selectors)} if selectors else {}


def _window(start_ms: int, end_ms: int) -> dict[str, str]:
    window = {"start": _seconds(max(start_ms, 0))}
    return {**window, "end": _seconds(end_ms)} if end_ms <= _LATEST_MS else window


def _seconds(time_ms: int) -> str:
    whole, rest = divmod(abs(time_ms), 1000)
    return f"{'-' if time_ms < 0 else ''}{whole}.{rest:03d}"
