"""/api/v1/labels, label/NAME/values, series, metadata: what there is to query."""

from __future__ import annotations

import re

from aiohttp import web

from alerting.api.answer import ApiError, json_response, success
from alerting.api.params import MAX_MS, MIN_MS, Params
from alerting.api.pool import QueryPool
from alerting.api.ports import IndexPerQuery, SeriesIndex, Services
from alerting.api.values import cut
from alerting.model.labels import quote
from alerting.promql.budget import Patience

_ESCAPED = re.compile(r"_(?:([0-9a-fA-F]{1,5})_|(_))")
_WHOLLY_ESCAPED = re.compile(r"(?:[^_]|_[0-9a-fA-F]{1,5}_|__)*")


class SeriesHandlers:
    def __init__(self, services: Services, pool: QueryPool) -> None:
        self._services = services
        self._pool = pool

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/api/v1/labels", self.labels),
            web.post("/api/v1/labels", self.labels),
            web.get("/api/v1/label/{name}/values", self.values),
            web.get("/api/v1/series", self.series),
            web.post("/api/v1/series", self.series),
            web.get("/api/v1/metadata", self.metadata),
            web.get("/api/v1/targets/metadata", self.target_metadata),
        ]

    async def labels(self, request: web.Request) -> web.Response:
        params = await Params.of(request)
        start_ms, end_ms = _window(params)
        limit = params.limit()

        def work(_: Patience) -> bytes:
            sets = params.matcher_sets()
            index, told = index_of(self._services)
            names, warnings = cut(index.label_names(sets, start_ms, end_ms), limit)
            return success(names, (*told, *warnings))

        return json_response(request, await self._pool.run(request, work))

    async def values(self, request: web.Request) -> web.Response:
        params = await Params.of(request)
        name = unescape_name(request.match_info["name"])
        if not _is_text(name):
            raise ApiError("bad_data", f"invalid label name: {quote(name[:100])}")
        start_ms, end_ms = _window(params)
        limit = params.limit()

        def work(_: Patience) -> bytes:
            sets = params.matcher_sets()
            index, told = index_of(self._services)
            values, warnings = cut(index.label_values(name, sets, start_ms, end_ms), limit)
            return success(values, (*told, *warnings))

        return json_response(request, await self._pool.run(request, work))

    async def series(self, request: web.Request) -> web.Response:
        params = await Params.of(request)
        if not params.all("match[]"):
            raise ApiError("bad_data", "no match[] parameter provided")
        start_ms, end_ms = _window(params)
        limit = params.limit()

        def work(_: Patience) -> bytes:
            sets = params.matcher_sets(named=True)
            index, told = index_of(self._services)
            found, warnings = cut(index.series(sets, start_ms, end_ms), limit)
            return success([dict(labels) for labels in found], (*told, *warnings))

        return json_response(request, await self._pool.run(request, work))

    async def metadata(self, request: web.Request) -> web.Response:
        """Each metric with what the targets say of it; equal statements once."""
        params = await Params.of(request)
        limit, each = _number(params, "limit"), _number(params, "limit_per_metric")
        wanted = params.text("metric")

        def work(_: Patience) -> bytes:
            found: dict[str, list[dict[str, str]]] = {}
            for _target, families in self._services.targets.metadata():
                for name, about in families.items():
                    item = {"type": about.type, "help": about.help, "unit": about.unit}
                    items = found.setdefault(name, []) if not wanted or name == wanted else []
                    if item not in items and not 0 < each <= len(items):
                        items.append(item)
            names = sorted(found)
            return success({name: found[name] for name in (names if limit < 0 else names[:limit])})

        return json_response(request, await self._pool.run(request, work))

    async def target_metadata(self, request: web.Request) -> web.Response:
        """The same by target, for those whose labels match ``match_target``."""
        params = await Params.of(request)
        limit, wanted = _number(params, "limit"), params.text("metric")
        matchers = params.selector("match_target")

        def work(_: Patience) -> bytes:
            found = []
            for target, families in self._services.targets.metadata():
                if not all(matcher.matches(target.labels.get(matcher.name)) for matcher in matchers):
                    continue
                for name in sorted(families):
                    if wanted in ("", name):
                        about, labels = families[name], dict(target.labels)
                        item = {"target": labels, "type": about.type, "help": about.help, "unit": about.unit}
                        found.append(item if wanted else {**item, "metric": name})
            return success(found if limit < 0 else found[:limit])

        return json_response(request, await self._pool.run(request, work))


def index_of(services: Services) -> tuple[SeriesIndex, list[str]]:
    """What tells the series, and where it puts its warnings."""
    told: list[str] = []
    index = services.index
    return (index.begin(None, told.append) if isinstance(index, IndexPerQuery) else index), told


def _window(params: Params) -> tuple[int, int]:
    return params.time("start", MIN_MS), params.time("end", MAX_MS)


def _number(params: Params, name: str) -> int:
    """A bound; -1 for none, and 0 is none shown at all, as Prometheus has it for metadata. Raises ApiError."""
    text = params.text(name)
    if not text:
        return -1
    if not re.fullmatch(r"[+-]?[0-9]{1,18}", text):
        raise ApiError("bad_data", f"{name} must be a number")
    return int(text)


def unescape_name(name: str) -> str:
    """Undo the ``U__`` escaping of names that are not plain (Prometheus' value encoding): ``U__a_2e_b`` is a.b."""
    if not name.startswith("U__") or not _WHOLLY_ESCAPED.fullmatch(name, 3):
        return name
    return _ESCAPED.sub(lambda found: "_" if found[2] else _character(found[1]), name[3:])


def _character(digits: str) -> str:
    code = int(digits, 16)
    return "\ufffd" if 0xD800 <= code < 0xE000 else chr(code)


def _is_text(name: str) -> bool:
    """Whether it may name a label: any text that can be written as UTF-8."""
    try:
        return bool(name.encode())
    except UnicodeEncodeError:
        return False
