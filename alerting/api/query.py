"""/api/v1/query, query_range, query_exemplars, format_query, parse_query."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from alerting.api.answer import HEADERS, ApiError, Packed, invalid_parameter, json_response, packed, success
from alerting.api.params import MAX_MS, MIN_MS, Params
from alerting.api.pool import QueryPool
from alerting.api.ports import Services
from alerting.api.syntax import syntax_tree
from alerting.api.values import result_json
from alerting.promql import nodes
from alerting.promql.budget import Patience
from alerting.promql.check import kind_of
from alerting.promql.errors import QueryError
from alerting.promql.inspect import selectors
from alerting.promql.parse import parse
from alerting.promql.pretty import pretty
from alerting.promql.value import Result

MOST_POINTS = 11_000
_TOO_MANY_POINTS = (
    "exceeded maximum resolution of 11,000 points per timeseries. Try decreasing the query resolution (?step=XX)"
)
_ODD_STATS = (
    'value "{}" for parameter "stats" is deprecated and will be rejected in the next major release, use "true" or "all"'
)
_BAD_STEP = "zero or negative query resolution step widths are not accepted. Try a positive integer"


@dataclass(frozen=True, slots=True)
class _Options:
    """What query and query_range have in common. Durations in seconds, the lookback in milliseconds."""

    limit: int
    timeout: float | None
    lookback_ms: int | None
    stats: str

    @classmethod
    def of(cls, params: Params, limit: int) -> _Options:
        timeout = params.seconds("timeout") if params.text("timeout") else None
        lookback_ms = None
        if params.text("lookback_delta"):
            try:
                lookback = params.seconds("lookback_delta")
            except ApiError as error:
                reason = error.message.partition(": ")[2]
                raise ApiError("bad_data", f"error parsing lookback delta duration: {reason}") from error
            # None of less than a millisecond: the engine's own.
            lookback_ms = round(lookback * 1000) if lookback >= 0.001 else None
        return cls(limit, timeout, lookback_ms, params.text("stats"))


class QueryHandlers:
    """Expressions are read and evaluated in the pool's threads; the answer is written there too."""

    def __init__(self, services: Services, pool: QueryPool) -> None:
        self._services = services
        self._pool = pool

    def routes(self) -> list[web.RouteDef]:
        found = []
        for path, handler in (
            ("query", self.query),
            ("query_range", self.query_range),
            ("query_exemplars", self.query_exemplars),
            ("format_query", self.format_query),
            ("parse_query", self.parse_query),
        ):
            found += [web.get(f"/api/v1/{path}", handler), web.post(f"/api/v1/{path}", handler)]
        return found

    async def query(self, request: web.Request) -> web.Response:
        params = await Params.of(request)
        limit = params.limit()
        time_ms = params.time("time", self._services.clock.now_ms())
        options = _Options.of(params, limit)

        def work(patience: Patience) -> bytes | Packed:
            began = time.monotonic()
            expr = params.expression()
            prepared = time.monotonic()
            result = self._services.queries.instant(expr, time_ms, patience=patience, lookback_ms=options.lookback_ms)
            return packed(request, self._written(result, options, patience, (began, prepared)))

        return json_response(request, await self._pool.run(request, work, options.timeout))

    async def query_range(self, request: web.Request) -> web.Response:
        params = await Params.of(request)
        limit = params.limit()
        start_ms, end_ms = params.time("start"), params.time("end")
        if end_ms < start_ms:
            raise invalid_parameter("end", "end timestamp must not be before start time")
        step = params.seconds("step")
        if step <= 0:
            raise invalid_parameter("step", _BAD_STEP)
        if (end_ms - start_ms) / 1000 / step >= MOST_POINTS + 1:
            raise ApiError("bad_data", _TOO_MANY_POINTS)
        options = _Options.of(params, limit)
        # Steps below a millisecond would stand still: our times are whole milliseconds, as Prometheus' are.
        step_ms = max(1, round(step * 1000))

        def work(patience: Patience) -> bytes | Packed:
            began = time.monotonic()
            expr = params.expression()
            _check_range_type(expr)
            prepared = time.monotonic()
            result = self._services.queries.range(
                expr, start_ms, end_ms, step_ms, patience=patience, lookback_ms=options.lookback_ms
            )
            return packed(request, self._written(result, options, patience, (began, prepared)))

        return json_response(request, await self._pool.run(request, work, options.timeout))

    def _written(
        self, result: Result, options: _Options, patience: Patience, began_prepared: tuple[float, float]
    ) -> bytes:
        """The answer; with how long it took when that was asked for."""
        stats = None
        if options.stats:
            began, prepared = began_prepared
            stats = _stats(result, prepared - began, time.monotonic() - prepared)
            if options.stats not in ("true", "all"):
                result = result.with_warning(_ODD_STATS.format(options.stats[:100]))
        return result_json(result, options.limit, self._services.limits.points, stats=stats, check=patience.check)

    async def query_exemplars(self, request: web.Request) -> web.Response:
        """There are none. Grafana asks once with milliseconds where seconds belong; any time is good."""
        params = await Params.of(request)
        start_ms, end_ms = params.time("start", MIN_MS), params.time("end", MAX_MS)
        if end_ms < start_ms:
            raise ApiError("bad_data", "end timestamp must not be before start timestamp")

        def work(_: Patience) -> bool:
            try:
                return bool(selectors(parse(params.text("query"))))
            except QueryError as error:
                raise ApiError("bad_data", str(error)) from error

        if not await self._pool.run(request, work):
            return web.Response(status=204, headers=HEADERS)  # Prometheus' answer to a query that reads nothing
        return json_response(request, success([]))

    async def format_query(self, request: web.Request) -> web.Response:
        params = await Params.of(request)

        def work(_: Patience) -> bytes:
            return success(pretty(params.expression()))

        return json_response(request, await self._pool.run(request, work))

    async def parse_query(self, request: web.Request) -> web.Response:
        """The tree of a query, in the shape that Prometheus' own page draws."""
        params = await Params.of(request)

        def work(_: Patience) -> bytes:
            return success(syntax_tree(params.expression()))

        return json_response(request, await self._pool.run(request, work))


def _check_range_type(expr: nodes.Expr) -> None:
    kind = kind_of(expr)
    if kind in ("string", "matrix"):
        shown = "range vector" if kind == "matrix" else kind
        message = f'invalid expression type "{shown}" for range query, must be Scalar or instant Vector'
        raise invalid_parameter("query", message)


def _stats(result: Result, preparing: float, evaluating: float) -> dict[str, Any]:
    """Seconds, and how many samples were read. Waiting for a thread is not measured; nothing is sorted apart."""
    return {
        "timings": {
            "evalTotalTime": evaluating,
            "resultSortTime": 0,
            "queryPreparationTime": preparing,
            "innerEvalTime": evaluating,
            "execQueueTime": 0,
            "execTotalTime": preparing + evaluating,
        },
        "samples": {"totalQueryableSamples": result.samples, "peakSamples": result.samples},
    }
