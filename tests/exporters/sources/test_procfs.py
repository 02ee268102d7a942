from __future__ import annotations

import pytest

from exporters.collector import CollectorFailed
from exporters.sources import procfs


def test_stat_knows_old_and_new_kernels() -> None:
    found = procfs.stat("cpu  1 2 3 4\ncpu0 1 2 3 4 5 6 7\ncpu11 1 2 3 4 5 6 7 8 9 10 11\nintr 99 1 2\nbtime 7\n")
    assert found.cpus == {"0": [1, 2, 3, 4, 5, 6, 7], "11": [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]}
    assert found.counters == {"intr": 99, "btime": 7}


def test_stat_without_cpus_is_no_stat() -> None:
    with pytest.raises(CollectorFailed, match="no cpu lines"):
        procfs.stat("intr 5\n")


def test_loadavg() -> None:
    assert procfs.loadavg("0.13 0.12 0.08 1/103 5291\n") == (0.13, 0.12, 0.08)
    with pytest.raises(CollectorFailed, match="expected three numbers"):
        procfs.loadavg("0.13\n")


def test_meminfo_names_units() -> None:
    text = "MemTotal: 8 kB\nActive(anon): 2 kB\nHugePages_Total: 3\nNothing:\n"
    assert procfs.meminfo(text) == {"MemTotal_bytes": 8192, "Active_anon_bytes": 2048, "HugePages_Total": 3}


def test_pressure_counts_seconds() -> None:
    text = "some avg10=0.00 avg60=0.00 avg300=0.00 total=8844330\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=1\n"
    assert procfs.pressure(text) == {"some": 8.84433, "full": 1e-6}


@pytest.mark.parametrize("columns", [11, 15, 17])
def test_diskstats_of_every_kernel(columns: int) -> None:
    numbers = list(range(columns))
    line = f" 179 0 mmcblk0 {' '.join(map(str, numbers))}\nbroken 1\n"
    assert procfs.diskstats(line) == [(179, 0, "mmcblk0", numbers)]


def test_netdev_with_and_without_space_after_the_colon() -> None:
    sixteen = " ".join(map(str, range(16)))
    text = f"Inter-|\n face |\n  eth0:{sixteen}\n  eth0:1: {sixteen}\nbroken: 1\n"
    assert procfs.netdev(text) == {"eth0": list(range(16)), "eth0:1": list(range(16))}


def test_snmp_pairs_names_with_values() -> None:
    text = "Ip: Forwarding DefaultTTL\nIp: 1 64\nTcp: MaxConn\nTcp: -1\n"
    assert procfs.snmp(text) == {"Ip_Forwarding": 1, "Ip_DefaultTTL": 64, "Tcp_MaxConn": -1}
    with pytest.raises(CollectorFailed, match="names of Ip are followed by values of Tcp"):
        procfs.snmp("Ip: Forwarding\nTcp: 1\n")


def test_snmp6_and_sockstat() -> None:
    assert procfs.snmp6("Ip6InReceives 5\nUdpLite6InErrors 2\nodd line here\n") == {
        "Ip6_InReceives": 5,
        "UdpLite6_InErrors": 2,
    }
    assert procfs.sockstat("sockets: used 18\nTCP: inuse 4 orphan 0\n") == {
        "sockets_used": 18,
        "TCP_inuse": 4,
        "TCP_orphan": 0,
    }


def test_hexadecimal_tables() -> None:
    assert procfs.softnet("0000000a 00000001 00000002 0\n") == [(10, 1, 2)]
    udp = "  sl  local_address rem_address   st tx_queue rx_queue\n 1: 0:0 0:0 07 00000010:00000020 0:0 0\n"
    assert procfs.udp_queues(udp) == (16, 32)
    table = "entries found\n0000000a 00000001\n0000000a 00000002\n"
    assert procfs.conntrack(table) == {"entries": 20, "found": 3}
    assert procfs.conntrack("") == {}


def test_arp_counts_by_interface() -> None:
    text = "IP address HW type\n192.0.2.1 0x1 0x2 02:fc * eth0\n192.0.2.2 0x1 0x2 02:fd * eth0\n\n"
    assert procfs.arp(text) == {"eth0": 2}


def test_process_with_brackets_in_its_name() -> None:
    text = "42 (a) b (c) Z 1 42 42 0 -1 4194560 0 0 0 0 0 0 0 0 20 0 7 0 25"
    assert procfs.process(text) == ("Z", 7)
    assert procfs.process("42 (cut") is None


def test_os_release_quotes() -> None:
    text = '# comment\nNAME="A \\"B\\""\nID=\'x\'\nVERSION_ID=12\nbroken\n'
    assert procfs.os_release(text) == {"NAME": 'A "B"', "ID": "x", "VERSION_ID": "12"}
