"""Our figures of Redis, PostgreSQL and nginx beside those of the established exporters, read from the same servers."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from urllib.request import urlopen

import pytest
from prometheus_client.parser import text_string_to_metric_families

from exporters.collector import Family
from exporters.exposition import Renderer
from exporters.probes.probe import Probe
from exporters.probes.verdict import Verdict
from exporters.probes.watch import outcome
from tests.exporters.probes.support import probe
from tests.support import real_services
from tests.support.machine import PATIENCE
from tests.support.peer_exporters import peer_exporter

pytestmark = pytest.mark.acceptance
Series = tuple[str, tuple[tuple[str, str], ...]]

# Ours has a value that moves between the two readings, or sees its own connection.
MOVES = re.compile(
    r"redis_(uptime|memory_|mem_|connected_clients|commands_processed)|nginx_(connections_(acc|han|act|wri|wai)|http)"
    r"|pg_stat_(activity|database)|pg_database_size|pg_settings_max_connections|pg_replication_lag"
)


# Later versions of the exporters have them; Debian 12 has redis_exporter 1.45 and postgres_exporter 0.11.
NEWER = dict.fromkeys(
    (
        "redis_max_clients",
        "pg_replication_is_replica",
        "pg_replication_lag_seconds",
        "pg_postmaster_start_time_seconds",
        "pg_database_wraparound_age_datfrozenxid_seconds",
    ),
    "",
)


@contextmanager
def peer(folder: Path, program: str, *options: str, **environment: str) -> Iterator[str]:
    """The metrics page of an exporter."""
    with (
        peer_exporter(folder, program, *options, environment=environment) as address,
        urlopen(f"http://{address}/metrics", timeout=10 * PATIENCE) as answer,
    ):
        yield answer.read().decode()


def read(text: str) -> tuple[dict[str, str], dict[Series, float]]:
    """(metric -> type, series without the service -> value)"""
    # The parser adds _total to counters that lack it; the page is what counts.
    types = dict(re.findall(r"^# TYPE (\S+) (\S+)$", text, flags=re.MULTILINE))
    values = {}
    for family in text_string_to_metric_families(re.sub(r"^# .*\n", "", text, flags=re.MULTILINE)):
        for sample in family.samples:
            labels = tuple(sorted((k, v) for k, v in sample.labels.items() if k not in ("service", "server")))
            values[sample.name, labels] = sample.value
    return types, values


async def ours(asked: Probe) -> str:
    verdict: Verdict = await outcome(asked, 5.0)
    asked.close()
    return Renderer().render(Family(metric, rows) for metric, rows in verdict.rows.items()).decode()


def compare(own: str, theirs: str, prefix: str, known: Mapping[str, str]) -> list[str]:
    """What is not the same. ``known``: names that are ours alone or told otherwise on purpose."""
    own_types, own_values = read(own)
    their_types, their_values = read(theirs)
    found = []
    for name, kind in own_types.items():
        if name.startswith(prefix) and name not in known and their_types.get(name) not in (kind, "untyped"):
            found.append(f"{name} is a {kind}, theirs {their_types.get(name, 'is not there')}")
    for series, value in own_values.items():
        name = series[0]
        if not name.startswith(prefix) or name in known or name not in their_types:
            continue
        if series not in their_values:
            found.append(f"{series} is not theirs")
        elif not MOVES.match(name) and their_values[series] != pytest.approx(value, abs=1):
            found.append(f"{series}: {value}, theirs {their_values[series]}")
    assert sum(name.startswith(prefix) for name in own_types) >= 5
    return found


async def test_redis(tmp_path: Path) -> None:
    with real_services.redis(tmp_path, "--maxmemory", "50mb") as (port, _):
        own = await ours(probe("redis", port))
        address = f"--redis.addr=redis://127.0.0.1:{port}"
        with peer(tmp_path, "prometheus-redis-exporter", address) as theirs:
            # It gives more labels with it.
            assert compare(own, theirs, "redis_", {**NEWER, "redis_instance_info": "", "redis_up": ""}) == []


async def test_nginx(tmp_path: Path) -> None:
    with real_services.nginx(tmp_path, "location /status { stub_status; }") as (port, _):
        own = await ours(probe("nginx", port, path="/status"))
        uri = f"--nginx.scrape-uri=http://127.0.0.1:{port}/status"
        with peer(tmp_path, "prometheus-nginx-exporter", uri) as theirs:
            assert compare(own, theirs, "nginx_", {"nginx_up": ""}) == []


async def test_postgresql(tmp_path: Path) -> None:
    cluster = real_services.Postgres(tmp_path)
    cluster.access("host all all 127.0.0.1/32 trust")
    with cluster.running():
        cluster.psql("CREATE ROLE monitor LOGIN; GRANT pg_monitor TO monitor")
        own = await ours(probe("postgresql", cluster.port, user="monitor"))
        source = f"postgresql://monitor@127.0.0.1:{cluster.port}/postgres?sslmode=disable"
        with peer(tmp_path, "prometheus-postgres-exporter", DATA_SOURCE_NAME=source) as theirs:
            known = {
                **NEWER,
                "pg_static": "it has the long version too",
                "pg_stat_activity_count": "it counts by five labels more; sums are the same",
                "pg_stat_activity_max_tx_duration": "by state and database there",
            }
            assert compare(own, theirs, "pg_", known) == []
    await asyncio.sleep(0)
