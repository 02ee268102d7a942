from __future__ import annotations

import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alerting.model.series import ABSENT, STALE, FloatArray
from alerting.storage.codec import Damaged, decode, decode_times, encode, encode_times
from alerting.storage.columns import CONSTANT, DELTA, DELTA2, OFFSET, XOR, choose

any_bits = st.integers(0, 2**64 - 1).map(lambda bits: struct.unpack("<d", struct.pack("<Q", bits))[0])
counters = st.integers(0, 10**12).map(float)
cents = st.integers(-(10**9), 10**9).map(lambda number: number / 100)
special = st.sampled_from([ABSENT, STALE, float("inf"), float("-inf"), float("nan"), -0.0, 0.0, 2.0**53, 1e-320, 1e308])
column_kinds = st.sampled_from([any_bits, counters, cents, special, st.just(1.0), st.floats(), counters | special])


@st.composite
def rectangles(draw: st.DrawFn) -> FloatArray:
    rows = draw(st.integers(1, 40))
    columns = [draw(st.lists(draw(column_kinds), min_size=rows, max_size=rows)) for _ in range(draw(st.integers(1, 6)))]
    return bits_kept(columns)


def bits_kept(columns: list[list[float]]) -> FloatArray:
    """numpy may quiet a NaN when it converts one; struct does not."""
    data = b"".join(struct.pack(f"<{len(column)}d", *column) for column in columns)
    return np.frombuffer(data, np.float64).reshape(len(columns), -1).copy()


def same(left: FloatArray, right: FloatArray) -> bool:
    return left.shape == right.shape and bool((left.view(np.int64) == right.view(np.int64)).all())


@settings(max_examples=300, deadline=None)
@given(rectangles(), st.sets(st.integers(1, 2**31), min_size=6, max_size=6))
def test_every_bit_comes_back(values: FloatArray, ids: set[int]) -> None:
    numbers = np.array(sorted(ids)[: len(values)], np.uint32)
    found, again = decode(encode(numbers, values))
    assert found.tolist() == numbers.tolist()
    assert same(again, values)


@settings(max_examples=100, deadline=None)
@given(rectangles(), st.sets(st.integers(0, 5)))
def test_some_columns_alone(values: FloatArray, chosen: set[int]) -> None:
    ids = np.arange(len(values), dtype=np.uint32)
    found, again = decode(encode(ids, values), np.array(sorted(chosen), np.uint32))
    kept = [column for column in sorted(chosen) if column < len(values)]
    assert found.tolist() == kept
    assert same(again, values[kept])


@settings(max_examples=100, deadline=None)
@given(rectangles(), st.data())
def test_damage_is_told(values: FloatArray, data: st.DataObject) -> None:
    blob = bytearray(encode(np.arange(len(values), dtype=np.uint32), values))
    at = data.draw(st.integers(0, len(blob) - 1))
    blob[at] ^= data.draw(st.integers(1, 255))
    with pytest.raises(Damaged):
        decode(bytes(blob))
    with pytest.raises(Damaged):
        decode(bytes(blob[:at]))


def test_each_column_gets_what_suits_it() -> None:
    rows = np.arange(200.0)
    generator = np.random.default_rng(1)
    values = np.stack(
        [
            np.full(200, 3.5),
            generator.integers(0, 9, 200) * 1000.0,  # jumps between few values
            np.cumsum(generator.integers(0, 50, 200)) / 100,  # seconds of CPU
            rows**2 * 50,  # grows ever faster
            generator.random(200),  # full mantissas
        ]
    )
    plan = choose(values.view(np.int64))
    assert plan.mode.tolist() == [CONSTANT, OFFSET, DELTA, DELTA2, XOR]
    assert plan.decimals.tolist() == [0, 0, 2, 0, 0]
    assert plan.width.tolist()[:4] == [0, 2, 1, 1]  # thousands share three zero bits: 1000 needs 10, 7 of them left


def test_sizes_stay_small() -> None:
    generator = np.random.default_rng(2)
    counters = np.cumsum(generator.integers(480, 500, (32, 1440)), axis=1) / 100
    size = len(encode(np.arange(32, dtype=np.uint32), counters))
    assert size / counters.size < 0.8
    assert len(encode(np.arange(1, dtype=np.uint32), np.ones((1, 1440)))) < 50


@given(st.lists(st.integers(1, 100_000), min_size=1, max_size=50), st.integers(0, 2**42))
def test_times_come_back(steps: list[int], start: int) -> None:
    times = start + np.cumsum(np.array(steps, np.int64))
    assert decode_times(encode_times(times)).tolist() == times.tolist()


@pytest.mark.parametrize("data", [b"", b"abc", b"\0" * 4, b"\0" * 40])
def test_garbage_is_damage(data: bytes) -> None:
    with pytest.raises(Damaged):
        decode(data)
