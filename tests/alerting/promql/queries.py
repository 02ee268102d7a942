"""Random queries over the series that ``filled`` makes."""

from __future__ import annotations

import random

from hypothesis import strategies as st

from alerting.model.series import STALE
from tests.support.memory_querier import MemoryQuerier

START_MS = 1_700_000_000_000
LENGTH_MS = 1_800_000

_SELECTORS = st.sampled_from(
    [
        "c_total",
        "g",
        'g{job!="x"}',
        "h",
        's{instance=~"a|b"}',
        "info",
        "lat_bucket",
        "special",
        "nope",
        '{__name__=~"g|s"}',
    ]
)
_MODIFIERS = st.sampled_from(
    ["", "", "", "", " offset 3m", " offset -2m", " @ 1700000901.5", " @ 1700000700 offset 90s"]
)
_RANGES = st.sampled_from(["17s", "1m", "90s", "5m", "10m"])
_GROUPING = st.sampled_from(["", " by (instance)", " without (job)", " by (job, le)", " without (instance, le)"])
_OVER_TIME = st.sampled_from(
    [
        "rate",
        "increase",
        "delta",
        "irate",
        "idelta",
        "deriv",
        "sum_over_time",
        "avg_over_time",
        "min_over_time",
        "max_over_time",
        "count_over_time",
        "last_over_time",
        "first_over_time",
        "present_over_time",
        "changes",
        "resets",
        "stddev_over_time",
        "absent_over_time",
    ]
)
_SIMPLE = st.sampled_from(
    [
        "abs",
        "ceil",
        "floor",
        "exp",
        "sqrt",
        "ln",
        "sgn",
        "sin",
        "atan",
        "tanh",
        "round",
        "timestamp",
        "absent",
        "hour",
        "day_of_year",
        "month",
        "scalar_of",
    ]
)
_AGGREGATIONS = st.sampled_from(["sum", "avg", "min", "max", "count", "group", "stddev"])
_ARITHMETIC = st.sampled_from(["+", "-", "*", "/", "%", "^", ">", "<= bool", "==", "!=", "atan2"])
_SETS = st.sampled_from(["and", "or", "unless"])
_MATCHING = st.sampled_from(["", "on (instance, job)", "ignoring (extra)", "on (instance) group_left (board)"])
_SCALARS = st.sampled_from(["1", "2.5", "-1", "0", "time()", "pi()", "Inf", "NaN", "scalar(g)"])


def vectors() -> st.SearchStrategy[str]:
    """Texts of expressions whose value is an instant vector."""
    leaf = st.builds("{}{}".format, _SELECTORS, _MODIFIERS)
    return st.recursive(leaf, _larger, max_leaves=5)


def _larger(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    window = st.one_of(
        st.builds("{}[{}]{}".format, _SELECTORS, _RANGES, _MODIFIERS),
        st.builds("({})[{}:{}]".format, inner, _RANGES, st.sampled_from(["", "13s", "30s"])),
    )
    simple = _SIMPLE.map(lambda name: "vector(scalar({}))" if name == "scalar_of" else name + "({})")
    return st.one_of(
        st.builds("{}({})".format, _OVER_TIME, window),
        st.builds("quantile_over_time({}, {})".format, st.sampled_from(["0.5", "1", "-1"]), window),
        st.builds("predict_linear({}, 60)".format, window),
        st.builds(lambda template, vector: template.format(vector), simple, inner),
        st.builds("{}{}({})".format, _AGGREGATIONS, _GROUPING, inner),
        st.builds("quantile{}(0.7, {})".format, _GROUPING, inner),
        st.builds('count_values{}("v", {})'.format, _GROUPING, inner),
        st.builds("topk{}(2, {})".format, _GROUPING, inner),
        st.builds("({} {} {} {})".format, inner, _ARITHMETIC, _MATCHING, inner),
        st.builds("({} {} {})".format, inner, _ARITHMETIC, _SCALARS),
        st.builds("({} {} {})".format, _SCALARS, _ARITHMETIC, inner),
        st.builds("({} {} {})".format, inner, _SETS, inner),
        st.builds("-{}".format, inner),
        st.builds("clamp({}, {}, {})".format, inner, _SCALARS, _SCALARS),
        st.builds("histogram_quantile(0.9, {})".format, inner),
        st.builds('label_replace({}, "new", "$1", "instance", "(.).*")'.format, inner),
    )


def filled() -> MemoryQuerier:
    """Counters with resets, gauges, gaps, staleness markers, NaN and infinities; half an hour of them."""
    source = random.Random(5)
    querier = MemoryQuerier()
    for instance in ("a", "b"):
        for job in ("x", "y"):
            for name in ("c_total", "g", "h", "s"):
                labels = {"__name__": name, "instance": instance, "job": job}
                if name == "h":
                    labels["extra"] = "e" + instance
                querier.put(labels, _samples(source, name))
        querier.put({"__name__": "special", "instance": instance}, _samples(source, "special"))
        querier.put({"__name__": "info", "instance": instance, "board": "pi" + instance}, _samples(source, "s"))
        for bound in ("0.1", "1", "+Inf"):
            querier.put({"__name__": "lat_bucket", "instance": instance, "le": bound}, _samples(source, "c_total"))
    return querier


def _samples(source: random.Random, kind: str) -> list[tuple[int, float]]:
    samples: list[tuple[int, float]] = []
    time = START_MS + source.randrange(5000)
    value = 100.0
    while time < START_MS + LENGTH_MS:
        if kind == "c_total":
            value = 0.0 if source.random() < 0.02 else value + source.choice([0, 1, 2.5])
        elif kind == "s":
            value = source.choice([0.0, 0.0, 1.0])
        elif kind == "special":
            value = source.choice([1.0, -2.0, float("nan"), float("inf"), float("-inf")])
        else:
            value = source.gauss(10, 5)
        samples.append((time, STALE if source.random() < 0.02 else value))
        time += 15_000 + source.randrange(-9, 9)
        if source.random() < 0.01:
            time += source.randrange(600_000)
    return samples
