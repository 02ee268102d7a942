"""The pages of the seven nodes, one step after the other, for a process that lives through days:

    python -m tests.bench.living_pages STEP_SECONDS

writes a page of each node (in the order of ``recorded.nodes``), its length before it (u32, big-endian), for ever.
"""

from __future__ import annotations

import gzip
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.bench.motion import PAGES, PEER_PAGE, LivingPage
from tests.bench.recorded import nodes

APART_S = 10.0  # between the two answers of a recording
BATCH = 240  # steps whose values are made at once
SAMPLES = 595  # of each page; with what a scraper adds, 600 series


def living(step_s: float) -> list[LivingPage]:
    """The page of each node, filled up to ``SAMPLES`` with lines of node_exporter's."""
    return [_page(PAGES / f"{node}.gz", step_s, seed) for seed, node in enumerate(nodes())]


def _page(recording: Path, step_s: float, seed: int) -> LivingPage:
    own = LivingPage(recording, apart_s=APART_S, step_s=step_s, seed=seed)
    taken = {_metric(name) for name in own.names}
    first = gzip.decompress(PEER_PAGE.read_bytes()).decode().split("\f")[0]
    fitting = [line + "\n" for line in first.splitlines() if line[0] != "#" and _metric(line) not in taken]
    extra = "".join(fitting[: SAMPLES - own.series])
    return LivingPage(recording, apart_s=APART_S, step_s=step_s, seed=seed, extra=extra)


def _metric(line: str) -> str:
    return line.partition("{")[0].split()[0]


def write(step_s: float) -> None:
    pages = living(step_s)
    while True:
        values = [page.next_values(BATCH) for page in pages]
        for row in range(BATCH):
            for page, its in zip(pages, values, strict=True):
                text = page.text(its[row])
                sys.stdout.buffer.write(len(text).to_bytes(4, "big") + text)


@contextmanager
def stream(step_s: float) -> Iterator[Iterator[list[bytes]]]:
    """The pages of each step, made by a process of its own."""
    command = [sys.executable, "-m", "tests.bench.living_pages", str(step_s)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as maker:
        assert maker.stdout is not None
        pipe = maker.stdout

        def steps() -> Iterator[list[bytes]]:
            while True:
                yield [pipe.read(int.from_bytes(pipe.read(4), "big")) for _ in nodes()]

        try:
            yield steps()
        finally:
            maker.kill()


if __name__ == "__main__":
    try:
        write(float(sys.argv[1]))
    except BrokenPipeError:
        sys.exit(0)
