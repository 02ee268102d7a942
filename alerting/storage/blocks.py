"""Blocks made from rows: which columns share a bundle, and what is known of a block without reading it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from weakref import WeakValueDictionary

import numpy as np
import numpy.typing as npt

from alerting.model.series import ABSENT_BITS, FloatArray, IntArray
from alerting.storage.codec import IdArray, encode, encode_times
from alerting.storage.disk import Block, Members, NewBlock
from alerting.storage.registry import Registry

BUNDLE_CELLS = 16_384  # a few KiB deflated: some pages, read at once
WIDEST = 16  # bundles' worth of one metric name that stay together


class Numbering:
    """What is given out to blocks: numbers, names of their series, and members that many of them share."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._shared: WeakValueDictionary[bytes, Members] = WeakValueDictionary()
        self.next = 1

    def take(self) -> int:
        """The number of a new block."""
        self.next += 1
        return self.next - 1

    def name_of(self, series_id: int) -> str:
        """The metric name of a series, empty when it is gone."""
        series = self._registry.get(series_id)
        return series.name if series is not None else ""

    def share(self, block: Block) -> Block:
        """The same block with its members in memory once, however many blocks have the same."""
        members = self._shared.setdefault(block.members.pack(), block.members)
        return Block(
            *(block.id, block.source, block.level, block.start_ms, block.end_ms, block.count, block.bytes), members
        )


def make_block(
    *,
    block_id: int,
    source: int,
    level: int,
    times: IntArray,
    ids: IdArray,
    values: FloatArray,
    name_of: Callable[[int], str],
) -> NewBlock | None:
    """Compress columns x rows; ``ids`` ascend. Columns without a sample are left out; None when none is left."""
    present = values.view(np.int64) != ABSENT_BITS
    used = present.any(axis=1)
    if not used.any():
        return None
    if not used.all():
        ids, values, present = ids[used], np.ascontiguousarray(values[used]), present[used]
    rows = len(times)
    bundles = divide([name_of(series_id) for series_id in ids.tolist()], rows)
    chunks = []
    for number in range(int(bundles.max()) + 1):
        chosen = np.flatnonzero(bundles == number)
        chunks.append(encode(ids[chosen], values[chosen]))
    members = Members(
        ids,
        bundles,
        np.argmax(present, axis=1).astype(np.uint32),
        (rows - 1 - np.argmax(present[:, ::-1], axis=1)).astype(np.uint32),
    )
    return new_block(block_id=block_id, source=source, level=level, times=times, members=members, chunks=chunks)


def new_block(
    *, block_id: int, source: int, level: int, times: IntArray, members: Members, chunks: list[bytes]
) -> NewBlock:
    """A block of columns that are compressed already."""
    packed_times = encode_times(times)
    size = len(packed_times) + sum(map(len, chunks))
    block = Block(block_id, source, level, int(times[0]), int(times[-1]), len(times), size, members)
    return NewBlock(block, packed_times, chunks)


def divide(names: Sequence[str], rows: int) -> npt.NDArray[np.uint16]:
    """The bundle of each column: neighbours by name together, a name in one bundle unless it alone is huge."""
    bundles = np.zeros(len(names), np.uint16)
    number, cells = 0, 0
    by_name: dict[str, list[int]] = {}
    for column, name in enumerate(names):
        by_name.setdefault(name, []).append(column)
    for name in sorted(by_name):
        columns = by_name[name]
        if cells and cells + len(columns) * rows > BUNDLE_CELLS:
            number, cells = number + 1, 0
        most = max(WIDEST * BUNDLE_CELLS // rows, 1)
        for low in range(0, len(columns), most):
            if low:
                number += 1
            bundles[columns[low : low + most]] = number
        cells += len(columns) * rows
    return bundles
