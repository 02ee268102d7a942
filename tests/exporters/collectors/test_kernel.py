from __future__ import annotations

from pathlib import Path

import pytest

from exporters.collector import CollectorFailed, NoData
from exporters.collectors.kernel import FileHandles, Pressure
from exporters.collectors.network import NetworkClass, NetworkTraffic
from exporters.collectors.own import Process
from exporters.collectors.protocols import NetStat, SockStat
from exporters.collectors.system import OsRelease, Processes
from exporters.sources.files import Roots
from tests.exporters.support import roots, samples


def test_pressure_may_be_missing_or_switched_off(tmp_path: Path) -> None:
    with pytest.raises(NoData):
        Pressure(Roots(str(tmp_path))).collect()
    (tmp_path / "pressure/cpu").mkdir(parents=True)  # reading it fails, as reading does when PSI is off
    with pytest.raises(NoData):
        Pressure(Roots(str(tmp_path))).collect()


def test_file_handles_of_another_shape(tmp_path: Path) -> None:
    (tmp_path / "sys/fs").mkdir(parents=True)
    (tmp_path / "sys/fs/file-nr").write_text("1 2\n")
    with pytest.raises(CollectorFailed, match="expected three numbers, found '1 2'"):
        FileHandles(Roots(str(tmp_path))).collect()


def test_an_unknown_speed_is_no_speed() -> None:
    found = samples(NetworkClass(roots("vm")).collect())
    assert found["node_network_up", "eth0"] == 1
    assert found["node_network_up", "lo"] == 0
    assert not [key for key in found if key[0] == "node_network_speed_bytes"]


def test_speed_is_told_in_bytes(tmp_path: Path) -> None:
    device = tmp_path / "class/net/eth0"
    device.mkdir(parents=True)
    (device / "operstate").write_text("up\n")
    (device / "speed").write_text("1000\n")
    (tmp_path / "class/net/bonding_masters").write_text("\n")
    found = samples(NetworkClass(Roots(sysfs=str(tmp_path))).collect())
    assert found["node_network_speed_bytes", "eth0"] == 125e6
    assert {key[1] for key in found} == {"eth0"}


def test_interfaces_of_containers_are_left_out() -> None:
    assert {key[1] for key in samples(NetworkTraffic(roots("pi")).collect())} == {"eth0"}


def test_a_kernel_without_ipv6(tmp_path: Path) -> None:
    (tmp_path / "net").mkdir()
    (tmp_path / "net/netstat").write_text("TcpExt: ListenDrops Other\nTcpExt: 3 4\n")
    (tmp_path / "net/snmp").write_text("Tcp: CurrEstab\nTcp: 5\n")
    (tmp_path / "net/sockstat").write_text("TCP: inuse 4 mem 2\n")
    tree = Roots(str(tmp_path))
    assert samples(NetStat(tree).collect()) == {
        ("node_netstat_TcpExt_ListenDrops",): 3,
        ("node_netstat_Tcp_CurrEstab",): 5,
    }
    assert samples(SockStat(tree).collect())["node_sockstat_TCP_mem_bytes",] >= 2 * 4096


def test_processes_by_state() -> None:
    found = samples(Processes(roots("vm")).collect())
    assert found["node_processes_pids",] == 3
    assert found["node_processes_state", "Z"] == 1
    assert found["node_processes_threads",] == 13 + 1 + 7


def test_os_release_in_either_place(tmp_path: Path) -> None:
    (tmp_path / "usr/lib").mkdir(parents=True)
    (tmp_path / "usr/lib/os-release").write_text('ID=ubuntu\nNAME=Ubuntu\nVERSION_ID="22.04"\n')
    found = samples(OsRelease(Roots(rootfs=str(tmp_path))).collect())
    assert found["node_os_version", "ubuntu", "", "Ubuntu"] == 22.04
    with pytest.raises(NoData):
        OsRelease(Roots(rootfs=f"{tmp_path}/none")).collect()


def test_the_exporter_itself() -> None:
    found = samples(Process().collect())
    assert found["process_resident_memory_bytes",] > 5e6
    assert found["process_open_fds",] >= 3
    assert found["process_start_time_seconds",] > 1.5e9
