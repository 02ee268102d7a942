from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alerting.promql.value import format_plain, format_value


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1.0, "1"),
        (0.5, "0.5"),
        (-0.0, "-0"),
        (0.0, "0"),
        (1e6, "1000000"),
        (1e20, "100000000000000000000"),
        (1e21, "1e+21"),
        (1.5e300, "1.5e+300"),
        (1e-6, "0.000001"),
        (1e-7, "1e-07"),
        (-1.25e-10, "-1.25e-10"),
        (0.1 + 0.2, "0.30000000000000004"),
        (123456789.125, "123456789.125"),
        (5e-324, "5e-324"),
        (math.nan, "NaN"),
        (math.inf, "+Inf"),
        (-math.inf, "-Inf"),
    ],
)
def test_as_the_http_api_writes_it(value: float, text: str) -> None:
    assert format_value(value) == text


def test_plain_never_has_an_exponent() -> None:
    assert format_plain(1e21) == "1000000000000000000000"
    assert format_plain(1e-7) == "0.0000001"


@settings(deadline=None)
@given(st.floats(allow_nan=False, allow_infinity=False))
def test_both_read_back(value: float) -> None:
    assert float(format_value(value)) == value
    assert float(format_plain(value)) == value
    assert "e" not in format_plain(value)
