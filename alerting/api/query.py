"""/api/v1/query, query_range, query_exemplars, format_query."""

from __future__ import annotations

from aiohttp import web

from alerting.api.answer import ApiError, invalid_parameter, json_response, success
from alerting.api.params import Params
from alerting.api.pool import QueryPool
from alerting.api.ports import Services
from alerting.api.values import result_json
from alerting.promql import nodes
from alerting.promql.check import kind_of
from alerting.promql.format import format_expr
from alerting.promql.parse import parse

MOST_POINTS = 11_000
_TOO_MANY_POINTS = (
    "exceeded maximum resolution of 11,000 points per timeseries. Try decreasing the query resolution (?step=XX)"
)
_BAD_STEP = "zero or negative query resolution step widths are not accepted. Try a positive integer"


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
        ):
            found += [web.get(f"/api/v1/{path}", handler), web.post(f"/api/v1/{path}", handler)]
        return found

    async def query(self, request: web.Request) -> web.Response:
        params = await Params.of(request)
        time_ms = params.time("time", self._services.clock.now_ms())
        timeout = _timeout(params)
        limit, most = params.limit(), self._services.limits.points

        def work(deadline: float) -> bytes:
            expr = params.expression()
            return result_json(self._services.queries.instant(expr, time_ms, deadline=deadline), limit, most)

        return json_response(request, await self._pool.run(work, timeout))

    async def query_range(self, request: web.Request) -> web.Response:
        params = await Params.of(request)
        start_ms, end_ms = params.time("start"), params.time("end")
        if end_ms < start_ms:
            raise invalid_parameter("end", "end timestamp must not be before start time")
        step = params.seconds("step")
        if step <= 0:
            raise invalid_parameter("step", _BAD_STEP)
        if (end_ms - start_ms) / 1000 / step > MOST_POINTS:
            raise ApiError("bad_data", _TOO_MANY_POINTS)
        timeout = _timeout(params)
        limit, most = params.limit(), self._services.limits.points
        # Steps below a millisecond would stand still: our times are whole milliseconds, as Prometheus' are.
        step_ms = max(1, round(step * 1000))

        def work(deadline: float) -> bytes:
            expr = params.expression()
            _check_range_type(expr)
            result = self._services.queries.range(expr, start_ms, end_ms, step_ms, deadline=deadline)
            return result_json(result, limit, most)

        return json_response(request, await self._pool.run(work, timeout))

    async def query_exemplars(self, request: web.Request) -> web.Response:
        """There are none. Grafana asks once with milliseconds where seconds belong; any time is good."""
        params = await Params.of(request)
        start_ms, end_ms = params.time("start"), params.time("end")
        if end_ms < start_ms:
            raise ApiError("bad_data", "end timestamp must not be before start timestamp")

        def work(_: float) -> bytes:
            parse(params.text("query"))
            return success([])

        return json_response(request, await self._pool.run(work))

    async def format_query(self, request: web.Request) -> web.Response:
        params = await Params.of(request)

        def work(_: float) -> bytes:
            return success(format_expr(params.expression()))

        return json_response(request, await self._pool.run(work))


def _check_range_type(expr: nodes.Expr) -> None:
    kind = kind_of(expr)
    if kind in ("string", "matrix"):
        shown = "range vector" if kind == "matrix" else kind
        message = f'invalid expression type "{shown}" for range query, must be Scalar or instant Vector'
        raise invalid_parameter("query", message)


def _timeout(params: Params) -> float | None:
    return params.seconds("timeout") if params.text("timeout") else None
