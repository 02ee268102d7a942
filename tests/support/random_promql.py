"""Random PromQL of a typed grammar, and the data it asks about: for comparing the engine with a real Prometheus.

The Prometheus of Debian 12 is 2.42, and the engine's measure is 3. Where the two differ, queries or data are made so
that it does not show:

* 2.x windows and lookbacks include their left end. Samples lie at .xx7 s, evaluation times at .310 s, steps and offsets
  are whole seconds, and so are ranges, but for those of subqueries inside of subqueries: these end in half a second.
* 2.x cuts a rate's extrapolation at zero before it looks how far away the first sample is. So counters that have resets
  (``r_total``) have no gaps, and counters with gaps (``c_total``) are far from zero; rates are taken of nothing else.
* 2.x adds up without compensation, so sums differ in their last bits and in the sign of zero. What depends on these
  (comparison, rounding, ranking, labels from values) is asked only of numbers that are exact: small multiples of 1/8.
* 2.x does not notice ambiguous matches that a comparison filters out: comparisons with ``on`` or ``ignoring`` have
  ``bool``. It keeps the metric name after ``atan2``, moves the window of ``predict_linear`` along in spite of ``@``,
  loses samples in ``timestamp`` of a moved selector, and finds no spread in one infinity: none of these is asked.
* What Go makes of a date of NaN or infinity depends on the processor: dates are of finite numbers.
* 2.x refuses ``offset 0s``. Annotations, first_over_time and histogram_fraction of classic buckets are not in 2.42.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable

from alerting.model.labels import Labels

START_MS = 1_700_000_000_000
LENGTH_MS = 3_600_000
# Counters with resets begin long before, so that no window reaches before their start.
EARLIER_MS = 6 * 3_600_000
STEP_MS = 15_000

Rows = list[tuple[int, float]]


def data() -> dict[Labels, Rows]:
    """An hour of gauges, counters, states and buckets from three instances; always the same."""
    source = random.Random(11)
    found: dict[Labels, Rows] = {}
    for instance in "abc":
        for job in "xy":
            for name in ("c_total", "r_total", "g", "h", "s"):
                labels = {"__name__": name, "instance": instance, "job": job}
                if name == "h":
                    labels["extra"] = "e" + instance
                found[Labels.of(labels)] = _samples(source, name)
        found[Labels.of({"__name__": "info", "instance": instance, "board": "p" + instance})] = _samples(source, "s")
        found[Labels.of({"__name__": "odd", "instance": instance})] = _samples(source, "odd")
        rows = _samples(source, "c_total")
        for share, bound in ((0.25, "0.1"), (0.5, "1"), (0.75, "2.5"), (1.0, "+Inf")):
            labels = {"__name__": "lat_bucket", "instance": instance, "le": bound}
            found[Labels.of(labels)] = [(at, math.floor(value * share)) for at, value in rows]
    return found


def _samples(source: random.Random, kind: str) -> Rows:
    rows: Rows = []
    at = START_MS - (EARLIER_MS if kind == "r_total" else 0) + 10 * source.randrange(500) + 7
    value = 4_000_000.0 if kind == "c_total" else 50_000.0
    while at < START_MS + LENGTH_MS:
        if kind == "r_total":
            value = 40_000.0 if source.random() < 0.01 else value + source.choice([0, 1, 2.5, 10])
        elif kind == "c_total":
            value += source.choice([0, 1, 2.5, 10])
        elif kind == "s":
            value = source.choice([0.0, 0.0, 1.0])
        elif kind == "odd":
            value = source.choice([1.0, -2.0, 0.0, math.nan, math.inf, -math.inf])
        else:
            value = round(source.gauss(10, 5) * 8) / 8
        if kind == "r_total" or source.random() > 0.03:
            rows.append((at, value))
        at += STEP_MS
        if kind != "r_total" and source.random() < 0.004:
            at += 10 * source.randrange(6_000, 90_000)
    return rows


_EXACT_OVER_TIME = ("min", "max", "last", "count", "sum", "present")
_OVER_TIME = ("avg", "stddev", "stdvar")
_SMOOTH = ("abs", "ceil", "floor", "sqrt", "sgn", "sin", "cos", "atan", "tanh", "deg", "rad", "asinh")
_PARTIAL = ("ln", "log2", "log10", "exp", "acos", "asin", "acosh", "atanh", "tan", "cosh", "sinh")
_CALENDAR = ("hour", "minute", "month", "year", "day_of_week", "day_of_month", "day_of_year", "days_in_month")
_COMPARISONS = ("==", "!=", ">", "<", ">=", "<=")
_FINITE = ("g", "h", "s", "c_total", "r_total", "info")
_BIG = ("1000", "-86400", "100000", "1e9", "2e12")
_LABELS = ("instance", "job", "extra", "board", "none")


class Grammar:
    """One query from one random source. ``depth`` bounds the nesting."""

    def __init__(self, seed: int) -> None:
        self._source = random.Random(seed)
        self._inside_subquery = 0

    def query(self) -> str:
        """An expression of a random type that may stand alone."""
        kind = self._source.random()
        if kind < 0.06:
            return self._scalar(3)
        return self._any(3) if kind < 0.6 else self._exact(3)

    def time_ms(self) -> int:
        return START_MS + self._source.randrange(-120, LENGTH_MS // 1000 + 600) * 1000 + 310

    def span(self) -> tuple[int, int, int]:
        """Start, end and step of a range query."""
        start = self.time_ms()
        step = self._source.choice([1, 7, 15, 60, 61, 301]) * 1000
        return start, start + step * self._source.randrange(0, 40), step

    # Vectors whose values are exact in both engines.

    def _exact(self, depth: int) -> str:
        if depth <= 0 or self._source.random() < 0.15:
            return self._instant()
        return self._pick(
            (4, lambda: self._instant()),
            (4, lambda: f"{self._pick_of(_EXACT_OVER_TIME)}_over_time({self._window(depth - 1)})"),
            (2, lambda: f"{self._pick_of(('changes', 'resets'))}({self._window(depth - 1)})"),
            (1, lambda: f"absent_over_time({self._window(depth - 1)})"),
            (1, lambda: f"idelta({self._window(depth - 1)})"),
            (5, lambda: self._aggregation(depth)),
            (2, lambda: self._ranked(depth)),
            (5, lambda: self._operator(self._exact, ("+", "-"), depth)),
            (5, lambda: self._comparison(depth)),
            (3, lambda: self._sets(depth)),
            (1, lambda: f"-{self._exact(depth - 1)}"),
            (1, lambda: f"absent({self._exact(depth - 1)})"),
            (1, lambda: f"{self._pick_of(('ceil', 'floor', 'abs', 'sgn', 'round'))}({self._exact(depth - 1)})"),
            (
                1,
                lambda: f"{self._pick_of(_CALENDAR)}({self._selector(_FINITE)}{self._moved()} * {self._pick_of(_BIG)})",
            ),
            (1, lambda: f"{self._pick_of(_CALENDAR)}()"),
            (1, lambda: f"(timestamp({self._timed(depth)}) - {START_MS // 1000})"),
            (1, lambda: f"clamp_{self._pick_of(('min', 'max'))}({self._exact(depth - 1)}, {self._number()})"),
            (1, lambda: f"clamp({self._exact(depth - 1)}, {self._number()}, {self._number()})"),
            (2, lambda: self._relabelled(depth)),
            (1, lambda: f"vector({self._scalar(depth - 1)})"),
            (1, lambda: f"{self._pick_of(('sort', 'sort_desc'))}({self._exact(depth - 1)})"),
            (1, lambda: f"({self._exact(depth - 1)})"),
        )

    # Vectors whose last bits may differ.

    def _any(self, depth: int) -> str:
        if depth <= 0 or self._source.random() < 0.1:
            return self._exact(depth)
        return self._pick(
            (3, lambda: self._exact(depth - 1)),
            (5, lambda: f"{self._pick_of(('rate', 'increase'))}({self._counter_window()})"),
            (3, lambda: f"{self._pick_of(('delta', 'irate', 'deriv'))}({self._window(depth - 1)})"),
            (3, lambda: f"{self._pick_of(_OVER_TIME)}_over_time({self._window(depth - 1)})"),
            (2, lambda: f"quantile_over_time({self._share()}, {self._window(depth - 1)})"),
            (2, lambda: self._prediction()),
            (4, lambda: f"{self._pick_of(('sum', 'avg', 'max', 'min'))}{self._grouping()}({self._any(depth - 1)})"),
            (2, lambda: f"avg{self._grouping()}({self._exact(depth - 1)})"),
            (2, lambda: f"{self._pick_of(('stddev', 'stdvar'))}{self._grouping()}({self._selector(_FINITE)})"),
            (2, lambda: f"quantile{self._grouping()}({self._share()}, {self._exact(depth - 1)})"),
            (3, lambda: self._operator(self._any, ("+", "-", "*"), depth)),
            (3, lambda: self._operator(self._exact, ("*", "/", "%", "^"), depth)),
            (1, lambda: f"(0 + {self._operator(self._exact, ('atan2',), depth)})"),
            (2, lambda: f"{self._pick_of(_SMOOTH)}({self._exact(depth - 1)})"),
            (2, lambda: f"{self._pick_of(_PARTIAL)}({self._instant()} / 8)"),
            (1, lambda: f"round({self._exact(depth - 1)}, {self._pick_of(('0.5', '3', '0', '-2'))})"),
            (2, lambda: f"histogram_quantile({self._share()}, {self._buckets()})"),
            (1, lambda: f"scalar({self._exact(depth - 1)}) * {self._any(depth - 1)}"),
            (1, lambda: f"({self._any(depth - 1)})"),
        )

    def _scalar(self, depth: int) -> str:
        if depth <= 0 or self._source.random() < 0.4:
            return self._number()
        return self._pick(
            (2, lambda: "time()"),
            (1, lambda: "pi()"),
            (3, lambda: f"scalar({self._exact(depth - 1)})"),
            (2, lambda: f"({self._scalar(depth - 1)} {self._pick_of('+-*')} {self._scalar(depth - 1)})"),
            (1, lambda: f"({self._number()} {self._pick_of('/%^')} {self._number()})"),
            (1, lambda: f"({self._number()} {self._pick_of(('>', '<=', '=='))} bool {self._scalar(depth - 1)})"),
            (1, lambda: f"-{self._scalar(depth - 1)}"),
        )

    def _number(self) -> str:
        return self._pick_of(("0", "1", "-1", "2", "10", "0.5", "12.125", "-3", "1e3", "0x1F", "Inf", "-Inf", "NaN"))

    def _share(self) -> str:
        return self._pick_of(("0", "0.25", "0.5", "0.9", "0.99", "1", "-0.5", "1.5", "NaN"))

    # Selectors and windows.

    def _instant(self) -> str:
        return self._selector(("g", "g", "h", "s", "c_total", "r_total", "info", "odd", "nope")) + self._moved()

    def _selector(self, names: tuple[str, ...]) -> str:
        names_asked = [name for name in ("instance", "job") if self._source.random() < 0.25]
        matchers = [f"{name}{self._pick_of(_MATCHES)}" for name in names_asked]
        written = self._pick_of(names)
        if self._source.random() < 0.1:
            matchers.append(f'__name__="{written}"')
            written = ""
        self._source.shuffle(matchers)
        return f"{written}{{{','.join(matchers)}}}" if matchers else written

    def _timed(self, depth: int) -> str:
        if self._source.random() < 0.5:
            return self._selector(("g", "h", "s", "info", "nope"))
        return f"abs({self._exact(depth - 1)})"

    def _prediction(self) -> str:
        ahead = self._pick_of(("0", "60", "-600", "3600", "scalar(s)"))
        return f"predict_linear({self._selector(_FINITE)}[{self._range()}], {ahead})"

    def _window(self, depth: int) -> str:
        if depth > 0 and self._source.random() < 0.3:
            return self._subquery(lambda: self._exact(depth - 1))
        return (
            f"{self._selector(('g', 'h', 's', 'c_total', 'r_total', 'info', 'nope'))}[{self._range()}]{self._moved()}"
        )

    def _counter_window(self) -> str:
        counters = ("c_total", "r_total", "lat_bucket")
        if self._source.random() < 0.2:
            return self._subquery(lambda: self._selector(counters))
        return f"{self._selector(counters)}[{self._range()}]{self._moved()}"

    def _subquery(self, inner: Callable[[], str]) -> str:
        half = "500ms" if self._inside_subquery else ""
        self._inside_subquery += 1
        text = inner()
        self._inside_subquery -= 1
        if "@" in text:
            # Prometheus evaluates what is fixed by @ also when no step asks for it, and tells its errors.
            return f"({text})[{self._pick_of(('5m', '10m'))}{half}:{self._pick_of(('', '13s', '1m'))}]{self._moved()}"
        step = self._pick_of(("", "7s", "13s", "30s", "1m", "90s"))
        # Without parentheses an operator in it would take only its right side.
        return f"({text})[{self._range()}{half}:{step}]{self._moved()}"

    def _range(self) -> str:
        return self._pick_of(("10s", "17s", "45s", "1m", "90s", "5m", "1m30s", "10m", "20m"))

    def _moved(self) -> str:
        parts = []
        if self._source.random() < 0.15:
            parts.append(f"offset {self._pick_of(('1m', '-1m', '3m', '10m', '-7s', '1m30s'))}")
        if self._source.random() < 0.1:
            at = self._pick_of(("start()", "end()", f"{START_MS // 1000 + self._source.randrange(3600)}.310"))
            parts.append(f"@ {at}")
        self._source.shuffle(parts)
        return "".join(f" {part}" for part in parts)

    def _buckets(self) -> str:
        window = f"rate({self._selector(('lat_bucket',))}[{self._range()}])"
        return self._pick(
            (2, lambda: self._selector(("lat_bucket",)) + self._moved()),
            (2, lambda: window),
            (3, lambda: f"sum by (le{self._pick_of(('', ', instance'))}) ({window})"),
            (1, lambda: self._exact(1)),
        )

    # Operators and aggregations.

    def _comparison(self, depth: int) -> str:
        operator = self._pick_of(_COMPARISONS)
        if self._source.random() < 0.5:
            return f"({self._exact(depth - 1)} {operator} {self._exact(depth - 1)})"
        operators = tuple(f"{name} bool" for name in _COMPARISONS)
        if self._source.random() < 0.3:
            return f"({self._exact(depth - 1)} {operator} {self._scalar(1)})"
        return self._operator(self._exact, operators, depth)

    def _operator(self, inner: Callable[[int], str], operators: tuple[str, ...], depth: int) -> str:
        operator = self._pick_of(operators)
        shape = self._source.random()
        if shape < 0.25:
            return f"({inner(depth - 1)} {operator} {self._scalar(1)})"
        if shape < 0.4:
            return f"({self._scalar(1)} {operator} {inner(depth - 1)})"
        return f"({inner(depth - 1)} {operator}{self._matching()} {inner(depth - 1)})"

    def _matching(self) -> str:
        kind = self._source.random()
        if kind < 0.3:
            return ""
        names = ", ".join(self._some_labels())
        text = f" {self._pick_of(('on', 'on', 'ignoring'))} ({names})"
        if kind > 0.65:
            include = ", ".join(name for name in self._some_labels() if name not in names)
            text += f" {self._pick_of(('group_left', 'group_right'))} ({include})"
        return text

    def _sets(self, depth: int) -> str:
        matching = f" {self._pick_of(('on', 'ignoring'))} ({', '.join(self._some_labels())})"
        left, right = self._exact(depth - 1), self._exact(depth - 1)
        return f"({left} {self._pick_of(('and', 'or', 'unless'))}{self._pick_of(('', matching))} {right})"

    def _aggregation(self, depth: int) -> str:
        operator = self._pick_of(("sum", "min", "max", "count", "group"))
        inner = self._exact(depth - 1)
        if self._source.random() < 0.3:
            return f"{operator}({inner}){self._grouping()}"
        return f"{operator}{self._grouping()}({inner})"

    def _ranked(self, depth: int) -> str:
        # Which of equal values is taken is not defined: the value itself is what is compared.
        inner = self._exact(depth - 1)
        operator = self._pick_of(("topk", "bottomk"))
        grouping = self._grouping()
        return self._pick(
            (2, lambda: f"sum{grouping}({operator}{grouping}({self._pick_of(('0', '1', '2', '100'))}, {inner}))"),
            (2, lambda: f'count_values{grouping}("value", 0 + {inner})'),
        )

    def _relabelled(self, depth: int) -> str:
        inner = self._exact(depth - 1)
        target = self._pick_of(("new", "instance", "job"))
        pattern = self._pick_of(("(.*)", "(a|b).*", "x", "", "(.)(.?)"))
        template = self._pick_of(("$1", "${1}-x", "", "fixed", "$2"))
        return self._pick(
            (2, lambda: f'label_replace({inner}, "{target}", "{template}", "{self._pick_of(_LABELS)}", "{pattern}")'),
            (1, lambda: f'label_join({inner}, "{target}", "-", "job", "instance")'),
        )

    def _grouping(self) -> str:
        kind = self._source.random()
        if kind < 0.4:
            return " "
        return f" {self._pick_of(('by', 'without'))} ({', '.join(self._some_labels())}) "

    def _some_labels(self) -> list[str]:
        return self._source.sample(_LABELS, self._source.choice([0, 1, 1, 2, 2, 3]))

    def _pick(self, *choices: tuple[int, Callable[[], str]]) -> str:
        (chosen,) = self._source.choices([make for _, make in choices], [weight for weight, _ in choices])
        return chosen()

    def _pick_of(self, choices: tuple[str, ...] | str) -> str:
        return self._source.choice(choices)


_MATCHES = ('="a"', '!="a"', '=~"a|b"', '!~"b"', '=~".+"', '=~".*"', '=""', '="zz"', '=~"[ax]"')
