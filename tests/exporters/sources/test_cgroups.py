from __future__ import annotations

from pathlib import Path

import pytest

from exporters.sources.cgroups import Blocks, Cgroups, Memory, Throttling, traffic, usage
from exporters.sources.files import Roots

RECORDED = Path(__file__).resolve().parents[2] / "fixtures" / "docker" / "cgroup_v1"
RECORDED_PID = 19772
RECORDED_ID = "d398203e5c4ae7b50717dd32f757f3199169b08be9b5df717f2e17bcf67aa629"
ID = "f" * 64

UNIFIED = {
    "cpu.stat": "usage_usec 185266562\nuser_usec 147353926\nsystem_usec 37912635\nnr_periods 100\nnr_throttled 25\n"
    "throttled_usec 2500000\nnr_bursts 0\nburst_usec 0\n",
    "memory.current": "28557312\n",
    "memory.stat": "anon 16572416\nfile 10829824\nkernel_stack 475136\ninactive_anon 8069120\n"
    "active_file 7446528\ninactive_file 11882496\n",
    "memory.events": "low 0\nhigh 0\nmax 7\noom 2\noom_kill 2\noom_group_kill 0\n",
    "io.stat": "259:0 rbytes=11390976 wbytes=4096 rios=300 wios=1 dbytes=0 dios=0\n8:0 \n",
    "pids.current": "29\n",
}


def roots(top: Path) -> Roots:
    return Roots(f"{top}/proc", f"{top}/sys", str(top))


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def unified(top: Path, group: str, inner: str = "", controllers: str = "cpuset cpu io memory pids") -> Roots:
    """A host of cgroup version 2 with one group; its process, 77, is in ``inner`` below it."""
    write(top / "proc" / "77" / "cgroup", f"0::{group}{inner}\n")
    write(top / "sys/fs/cgroup/cgroup.controllers", f"{controllers}\n")
    for name, text in UNIFIED.items():
        write(Path(f"{top}/sys/fs/cgroup{group}/{name}"), text)
    return roots(top)


@pytest.mark.parametrize(
    ("group", "inner"),
    [(f"/system.slice/docker-{ID}.scope", ""), (f"/docker/{ID}", ""), (f"/docker/{ID}", "/init.scope")],
    ids=["systemd", "cgroupfs", "systemd-inside"],
)
def test_version_2(tmp_path: Path, group: str, inner: str) -> None:
    places = Cgroups(unified(tmp_path, group, inner)).places(77, ID)
    assert places is not None
    found = usage(places, quota=True)
    assert found is not None
    assert (found.cpu, found.user, found.system) == (185.266562, 147.353926, 37.912635)
    assert found.throttling == Throttling(100, 25, 2.5)
    assert found.memory == Memory(28557312, 16674816, 16572416, 10829824, None, 2)
    assert found.blocks == {"259:0": Blocks(11390976, 4096, 300, 1)}
    assert found.threads == 29


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("8:16 8:0 rbytes=5 wbytes=6 rios=1 wios=2 dbytes=0 dios=0\n", {"8:0": Blocks(5, 6, 1, 2)}),
        ("8:0 rbytes=x wbytes=6 rios=1 wios=2\n8:1 rbytes=5 wbytes=6 rios=1 wios=2\n", {"8:1": Blocks(5, 6, 1, 2)}),
        ("8:0 rbytes=5\n", {}),
        ("8:0 cost.usage=5\n", {}),
        ("", {}),
    ],
    ids=["a line that was not ended", "a word", "half", "others", "nothing"],
)
def test_disks_of_version_2(tmp_path: Path, text: str, told: dict[str, Blocks]) -> None:
    places = Cgroups(unified(tmp_path, f"/docker/{ID}")).places(77, ID)
    assert places is not None
    write(Path(f"{places.blocks}/io.stat"), text)
    found = usage(places, quota=False)
    assert found is not None
    assert (found.blocks, found.cpu) == (told, 185.266562)


