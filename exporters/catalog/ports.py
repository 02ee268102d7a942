"""What listens on a node beside what the inventory says should, and who reaches it from where."""

from __future__ import annotations

from exporters.catalog.metric import Metric

DECLARED_LISTENING = Metric(
    "tierwatch_declared_port_listening",
    "gauge",
    "1 when a TCP port that the inventory gives to a service of this node accepts connections, 0 when nothing does.",
    ("service", "port"),
)
UNDECLARED_LISTENER = Metric(
    "tierwatch_undeclared_listener",
    "gauge",
    "A port that accepts connections from the network, or datagrams (as 53/udp), and that the inventory does not name;"
    " at most 64 are told.",
    ("port",),
)
UNDECLARED_LISTENERS = Metric(
    "tierwatch_undeclared_listeners",
    "gauge",
    "How many ports accept connections or datagrams from the network and are not named by the inventory.",
)
PUBLIC_LISTENER = Metric(
    "tierwatch_public_listener",
    "gauge",
    "A TCP port that accepts connections at an address of the public Internet, unless a firewall forbids it;"
    " exposed: whether the inventory wants that.",
    ("port", "exposed"),
)
OUTSIDE_CONNECTIONS = Metric(
    "tierwatch_outside_connections",
    "gauge",
    "Connections at this moment to a listening TCP port from addresses of the public Internet; exposed: whether the"
    " inventory wants that.",
    ("port", "exposed"),
)
PORT_METRICS: tuple[Metric, ...] = (
    DECLARED_LISTENING,
    UNDECLARED_LISTENER,
    UNDECLARED_LISTENERS,
    PUBLIC_LISTENER,
    OUTSIDE_CONNECTIONS,
)
