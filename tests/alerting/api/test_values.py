"""Numbers and times as the API writes them."""

from __future__ import annotations

import json
import struct

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from alerting.api.values import number_texts, result_json, seconds
from alerting.model.labels import Labels
from alerting.promql.value import Matrix, Result, Series, format_value

ANY_BITS = st.binary(min_size=8, max_size=8).map(lambda octets: float(struct.unpack("<d", octets)[0]))
NUMBERS = st.one_of(
    ANY_BITS, st.floats(), st.integers(-(2**53), 2**53).map(float), st.decimals(-(10**6), 10**6, places=3).map(float)
)


@given(st.lists(NUMBERS, max_size=20))
def test_many_texts_at_once_are_those_of_each_alone(values: list[float]) -> None:
    assert number_texts(values) == [format_value(value) for value in values]


def test_texts_with_and_without_an_exponent() -> None:
    values = [0.0, -0.0, 10.0, 1e6, 1e20, 1e21, 1.5e-6, 9e-7, 0.1, float("nan"), float("inf"), -float("inf")]
    texts = ["0", "-0", "10", "1000000", "100000000000000000000", "1e+21", "0.0000015", "9e-07", "0.1"]
    assert number_texts(values) == [*texts, "NaN", "+Inf", "-Inf"]


@given(
    st.lists(st.integers(-(10**13), 10**13), min_size=1, max_size=8, unique=True).map(sorted),
    st.sampled_from([1, 1000]),
)
def test_a_matrix_is_json_with_the_times_and_values_of_its_points(times: list[int], unit: int) -> None:
    stamps = np.array(times, np.int64) * unit
    series = Series(Labels.of({"__name__": 'x"y'}), stamps, np.arange(len(times)) / 4)
    answer = json.loads(result_json(Result(Matrix([series, series]))))
    points = [[json.loads(seconds(time)), format_value(value)] for time, value in series]
    expected = {"metric": {"__name__": 'x"y'}, "values": points}
    assert answer["data"] == {"resultType": "matrix", "result": [expected, expected]}
