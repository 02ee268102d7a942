"""What watching a hundred containers may cost: CPU of a sample round, from the files that a kernel had for one."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from exporters.collectors.containers import Containers
from exporters.exposition import Renderer
from exporters.sources.docker_answers import Container, inspected, listed
from exporters.sources.docker_watch import Known, View
from tests.exporters.sources.test_cgroups import ID, RECORDED, RECORDED_ID, RECORDED_PID, UNIFIED, roots, write
from tests.support.docker_daemon import container, summary

pytestmark = pytest.mark.bench

CONTAINERS = 100
ROUNDS = 20
BUDGET_MS = 50.0


def plain(number: int) -> Container:
    made = inspected(container(f"c{number}", "running", Health={"Status": "healthy"}))
    made = replace(made, id=f"{number:064x}", pid=number + 1, image="registry.example.org/some/app:1.2.3")
    return replace(made, cpu_quota=50_000, cpu_period=100_000)


def version_1(top: Path, made: Container) -> None:
    """The recorded files, under another number and id."""
    for file in RECORDED.rglob("*"):
        if file.is_file() and file.name != "cgroups":
            place = str(file.relative_to(RECORDED)).replace(RECORDED_ID, made.id)
            place = place.replace(f"proc/{RECORDED_PID}", f"proc/{made.pid}")
            write(top / place, file.read_text().replace(RECORDED_ID, made.id))
    traffic(top, made)


def version_2(top: Path, made: Container) -> None:
    group = f"/system.slice/docker-{made.id}.scope"
    write(top / "proc" / str(made.pid) / "cgroup", f"0::{group}\n")
    for name, text in UNIFIED.items():
        write(Path(f"{top}/sys/fs/cgroup{group}/{name}"), text)
    traffic(top, made)


def traffic(top: Path, made: Container) -> None:
    numbers = " 123456789" * 16
    write(top / "proc" / str(made.pid) / "net" / "dev", f"Inter-|\n face |\n    lo:{numbers}\n  eth0:{numbers}\n")


@pytest.mark.parametrize("version", [version_1, version_2], ids=["cgroup-1", "cgroup-2"])
def test_a_sample_round(
    tmp_path: Path, version: Callable[[Path, Container], None], record_property: Callable[[str, object], None]
) -> None:
    assert len(ID) == 64
    made = [plain(number) for number in range(CONTAINERS)]
    for entry in made:
        version(tmp_path, entry)
    view = View(reason="", answered=0.0, known={entry.name: Known(entry, seen=1.0) for entry in made})
    collector = Containers(lambda: view, roots(tmp_path), [], wall=lambda: 1.0, clock=lambda: 1.0)
    render = Renderer().render
    page = render(collector.collect())  # the first one finds the groups
    assert page.count(b"\ncontainer_cpu_usage_seconds_total{") == CONTAINERS
    assert page.count(b"\ncontainer_memory_working_set_bytes{") == CONTAINERS
    begun = time.process_time()
    for _ in range(ROUNDS):
        render(collector.collect())
    spent = (time.process_time() - begun) / ROUNDS * 1000
    samples = sum(not line.startswith(b"#") for line in page.splitlines())
    text = f"{CONTAINERS} containers, {samples} series: {spent:.1f} ms of CPU a sample round"
    record_property("containers", text)
    print(text)
    assert spent < BUDGET_MS, text


def test_a_look_at_dockers_list(record_property: Callable[[str, object], None]) -> None:
    """Each ten seconds, on the event loop."""
    entries = [summary(container(f"c{number}")) | {"Mounts": [{"a": "b" * 300}] * 3} for number in range(CONTAINERS)]
    answer = json.dumps(entries)
    begun = time.process_time()
    for _ in range(ROUNDS):
        assert len(listed(json.loads(answer))) == CONTAINERS
    spent = (time.process_time() - begun) / ROUNDS * 1000
    text = f"a list of {CONTAINERS} containers, {len(answer) // 1024} KiB: {spent:.2f} ms of CPU"
    record_property("list", text)
    print(text)
    assert spent < BUDGET_MS / 5, text
