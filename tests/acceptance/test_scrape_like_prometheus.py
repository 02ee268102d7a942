"""Pages that a peer should not send, scraped by us and by Debian's Prometheus: the same samples are stored.

Prometheus is told ``honor_timestamps: false``: times on a page are not taken over here, samples of one scrape have one
time.
"""

from __future__ import annotations

import json
import re
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from tests.support.aggregator import Aggregator, write_config
from tests.support.machine import PATIENCE
from tests.support.node_page import NodePage
from tests.support.peers import need
from tests.support.ports import free_port

pytestmark = pytest.mark.acceptance

CONFIG = """\
global: {{scrape_interval: 1s, scrape_timeout: 1s}}
scrape_configs:
  - job_name: node
    honor_timestamps: false
    static_configs: [{{targets: ["127.0.0.1:{port}"]}}]
"""
# What is there throughout, and what the two make of doubtful lines.
STEADY = 'steady 1\ntwice{n="1"} 10\ntwice{n="1"} 20\ntwice{n="1"} 30\ntwice{n="2"} 5\n'
TIMED = "# TYPE timed gauge\ntimed 7 1000\nfar 8 99999999999000\n"
SCRAPE = ("scrape_samples_post_metric_relabeling", "scrape_samples_scraped")
COUNTED = ("scrape_duplicate_samples", "scrapes", "scrape_failures")
GOES = 'goes{n="1"} 1\ngoes{n="2"} 2\n'


@pytest.fixture
def node() -> Iterator[NodePage]:
    with NodePage(STEADY + TIMED + GOES) as page:
        yield page


@pytest.fixture
def aggregator(tmp_path: Path, node: NodePage) -> Iterator[Aggregator]:
    with Aggregator(tmp_path / "ours") as found:
        write_config(found.config, node_port=node.port, url="json://127.0.0.1:9/")
        found.start()
        yield found


@pytest.fixture
def prometheus(tmp_path: Path, node: NodePage) -> Iterator[str]:
    file = tmp_path / "prometheus.yml"
    file.write_text(CONFIG.format(port=node.port))
    address = f"127.0.0.1:{free_port()}"
    command = [need("prometheus"), f"--config.file={file}", f"--storage.tsdb.path={tmp_path / 'theirs'}"]
    with (tmp_path / "prometheus.log").open("wb") as log:
        process = subprocess.Popen([*command, f"--web.listen-address={address}"], stdout=log, stderr=log)
    try:
        until(lambda: get(f"http://{address}", "up") == [("up", "1")], 20)
        yield f"http://{address}"
    finally:
        process.kill()
        process.wait()


def get(base: str, query: str) -> list[tuple[str, str]]:
    """(what tells the series apart, value), sorted; nothing when it does not answer yet."""
    try:
        with urllib.request.urlopen(f"{base}/api/v1/query?query={quote(query)}", timeout=5 * PATIENCE) as answer:
            result: list[dict[str, Any]] = json.load(answer)["data"]["result"]
    except OSError:
        return []
    named = ("__name__", "n")
    return sorted(
        ("/".join(one["metric"][key] for key in named if key in one["metric"]), one["value"][1]) for one in result
    )


def until(true: Callable[[], object], seconds: float) -> None:
    deadline = time.monotonic() + seconds * PATIENCE
    while not true():
        assert time.monotonic() < deadline, "did not happen in time"
        time.sleep(0.1)


def test_doubtful_pages_are_stored_and_counted_alike(aggregator: Aggregator, prometheus: str, node: NodePage) -> None:
    everything = '{job="node", __name__=~"steady|twice|timed|far|goes|up|scrape_samples_.*|comes"}'
    wanted = ["far", "goes/1", "goes/2", *SCRAPE, "steady", "timed", "twice/1", "twice/2", "up"]

    def agree(names: list[str]) -> bool:
        theirs = get(prometheus, everything)
        return [name for name, _ in theirs] == names and get(aggregator.url, everything) == theirs

    until(lambda: agree(wanted), 15)
    assert dict(get(aggregator.url, everything))["twice/1"] == "10"  # the first of them

    # Lines of a series that the page had already; Debian's Prometheus (2.42) drops them without counting.
    page = aggregator.get("/metrics")
    numbers = [re.search(rf"^tierwatch_{name}_total (\S+)$", page, re.MULTILINE) for name in COUNTED]
    duplicates, scrapes, failures = (float(found[1]) for found in numbers if found)
    assert duplicates == 2 * (scrapes - failures) > 0

    # A series that goes is over at once, one that comes is there at once; what comes back goes on.
    node.page = STEADY + TIMED + 'goes{n="2"} 3\ncomes 1\n'
    until(lambda: agree(sorted([*wanted, "comes"])[:1] + [name for name in wanted if name != "goes/1"]), 10)
    node.page = STEADY + TIMED + GOES
    until(lambda: agree(wanted), 10)
    changes = "sum by (n) (changes(goes[1m])) and on (n) count_over_time(goes[1m])"
    until(lambda: get(aggregator.url, changes) == get(prometheus, changes) != [], 5)

    # A page with a bad line is a failed scrape for both. Ours ends all of it; theirs leaves what stood before it.
    node.page = STEADY + "bad{ 1\n"
    until(lambda: get(aggregator.url, "up") == get(prometheus, "up") == [("up", "0")], 15)
    assert [name for name, _ in get(aggregator.url, everything)] == [*SCRAPE, "up"]
    node.page = STEADY + TIMED + GOES
    until(lambda: agree(wanted), 10)
