"""Columns of float64 as small integers, and back, bit for bit; all of a metric's columns at once in numpy.

Each is encoded with what suits it:

* constant: the value once;
* decimal: values that are whole numbers times a power of ten (a counter, 0.01 s of CPU time) become integers, then
  differences from their usual difference, differences of differences, or distances from the smallest value,
  whichever looks shortest;
* xor: anything else, each value's bits against those of the one before (Pelkonen et al., "Gorilla", VLDB 2015).

The integers are stripped of trailing zero bits common to a column.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from alerting.model.series import BoolArray, FloatArray, IntArray

U64Array = npt.NDArray[np.uint64]
U8Array = npt.NDArray[np.uint8]

CONSTANT, OFFSET, DELTA, DELTA2, XOR = range(5)
DECIMALS = (0, 2, 3, 1, 6, 4, 9, 5)  # likely ones first
_EXACT = float(2**53)
_POWERS = np.array([10.0**decimals for decimals in range(max(DECIMALS) + 1)])


@dataclass(frozen=True, slots=True)
class Plan:
    """How each column is encoded; every array has one entry a column."""

    mode: U8Array
    decimals: U8Array
    shift: U8Array
    width: U8Array
    first: IntArray
    second: IntArray
    deltas: U64Array  # columns x (rows - 1); zero where the mode is CONSTANT


def choose(bits: IntArray) -> Plan:
    """Pick and apply an encoding for each row of ``bits`` (columns x rows, the bit patterns of float64)."""
    columns, rows = bits.shape
    plan = Plan(
        mode=np.zeros(columns, np.uint8),
        decimals=np.zeros(columns, np.uint8),
        shift=np.zeros(columns, np.uint8),
        width=np.zeros(columns, np.uint8),
        first=bits[:, 0].copy(),
        second=np.zeros(columns, np.int64),
        deltas=np.zeros((columns, rows - 1), np.uint64),
    )
    varying = np.flatnonzero((bits != bits[:, :1]).any(axis=1))
    if not len(varying):
        return plan
    rest = bits[varying]
    places, whole = as_decimals(rest)
    decimal = places >= 0
    if decimal.any():
        _plan_integers(plan, varying[decimal], whole[decimal])
        plan.decimals[varying[decimal]] = places[decimal]
    if not decimal.all():
        columns_left = varying[~decimal]
        plan.mode[columns_left] = XOR
        plan.deltas[columns_left] = (rest[~decimal][:, 1:] ^ rest[~decimal][:, :-1]).view(np.uint64)
    deltas = plan.deltas[varying]
    used = np.bitwise_or.reduce(deltas, axis=1)
    lowest = used & (~used + np.uint64(1))
    shift = np.log2(np.maximum(lowest, 1).astype(np.float64)).astype(np.uint64)
    deltas >>= shift[:, None]
    plan.deltas[varying] = deltas
    plan.shift[varying] = shift
    top = np.bitwise_or.reduce(deltas, axis=1)
    plan.width[varying] = sum((top >= np.uint64(1 << (8 * n))).astype(np.uint8) for n in range(1, 8)) + (top > 0)
    return plan


def _plan_integers(plan: Plan, where: npt.NDArray[np.intp], whole: IntArray) -> None:
    step = np.diff(whole, axis=1)
    usual = np.partition(step, step.shape[1] // 2, axis=1)[:, step.shape[1] // 2]
    step2 = np.diff(step, axis=1, prepend=step[:, :1])
    low = whole.min(axis=1)
    middle = np.partition(whole, whole.shape[1] // 2, axis=1)[:, whole.shape[1] // 2]
    # Deflate's Huffman coding pays for spread, not for size: what is compared is the distance from the usual value.
    costs = np.stack([_bit_cost(whole[:, 1:] - middle[:, None]), _bit_cost(step - usual[:, None]), _bit_cost(step2)])
    best = np.argmin(costs, axis=0)
    plan.first[where] = whole[:, 0]
    plan.mode[where] = best + OFFSET
    plan.second[where] = np.choose(best, [low, usual, step[:, 0]])
    chosen = best == 0
    plan.deltas[where[chosen]] = (whole[chosen, 1:] - low[chosen, None]).view(np.uint64)
    chosen = best == 1
    plan.deltas[where[chosen]] = zigzag(step[chosen] - usual[chosen, None])
    chosen = best == 2
    plan.deltas[where[chosen]] = zigzag(step2[chosen])


def restore(plan: Plan, rows: int) -> FloatArray:
    """The columns x rows that ``choose`` was given, as float64. ``plan.deltas`` is used up."""
    deltas = plan.deltas
    if plan.shift.any():
        deltas <<= plan.shift.astype(np.uint64)[:, None]
    modes = set(plan.mode.tolist())
    if len(modes) == 1:
        return _restore(modes.pop(), plan.first, plan.second, plan.decimals, deltas)
    values = np.empty((len(plan.mode), rows))
    for mode in modes:
        chosen = (plan.mode == mode).nonzero()[0]
        values[chosen] = _restore(mode, plan.first[chosen], plan.second[chosen], plan.decimals[chosen], deltas[chosen])
    return values


def _restore(mode: int, first: IntArray, second: IntArray, decimals: U8Array, deltas: U64Array) -> FloatArray:
    """Columns of one mode."""
    whole = np.empty((len(first), deltas.shape[1] + 1), np.int64)
    whole[:, 0] = first
    rest = whole[:, 1:]
    if mode == CONSTANT:
        rest[:] = first[:, None]
        return whole.view(np.float64)
    if mode == XOR:
        rest[:] = deltas.view(np.int64)
        return np.bitwise_xor.accumulate(whole, axis=1, out=whole).view(np.float64)
    if mode == OFFSET:
        np.add(deltas.view(np.int64), second[:, None], out=rest)
    else:
        step = unzigzag(deltas)
        if mode == DELTA:
            np.add(step, second[:, None], out=rest)
        elif step.size:
            step[:, 0] += second
            np.add.accumulate(step, axis=1, out=rest)
        np.add.accumulate(whole, axis=1, out=whole)
    values = whole.astype(np.float64)
    if decimals.any():
        values /= _POWERS[decimals][:, None]
    return values


def as_decimals(bits: IntArray) -> tuple[npt.NDArray[np.int8], IntArray]:
    """For each column the decimals that make all its values whole, -1 when none does; and those whole numbers.

    Whole means exactly: the number divided by the power of ten gives back the same bits (so -0.0, infinities, NaN and
    numbers of 2**53 and more do not qualify).
    """
    values = bits.view(np.float64)
    places = np.full(len(bits), -1, np.int8)
    whole = np.zeros(bits.shape, np.int64)
    with np.errstate(invalid="ignore", over="ignore"):
        left = np.flatnonzero((np.abs(values) < _EXACT).all(axis=1))
        for decimals in DECIMALS:
            if not len(left):
                break
            power = 10.0**decimals
            part = values[left]
            # A column's first values tell most misfits: only the likely ones are tried whole.
            likely = (np.rint(part[:, :4] * power) / power == part[:, :4]).all(axis=1)
            if not likely.any():
                continue
            candidates, part = left[likely], part[likely]
            scaled = np.rint(part * power)
            numbers = np.where(np.abs(scaled) < _EXACT, scaled, 0.0).astype(np.int64)
            exact = ((numbers / power).view(np.int64) == bits[candidates]).all(axis=1)
            places[candidates[exact]] = decimals
            whole[candidates[exact]] = numbers[exact]
            left = left[places[left] < 0]
    return places, whole


def fill_holes(bits: IntArray, holes: BoolArray) -> IntArray:
    """``bits`` with each hole read as the last value before it (the first one after it at the start; else zero)."""
    rows = bits.shape[1]
    last = np.maximum.accumulate(np.where(holes, -1, np.arange(rows)), axis=1)
    first = np.where(holes.all(axis=1), 0, np.argmin(holes, axis=1))
    filled = np.take_along_axis(bits, np.where(last < 0, first[:, None], last), axis=1)
    filled[holes.all(axis=1)] = 0
    return filled


def zigzag(numbers: IntArray) -> U64Array:
    """Small numbers of either sign to small unsigned ones."""
    return ((numbers << 1) ^ (numbers >> 63)).view(np.uint64)


def unzigzag(numbers: U64Array) -> IntArray:
    signs: IntArray = -(numbers & np.uint64(1)).view(np.int64)
    halves: IntArray = (numbers >> np.uint64(1)).view(np.int64)
    plain: IntArray = halves ^ signs
    return plain


def planes(octets: U8Array) -> bytes:
    """(columns, items, width) octets as width planes, each all columns' items in turn."""
    return np.ascontiguousarray(octets.transpose(2, 0, 1)).tobytes()


def _bit_cost(numbers: IntArray) -> FloatArray:
    cost: FloatArray = np.log2(np.abs(numbers) + 1.0).sum(axis=1)
    return cost
