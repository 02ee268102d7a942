"""What every function takes and gives, and which names are known but refused.

Source: the function list of Prometheus 3 (promql/parser/functions.go and docs/querying/functions.md).
"""

from __future__ import annotations

from dataclasses import dataclass

from alerting.promql.nodes import ValueKind


@dataclass(frozen=True, slots=True)
class Signature:
    """``optional`` of the last arguments may be left out; ``repeats`` lets the last one occur any number of times."""

    args: tuple[ValueKind, ...]
    returns: ValueKind = "vector"
    optional: int = 0
    repeats: bool = False

    def accepts(self, count: int) -> bool:
        least = len(self.args) - self.optional - (1 if self.repeats else 0)
        return count >= least and (self.repeats or count <= len(self.args))

    def kind(self, index: int) -> ValueKind:
        return self.args[min(index, len(self.args) - 1)]

    @property
    def arity(self) -> str:
        most = len(self.args)
        least = most - self.optional - (1 if self.repeats else 0)
        if self.repeats:
            return f"at least {least}"
        return str(most) if least == most else f"{least} to {most}"


_VECTOR = Signature(("vector",))
_MATRIX = Signature(("matrix",))
_DATE = Signature(("vector",), optional=1)

_TO_VECTOR = [
    "abs",
    "absent",
    "acos",
    "acosh",
    "asin",
    "asinh",
    "atan",
    "atanh",
    "ceil",
    "cos",
    "cosh",
    "deg",
    "exp",
    "floor",
    "ln",
    "log10",
    "log2",
    "rad",
    "sgn",
    "sin",
    "sinh",
    "sort",
    "sort_desc",
    "sqrt",
    "tan",
    "tanh",
    "timestamp",
]
_OVER_MATRIX = [
    "absent_over_time",
    "avg_over_time",
    "changes",
    "count_over_time",
    "delta",
    "deriv",
    "first_over_time",
    "idelta",
    "increase",
    "irate",
    "last_over_time",
    "max_over_time",
    "min_over_time",
    "present_over_time",
    "rate",
    "resets",
    "stddev_over_time",
    "stdvar_over_time",
    "sum_over_time",
]
_DATES = ["day_of_month", "day_of_week", "day_of_year", "days_in_month", "hour", "minute", "month", "year"]

FUNCTIONS: dict[str, Signature] = {
    **dict.fromkeys(_TO_VECTOR, _VECTOR),
    **dict.fromkeys(_OVER_MATRIX, _MATRIX),
    **dict.fromkeys(_DATES, _DATE),
    "clamp": Signature(("vector", "scalar", "scalar")),
    "clamp_max": Signature(("vector", "scalar")),
    "clamp_min": Signature(("vector", "scalar")),
    "histogram_fraction": Signature(("scalar", "scalar", "vector")),
    "histogram_quantile": Signature(("scalar", "vector")),
    "label_join": Signature(("vector", "string", "string", "string"), repeats=True),
    "label_replace": Signature(("vector", "string", "string", "string", "string")),
    "pi": Signature((), returns="scalar"),
    "predict_linear": Signature(("matrix", "scalar")),
    "quantile_over_time": Signature(("scalar", "matrix")),
    "round": Signature(("vector", "scalar"), optional=1),
    "scalar": Signature(("vector",), returns="scalar"),
    "time": Signature((), returns="scalar"),
    "vector": Signature(("scalar",)),
}

_NATIVE = "it works on native histograms only, which are not stored here"
_EXPERIMENTAL = "it is experimental in Prometheus and not supported here"

REFUSED: dict[str, str] = {
    **dict.fromkeys(
        ("histogram_avg", "histogram_count", "histogram_stddev", "histogram_stdvar", "histogram_sum"), _NATIVE
    ),
    **dict.fromkeys(
        (
            "double_exponential_smoothing",
            "end",
            "histogram_quantiles",
            "info",
            "mad_over_time",
            "max_of",
            "min_of",
            "range",
            "sort_by_label",
            "sort_by_label_desc",
            "start",
            "start_timestamp",
            "step",
            "ts_of_first_over_time",
            "ts_of_last_over_time",
            "ts_of_max_over_time",
            "ts_of_min_over_time",
        ),
        _EXPERIMENTAL,
    ),
    "holt_winters": "Prometheus 3 renamed it to double_exponential_smoothing, which is experimental and not supported",
}

AGGREGATIONS = frozenset(
    ["avg", "bottomk", "count", "count_values", "group", "max", "min", "quantile", "stddev", "stdvar", "sum", "topk"]
)
REFUSED_AGGREGATIONS: dict[str, str] = dict.fromkeys(("limitk", "limit_ratio"), _EXPERIMENTAL)

# Functions whose result keeps the metric name of its input.
KEEPS_NAME = frozenset({"first_over_time", "last_over_time", "sort", "sort_desc"})
