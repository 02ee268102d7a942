"""Whole pages of recorded hosts, byte for byte. UPDATE_GOLDEN=1 writes them anew."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator

import pytest

from exporters.exposition import Renderer
from exporters.registry import TABLE, build
from exporters.runner import Runner
from tests.exporters.support import HOSTS, settings

# What depends on the machine the test runs on: its own process, its clock, sizes of its file systems.
HERE = frozenset({"process", "timex", "filesystem", "pi_throttle", "pi_voltage"})


@pytest.fixture
def utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.usefixtures("utc")
@pytest.mark.parametrize("host", ["vm", "pi"])
async def test_page(host: str) -> None:
    collectors = build(settings(host), disabled=HERE)
    assert set(collectors) <= set(TABLE) - HERE
    page = Renderer().render(await Runner(collectors, deadline=20.0).collect()).decode()
    page = re.sub(r"(?m)^(node_scrape_collector_duration_seconds\{.*\}) .*$", r"\1 0.0", page)
    golden = HOSTS / f"{host}.prom"
    if os.environ.get("UPDATE_GOLDEN"):
        golden.write_text(page)
    assert page == golden.read_text()
