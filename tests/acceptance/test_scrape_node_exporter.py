"""A real node_exporter is scraped without an error, and read as the client library reads it."""

from __future__ import annotations

import asyncio
import urllib.request
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from alerting.clock import SystemClock
from alerting.model.labels import Labels
from alerting.scrape.exposition import PageReader
from alerting.scrape.http import HttpPages
from alerting.scrape.manager import ScrapeManager
from alerting.scrape.targets import Target
from config.alerting import Limits
from tests.support.frames import MemoryFrames, stale
from tests.support.machine import PATIENCE
from tests.support.peers import need
from tests.support.ports import free_port


@pytest.mark.acceptance
async def test_a_real_node_exporter(tmp_path: Path) -> None:
    port = free_port()
    log = (tmp_path / "log").open("wb")
    process = await asyncio.create_subprocess_exec(
        need("prometheus-node-exporter"), f"--web.listen-address=127.0.0.1:{port}", stderr=log, stdout=log
    )
    frames = MemoryFrames()
    labels = Labels.of({"job": "node", "instance": f"127.0.0.1:{port}", "node": "N1", "tier": "1"})
    target = Target(f"node/127.0.0.1:{port}", f"http://127.0.0.1:{port}/metrics", labels, 0.5, 0.5, Limits())
    try:
        async with HttpPages() as pages, asyncio.timeout(20 * PATIENCE):
            manager = ScrapeManager(frames.source, pages, SystemClock())
            manager.start([target])
            writer = frames.writers[f"scrape/node/127.0.0.1:{port}"]
            while len(writer.times) < 3 or manager.targets()[0].health != "up":  # noqa: ASYNC110
                await asyncio.sleep(0.05)
            view = manager.targets()[0]
            assert view.last_error == ""
            assert view.samples > 300
            assert dict(manager.metadata()[0][1])["node_cpu_seconds_total"].type == "counter"
            assert writer.values(name="node_load1", node="N1")[-1] >= 0
            process.terminate()
            await process.wait()
            while manager.targets()[0].health != "down":  # noqa: ASYNC110
                await asyncio.sleep(0.05)
            await manager.stop()
        assert writer.values(name="up")[-1] == 0
        assert stale(writer.values(name="node_load1")[-1])
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
        log.close()


@pytest.mark.acceptance
async def test_its_page_reads_as_with_the_client_library(tmp_path: Path) -> None:
    port = free_port()
    log = (tmp_path / "log").open("wb")
    process = await asyncio.create_subprocess_exec(
        need("prometheus-node-exporter"), f"--web.listen-address=127.0.0.1:{port}", stderr=log, stdout=log
    )
    try:
        body = b""
        async with asyncio.timeout(10 * PATIENCE):
            while not body:
                try:
                    body = await asyncio.to_thread(_get, f"http://127.0.0.1:{port}/metrics")
                except OSError:
                    await asyncio.sleep(0.1)
    finally:
        process.kill()
        await process.wait()
        log.close()
    reader = PageReader(Limits())
    page = reader.read(body)
    ours = {reader.labels[slot]: value for slot, value in zip(page.slots, page.values, strict=True)}
    untyped = "\n".join(line for line in body.decode().split("\n") if not line.startswith("# TYPE"))
    theirs = {
        Labels.of({**sample.labels, "__name__": sample.name}): sample.value
        for family in text_string_to_metric_families(untyped)
        for sample in family.samples
    }
    assert ours.keys() == theirs.keys()
    assert all(ours[key] == theirs[key] or ours[key] != ours[key] for key in ours)


def _get(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=5 * PATIENCE) as response:
        data: bytes = response.read()
        return data
