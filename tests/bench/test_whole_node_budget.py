"""What an exporter with everything on may take; ``bench_endurance`` is the same for an hour."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.bench.bench_endurance import MOST_RESIDENT_MIB, Size
from tests.bench.node_life import WATCHED, start_containers, start_units, write_textfile
from tests.support.dockerd import dockerd
from tests.support.machine import PATIENCE
from tests.support.real_systemd import real_systemd
from tests.support.whole_node import whole_exporter
from tests.support.whole_services import everything

pytestmark = pytest.mark.bench

SCRAPES = 30
SERVICES = 24


def test_memory_with_everything_on(record_property: Callable[[str, object], None]) -> None:
    # Not under pytest's folder: the servers of the services run as users who may not look into it.
    with TemporaryDirectory(prefix="tw-whole-") as name, ExitStack() as stack:
        folder = Path(name)
        daemon, systemd = stack.enter_context(dockerd()), stack.enter_context(real_systemd())
        start_containers(daemon, apps=1)
        start_units(systemd)
        places = folder / "services"
        places.mkdir()
        services = stack.enter_context(everything(places))
        inventory = {**services.inventory, **WATCHED}
        node = stack.enter_context(whole_exporter(folder, inventory, daemon.socket, Path(systemd.bus)))
        write_textfile(folder / "textfile", 1)
        end = time.monotonic() + 60 * PATIENCE
        while lacks := missing(page := node.get().decode()):
            assert time.monotonic() < end, lacks
            time.sleep(0.2)
        for _ in range(SCRAPES):
            node.get(headers={"Accept-Encoding": "gzip"})
            time.sleep(0.1)
        size = Size.of(node.process.pid)
        text = f"{size.resident:.1f} MiB resident, {size.own:.1f} its own, {size.threads} threads, {len(page)} bytes"
    record_property("exporter with everything on", text)
    print(text)
    assert size.resident < MOST_RESIDENT_MIB, text


def missing(page: str) -> list[str]:
    """Senses that say nothing yet; services that are not up."""
    found = [sense for sense in EVERYTHING if sense not in page]
    up = page.count('state="up"} 1.0')
    return found if up == SERVICES else [*found, f"{SERVICES - up} services"]


EVERYTHING = (
    "\ntierwatch_docker_up 1.0\n",
    'container_memory_working_set_bytes{name="app0"',
    'tierwatch_systemd_source_info{source="bus"} 1.0',
    'node_systemd_unit_state{name="bad.service",state="failed",type="simple"} 1.0',
    'tierwatch_jetson_source_info{reading="memory",source="tegrastats"} 1.0',
    'job_last_value{job="j49"}',
    "\ntierwatch_undeclared_listeners ",
)
