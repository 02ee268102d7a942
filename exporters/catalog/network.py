"""Network interfaces and protocols, under node_exporter's names."""

from __future__ import annotations

from functools import lru_cache

from exporters.catalog.metric import Kind, Metric

_DEVICE = ("device",)
_FIELDS = 4096


def _statistic(name: str) -> Metric:
    return Metric(f"node_network_{name}_total", "counter", f"Network device statistic {name}.", _DEVICE)


# In the order of the numbers of /proc/net/dev.
RECEIVE = tuple(
    _statistic(f"receive_{name}")
    for name in ("bytes", "packets", "errs", "drop", "fifo", "frame", "compressed", "multicast")
)
TRANSMIT = tuple(
    _statistic(f"transmit_{name}")
    for name in ("bytes", "packets", "errs", "drop", "fifo", "colls", "carrier", "compressed")
)
RECEIVE_NOHANDLER = _statistic("receive_nohandler")


def _property(name: str, kind: Kind = "gauge") -> Metric:
    return Metric(f"node_network_{name}", kind, f"Network device property: {name}", _DEVICE)


# Attribute of /sys/class/net/DEVICE -> its metric.
CLASS_ATTRIBUTES: dict[str, Metric] = {
    "addr_assign_type": _property("address_assign_type"),
    "carrier": _property("carrier"),
    "carrier_changes": _property("carrier_changes_total", "counter"),
    "carrier_up_count": _property("carrier_up_changes_total", "counter"),
    "carrier_down_count": _property("carrier_down_changes_total", "counter"),
    "dev_id": _property("device_id"),
    "dormant": _property("dormant"),
    "flags": _property("flags"),
    "ifindex": _property("iface_id"),
    "iflink": _property("iface_link"),
    "link_mode": _property("iface_link_mode"),
    "mtu": _property("mtu_bytes"),
    "name_assign_type": _property("name_assign_type"),
    "netdev_group": _property("net_dev_group"),
    "tx_queue_len": _property("transmit_queue_length"),
    "type": _property("protocol_type"),
}
SPEED = _property("speed_bytes")
UP = Metric("node_network_up", "gauge", "Value is 1 if operstate is 'up', 0 otherwise.", _DEVICE)
INFO = Metric(
    "node_network_info",
    "gauge",
    "Non-numeric data from /sys/class/net/<iface>, value is always 1.",
    ("device", "address", "broadcast", "duplex", "operstate", "ifalias"),
)

ARP_ENTRIES = Metric("node_arp_entries", "gauge", "ARP entries by device", _DEVICE)
UDP_QUEUES = Metric(
    "node_udp_queues", "gauge", "Number of allocated memory in the kernel for UDP datagrams in bytes.", ("queue", "ip")
)

SOFTNET_PROCESSED = Metric("node_softnet_processed_total", "counter", "Number of processed packets", ("cpu",))
SOFTNET_DROPPED = Metric("node_softnet_dropped_total", "counter", "Number of dropped packets", ("cpu",))
SOFTNET_SQUEEZED = Metric(
    "node_softnet_times_squeezed_total",
    "counter",
    "Number of times processing packets ran out of quota",
    ("cpu",),
)

CONNTRACK_ENTRIES = Metric(
    "node_nf_conntrack_entries", "gauge", "Number of currently allocated flow entries for connection tracking."
)
CONNTRACK_LIMIT = Metric("node_nf_conntrack_entries_limit", "gauge", "Maximum size of connection tracking table.")
# Column of /proc/net/stat/nf_conntrack -> its metric.
CONNTRACK_STATS: dict[str, Metric] = {
    column: Metric(f"node_nf_conntrack_stat_{column}", "gauge", text)
    for column, text in (
        ("found", "Number of searched entries which were successful."),
        ("invalid", "Number of packets seen which can not be tracked."),
        ("ignore", "Number of packets seen which are already connected to a conntrack entry."),
        ("insert", "Number of entries inserted into the list."),
        ("insert_failed", "Number of entries for which list insertion was attempted but failed."),
        ("drop", "Number of packets dropped due to conntrack failure."),
        (
            "early_drop",
            "Number of dropped conntrack entries to make room for new ones, if maximum table size was reached.",
        ),
        (
            "search_restart",
            "Number of conntrack table lookups which had to be restarted due to hashtable resizes.",
        ),
    )
}


@lru_cache(maxsize=_FIELDS)
def netstat_field(field: str) -> Metric:
    """``Tcp_CurrEstab`` -> ``node_netstat_Tcp_CurrEstab``."""
    return Metric(f"node_netstat_{field}", "untyped", f"Statistic {field.replace('_', '', 1)}.")


@lru_cache(maxsize=_FIELDS)
def sockstat_field(field: str) -> Metric:
    """``TCP_inuse`` -> ``node_sockstat_TCP_inuse``."""
    protocol, _, state = field.partition("_")
    if protocol == "sockets":
        return Metric("node_sockstat_sockets_used", "gauge", "Number of IPv4 sockets in use.")
    return Metric(f"node_sockstat_{field}", "gauge", f"Number of {protocol} sockets in state {state}.")