def test_version_1_as_recorded() -> None:
    places = Cgroups(roots(RECORDED)).places(RECORDED_PID, RECORDED_ID)
    assert places is not None
    found = usage(places, quota=True)
    assert found is not None
    assert found.throttling == Throttling(12, 11, 0.833943025)
    assert found.memory is not None
    assert (found.memory.rss, found.memory.limit_hits, found.memory.oom_kills) == (61440, 0, 0)
    assert 0 < found.memory.working_set <= found.memory.usage < 64 * 2**20
    assert found.user is not None
    assert found.system is not None
    assert found.cpu == pytest.approx(found.user + found.system, abs=0.05)
    assert (found.blocks, found.threads) == ({}, 1)
    assert (traffic(roots(RECORDED), RECORDED_PID) or b"").startswith(b"Inter-|")


def test_disks_of_version_1(tmp_path: Path) -> None:
    write(tmp_path / "proc/77/cgroup", f"5:cpu,cpuacct:/docker/{ID}\n3:blkio:/docker/{ID}\n")
    write(tmp_path / f"sys/fs/cgroup/cpuacct/docker/{ID}/cpuacct.usage", "1500000000\n")
    blocks = tmp_path / f"sys/fs/cgroup/blkio/docker/{ID}"
    write(
        blocks / "blkio.throttle.io_service_bytes_recursive",
        "179:0 Read 100\n179:0 Write 200\n179:0 Sync 7\n179:0 Discard 9\n179:0 Total 300\nTotal 300\n",
    )
    write(blocks / "blkio.throttle.io_serviced", "179:0 Read 3\n179:0 Write 4\nTotal 7\n")  # Linux 4.9 of a Nano
    places = Cgroups(roots(tmp_path)).places(77, ID)
    assert places is not None
    found = usage(places, quota=False)
    assert found is not None
    assert found.blocks == {"179:0": Blocks(100, 200, 3, 4)}
    assert (found.cpu, found.user, found.memory, found.threads, found.throttling) == (1.5, None, None, None, None)


def test_without_the_memory_controller_there_are_no_zeros(tmp_path: Path) -> None:
    host = unified(tmp_path, f"/docker/{ID}", controllers="cpuset cpu io pids")
    for name in ("memory.current", "memory.stat", "memory.events"):
        (tmp_path / f"sys/fs/cgroup/docker/{ID}/{name}").unlink()
    groups = Cgroups(host)
    places = groups.places(77, ID)
    assert places is not None
    found = usage(places, quota=False)
    assert found is not None
    assert (found.memory, found.threads) == (None, 29)
    assert groups.memory_is_counted() is False


@pytest.mark.parametrize(("enabled", "counted"), [("1", True), ("0", False)])
def test_the_memory_controller_of_version_1(tmp_path: Path, enabled: str, counted: bool) -> None:
    write(tmp_path / "proc/cgroups", f"#subsys_name\thierarchy\tnum_cgroups\tenabled\nmemory\t0\t1\t{enabled}\n")
    assert Cgroups(roots(tmp_path)).memory_is_counted() is counted


def test_a_kernel_that_does_not_say(tmp_path: Path) -> None:
    assert Cgroups(roots(tmp_path)).memory_is_counted() is None


def test_the_number_of_another_process_is_not_taken_for_the_containers(tmp_path: Path) -> None:
    groups = Cgroups(unified(tmp_path, "/user.slice/session-1.scope"))
    assert groups.places(77, ID) is None
    assert groups.places(78, ID) is None


def test_a_group_that_ends_and_files_that_nobody_has_seen(tmp_path: Path) -> None:
    places = Cgroups(unified(tmp_path, f"/docker/{ID}")).places(77, ID)
    assert places is not None
    for odd in ("", "usage_usec\n", "usage_usec x\n", "usage_usec 5\n", "\xff"):
        write(tmp_path / f"sys/fs/cgroup/docker/{ID}/cpu.stat", odd)
        assert usage(places, quota=True) is None
    (tmp_path / f"sys/fs/cgroup/docker/{ID}/cpu.stat").unlink()
    assert usage(places, quota=True) is None


def test_devices_have_names(tmp_path: Path) -> None:
    target = tmp_path / "sys/devices/mmc/block/mmcblk0"
    target.mkdir(parents=True)
    (tmp_path / "sys/dev/block").mkdir(parents=True)
    (tmp_path / "sys/dev/block/179:0").symlink_to(target)
    groups = Cgroups(roots(tmp_path))
    assert groups.device("179:0") == "/dev/mmcblk0"
    assert groups.device("8:0") == "8:0"
