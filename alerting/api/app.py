"""The aggregator's HTTP side: routes, and what every answer has in common."""

from __future__ import annotations

import logging
import time

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from alerting.api.answer import HEADERS, ApiError, error_response
from alerting.api.pool import PoolStats, QueryPool
from alerting.api.ports import Services
from alerting.api.query import QueryHandlers
from alerting.api.requests import RequestStats
from alerting.api.rules import RuleHandlers
from alerting.api.series import SeriesHandlers
from alerting.api.status import StatusHandlers
from alerting.api.targets import TargetHandlers

log = logging.getLogger(__name__)

POOL_STATS = web.AppKey("pool_stats", PoolStats)
REQUEST_STATS = web.AppKey("request_stats", RequestStats)

_API = "/api/"
_NOT_FOUND = "404 page not found\n"


def build_app(services: Services) -> web.Application:
    """Everything under /api/v1, /-/healthy, /-/ready and /metrics; other rooms may add routes of their own.

    ``app[POOL_STATS]`` and ``app[REQUEST_STATS]`` are for the aggregator's own metrics.
    """
    pool = QueryPool(services.limits.threads, services.limits.waiting, services.limits.query_seconds)
    stats = RequestStats()
    app = web.Application(client_max_size=services.limits.body_bytes, middlewares=[_measured(stats), errors])
    app[POOL_STATS] = pool.stats
    app[REQUEST_STATS] = stats
    for handlers in (
        QueryHandlers(services, pool),
        SeriesHandlers(services, pool),
        RuleHandlers(services),
        TargetHandlers(services),
        StatusHandlers(services, pool),
    ):
        app.add_routes(handlers.routes())

    async def stop_queries(_: web.Application) -> None:
        pool.close()

    # Before the server waits for its open requests: they answer at once.
    app.on_shutdown.append(stop_queries)
    return app


@web.middleware
async def errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Errors become what clients can read: the envelope under /api, plain text elsewhere."""
    try:
        return await handler(request)
    except ApiError as error:
        return error_response(request, error)
    except web.HTTPException as error:
        if error.status < 400:
            raise
        return _http_error(request, error)
    except Exception:
        log.exception("%s %s failed", request.method, request.path)
        return error_response(request, ApiError("internal", "internal error; the log of the aggregator says more"))


def _http_error(request: web.Request, error: web.HTTPException) -> web.Response:
    if request.method == "OPTIONS" and request.path.startswith(_API):
        # What Prometheus answers, without a word of other origins: a browser lets no other page in.
        return web.Response(status=204, headers=HEADERS)
    allow = {"Allow": error.headers["Allow"]} if "Allow" in error.headers else {}
    if not request.path.startswith(_API):
        text = _NOT_FOUND if error.status == 404 else f"{error.status} {error.reason}\n"
        return web.Response(status=error.status, text=text, headers={**HEADERS, **allow})
    if error.status == 404:
        words = ApiError("not_found", f"404 page not found: {request.path[:200]}")
    elif error.status == 413:
        words = ApiError("bad_data", "the request is too large", 413)
    else:
        words = ApiError("bad_data", f"{error.status} {error.reason}", error.status)
    response = error_response(request, words)
    response.headers.update(allow)
    return response


def _measured(stats: RequestStats) -> Middleware:
    @web.middleware
    async def measure(request: web.Request, handler: Handler) -> web.StreamResponse:
        began = time.monotonic()
        status = 500
        try:
            response = await handler(request)
            status = response.status
        except web.HTTPException as error:
            status = error.status
            raise
        finally:
            resource = request.match_info.route.resource
            stats.add(resource.canonical if resource is not None else "other", status, time.monotonic() - began)
        return response

    return measure
