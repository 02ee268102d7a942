"""Plays recorded exporter pages back, with values that move: ``python -m tests.bench.recorded ADDRESS...`` serves them.

``record_pages`` made the recordings. What rose between the two answers of a recording goes on rising (counters), what
changed otherwise swings between its two values; the rest stands still.
"""

from __future__ import annotations

import asyncio
import gzip
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from aiohttp import web

PAGES = Path(__file__).parent / "pages"


class Recording:
    """The pages of one node."""

    def __init__(self, node: str) -> None:
        first, second = gzip.decompress((PAGES / f"{node}.gz").read_bytes()).decode().split("\f")
        later = dict(line.rsplit(" ", 1) for line in second.splitlines() if not line.startswith("#"))
        self._parts: list[str] = []
        self._moving: list[tuple[int, float, float, bool]] = []
        self.series = 0
        counter = False
        for line in first.splitlines():
            name, _, value = line.rpartition(" ")
            if line.startswith("# TYPE"):
                counter = value in ("counter", "histogram", "summary")
            if not line.startswith("#"):
                self.series += 1
                if name in later and later[name] != value:
                    self._moving.append((len(self._parts) + 1, float(value), float(later[name]), counter))
                    self._parts += [name + " ", "", "\n"]
                    continue
            self._parts.append(line + "\n")

    def page(self, number: int) -> bytes:
        """The answer to scrape ``number``; the same number gives the same page."""
        parts = self._parts.copy()
        for place, first, second, counter in self._moving:
            share = number * 0.5 if counter else (number * 7 % 11) / 10
            parts[place] = repr(first + (second - first) * share)
        return "".join(parts).encode()


def nodes() -> list[str]:
    return sorted(path.stem for path in PAGES.glob("*.gz"))


async def serve(addresses: Sequence[str]) -> None:
    """One node an address, in the order of ``nodes``; writes the ports as a JSON list to the output, then serves."""
    ports = []
    runners = []
    for node, address in zip(nodes(), addresses, strict=True):
        runner = web.AppRunner(_app(Recording(node)), access_log=None)
        await runner.setup()
        runners.append(runner)
        await web.TCPSite(runner, address, 0).start()
        ports.append(runner.addresses[0][1])
    sys.stdout.write(json.dumps(ports) + "\n")
    sys.stdout.flush()
    await asyncio.Event().wait()


def _app(recording: Recording) -> web.Application:
    began = time.monotonic()

    async def answer(_request: web.Request) -> web.Response:
        body = gzip.compress(recording.page(int((time.monotonic() - began) / 5)), 1)
        headers = {"Content-Type": "text/plain; version=0.0.4", "Content-Encoding": "gzip"}
        return web.Response(body=body, headers=headers)

    app = web.Application()
    app.router.add_get("/metrics", answer)
    return app


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[1:]))
