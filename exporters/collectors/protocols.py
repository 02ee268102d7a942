"""Protocol counters, sockets, queues, neighbours and connection tracking."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from contextlib import suppress

from exporters.catalog import network
from exporters.collector import Family, NoData
from exporters.collectors.shape import Row, families, single
from exporters.sources import procfs
from exporters.sources.files import Roots, number, read

# node_exporter's default for --collector.netstat.fields.
NETSTAT_FIELDS = re.compile(
    r"^(.*_(InErrors|InErrs)|Ip_Forwarding|Ip(6|Ext)_(InOctets|OutOctets)|Icmp6?_(InMsgs|OutMsgs)"
    r"|TcpExt_(Listen.*|Syncookies.*|TCPSynRetrans|TCPTimeouts)"
    r"|Tcp_(ActiveOpens|InSegs|OutSegs|OutRsts|PassiveOpens|RetransSegs|CurrEstab)"
    r"|Udp6?_(InDatagrams|OutDatagrams|NoPorts|RcvbufErrors|SndbufErrors))$"
)


class NetStat:
    """``/proc/net/snmp``, ``netstat`` and, where IPv6 is on, ``snmp6``."""

    def __init__(self, roots: Roots) -> None:
        self._roots = roots
        self._wanted: dict[str, bool] = {}

    def collect(self) -> Sequence[Family]:
        fields = procfs.snmp(read(self._roots.proc("net/netstat")))
        fields.update(procfs.snmp(read(self._roots.proc("net/snmp"))))
        with suppress(NoData):
            fields.update(procfs.snmp6(read(self._roots.proc("net/snmp6"))))
        if len(self._wanted) > 4096:
            self._wanted.clear()
        found = []
        for name, value in fields.items():
            wanted = self._wanted.get(name)
            if wanted is None:
                wanted = self._wanted[name] = NETSTAT_FIELDS.match(name) is not None
            if wanted:
                found.append(single(network.netstat_field(name), value))
        return found


class SockStat:
    """``/proc/net/sockstat`` and ``sockstat6``; memory is counted in pages there."""

    def __init__(self, roots: Roots) -> None:
        self._roots = roots
        self._page = os.sysconf("SC_PAGE_SIZE")

    def collect(self) -> Sequence[Family]:
        fields = procfs.sockstat(read(self._roots.proc("net/sockstat")))
        with suppress(NoData):
            fields.update(procfs.sockstat(read(self._roots.proc("net/sockstat6"))))
        for name in ("TCP_mem", "UDP_mem"):
            if name in fields:
                fields[f"{name}_bytes"] = fields[name] * self._page
        return [single(network.sockstat_field(name), value) for name, value in fields.items()]


class SoftNet:
    """``/proc/net/softnet_stat``."""

    def __init__(self, roots: Roots) -> None:
        self._path = roots.proc("net/softnet_stat")

    def collect(self) -> Sequence[Family]:
        metrics = (network.SOFTNET_PROCESSED, network.SOFTNET_DROPPED, network.SOFTNET_SQUEEZED)
        table = procfs.softnet(read(self._path))
        return [
            Family(metric, [((str(cpu),), float(row[column])) for cpu, row in enumerate(table)])
            for column, metric in enumerate(metrics)
        ]


class UdpQueues:
    """Bytes that wait in UDP sockets."""

    def __init__(self, roots: Roots) -> None:
        self._roots = roots

    def collect(self) -> Sequence[Family]:
        rows: list[Row] = []
        for ip, file in (("v4", "net/udp"), ("v6", "net/udp6")):
            try:
                sending, receiving = procfs.udp_queues(read(self._roots.proc(file)))
            except NoData:
                continue
            rows += [(("tx", ip), float(sending)), (("rx", ip), float(receiving))]
        if not rows:
            raise NoData("no UDP")
        return [Family(network.UDP_QUEUES, rows)]


class Arp:
    """Neighbours of every interface."""

    def __init__(self, roots: Roots) -> None:
        self._path = roots.proc("net/arp")

    def collect(self) -> Sequence[Family]:
        counts = procfs.arp(read(self._path))
        return [Family(network.ARP_ENTRIES, [((device,), float(count)) for device, count in counts.items()])]


class ConnTrack:
    """Connection tracking; absent when the module is not loaded."""

    def __init__(self, roots: Roots) -> None:
        self._roots = roots

    def collect(self) -> Sequence[Family]:
        entries = number(self._roots.proc("sys/net/netfilter/nf_conntrack_count"))
        limit = number(self._roots.proc("sys/net/netfilter/nf_conntrack_max"))
        if entries is None or limit is None:
            raise NoData("no connection tracking")
        found = [single(network.CONNTRACK_ENTRIES, entries), single(network.CONNTRACK_LIMIT, limit)]
        try:
            totals = procfs.conntrack(read(self._roots.proc("net/stat/nf_conntrack")))
        except NoData:
            return found
        rows = {
            metric: [((), float(totals[column]))]
            for column, metric in network.CONNTRACK_STATS.items()
            if column in totals
        }
        return [*found, *families({metric: list(row) for metric, row in rows.items()})]
