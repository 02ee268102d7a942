"""What the owner of a store may choose, and what it tells about itself."""

from __future__ import annotations

from dataclasses import dataclass

MINUTE_MS = 60_000
HOUR_MS = 60 * MINUTE_MS
DAY_MS = 24 * HOUR_MS
MIB = 1 << 20
IMPORTED = "import/"
"""How the names of sources begin that an import has made."""


@dataclass(frozen=True, slots=True)
class StoreOptions:
    """Times are milliseconds, sizes bytes. The defaults suit seven nodes on a board with 2 GiB of memory."""

    retention_ms: int = 30 * DAY_MS
    """Of recorded time: a sample goes when it is older than this and so much was recorded since. A clock that is wrong
    deletes nothing."""
    max_bytes: int = 4096 * MIB
    """Of the database file, the oldest data going first; its write-ahead log comes on top (some 16 to 32 MiB)."""

    seal_after_ms: int = 20 * MINUTE_MS
    """A source's rows are made into chunks when they span this long, or when they are ``seal_after_rows``."""
    seal_after_rows: int = 720
    keep_ms: int = 6 * MINUTE_MS
    """The newest rows stay uncompressed in memory: what rules read each time."""
    block_ms: int = 2 * HOUR_MS
    """Chunks are merged into ones this long, aligned to the epoch."""
    long_block_ms: int = 12 * HOUR_MS
    """Those again into ones this long, in whole ``block_ms``; at most a tenth of what is kept."""

    max_head_rows: int = 1440
    """Bound of a source's rows in memory while the disk refuses writes; then the oldest go."""
    max_series: int = 200_000
    """Of all sources. Of those that have ended the oldest are given up before a new one is refused."""
    max_ended_series: int = 50_000
    """Series that are on disk only: their labels are in memory. Beyond it those that ended longest ago are given up,
    samples and all; imported ones never."""
    max_select_samples: int = 30_000_000
    """Bound of one ``select``: 8 bytes each."""
    cache_bytes: int = 12 * MIB
    """Bound of the unpacked chunks kept; a day of seven nodes is 20 MiB of them."""

    key_every: int = 6
    """Each so many flushes the tail starts anew, so a damaged row of it costs at most that many flushes."""
    step_back_ms: int = MINUTE_MS
    """A frame older than its source's last one is refused; one older by more than this shows that the clock was set
    back, and is taken."""


@dataclass(frozen=True, slots=True)
class Stats:
    """Numbers since ``Store.open``, except where a size is given; for the aggregator's own metrics."""

    series: int
    """Label sets times sources that the store knows now."""
    head_rows: int
    head_samples: int
    """Places (rows x columns) held uncompressed in memory now."""
    blocks: int
    chunk_bytes: int
    """All blocks, compressed, as they are on disk now."""
    file_bytes: int
    """The database file with its write-ahead log now, in bytes."""
    oldest_ms: int | None
    samples_appended: int
    frames_appended: int
    frames_refused: int
    """Not after the source's last one."""
    frames_dropped: int
    """Pushed out of memory while the disk refused writes."""
    flushes: int
    flush_failures: int
    last_flush_ms: int | None
    """The ``now`` of the last flush that reached the disk."""
    rows_lost: int
    """Flushes in the tail that could not be read back at the start (and single rows in them that made no sense)."""
    chunks_lost: int
    """Chunks that could not be read back."""
    databases_moved_aside: int
    bytes_written: int
    """To the disk, write-ahead log and checkpoints together, at most; known at each checkpoint (some 16 MiB apart)."""
    cache_hits: int
    cache_misses: int
