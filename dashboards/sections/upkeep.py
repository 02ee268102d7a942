"""What keeps the cluster well: backups, configuration management, who is on the network, the way to the Internet."""

from __future__ import annotations

from collections.abc import Collection

from dashboards import limits, look, names
from dashboards.board import Section, Tile, note
from dashboards.columns import Column
from dashboards.queries import Query, Scope, by, pick, rate, ratio, top
from dashboards.view import View
from exporters.catalog import services as catalog
from exporters.catalog.network import CLASS_ATTRIBUTES, CONNTRACK_ENTRIES, CONNTRACK_LIMIT

# More hosts than this make the rows of the timeline thin.
HOSTS_SHOWN = 12
_LINK = (look.State(0, "NO LINK", look.RED), look.State(1, "link", look.GREEN), look.NO_DATA)
_PRESENT = (look.State(0, "away", look.GREY), look.State(1, "there", look.GREEN), look.NO_DATA)


def backups(view: View) -> list[Tile]:
    house, scope = view.house, view.exporters
    node = [] if view.single else [Column("node", "Node", width=90)]
    return [
        house.table(
            "Backups",
            note(
                "The newest finished backup of each set of files (probe: {files: [...]}): how old, how large.",
                "A backup that is too old is found out on the day when it is needed.",
                "Too old, missing or too small: the service is degraded and says which. Run the job by hand, read its"
                " log.",
            ),
            [
                Query(by("node, files", "min", f"time() - {pick(catalog.BACKUP_TIME, scope)}"), "", table=True),
                Query(by("node, files", "max", pick(catalog.BACKUP_SIZE, scope)), "", table=True),
            ],
            [
                *node,
                Column("files", "Files"),
                Column("Value #A", "Age", "dtdurations", width=150),
                Column("Value #B", "Size", "bytes", width=100),
            ],
            rows=3,
            width=12,
            sort="Age",
            empty="no backup is watched",
        ),
        house.graph(
            "Size of backups",
            note(
                "Size of the newest backup of each set of files.",
                "One that is suddenly half as large lacks something inside.",
                "Open it and look; compare with the one before.",
            ),
            [Query(by("node, files", "max", pick(catalog.BACKUP_SIZE, scope)), view.name("files"))],
            "bytes",
            lines=3,
            by_node=False,
            width=12,
        ),
    ]


def configuration(view: View) -> list[Tile]:
    house, scope = view.house, view.exporters
    node = [] if view.single else [Column("node", "Node", width=90)]
    return [
        house.table(
            "Last runs",
            note(
                "When the file that a run leaves behind was written: configuration management, other jobs.",
                "What keeps the boards alike has to run; nobody misses it until something breaks.",
                "journalctl -u its unit or timer; run it by hand.",
            ),
            [Query(by("node, files", "min", f"time() - {pick(catalog.RUN_TIME, scope)}"), "", table=True)],
            [*node, Column("files", "Files"), Column("Value", "Age", "dtdurations", width=150)],
            rows=3,
            width=12,
            sort="Age",
            empty="no run is watched",
        ),
        house.graph(
            "Configuration drift",
            note(
                "Things that differ from what the configuration management wants.",
                "A change by hand is lost at its next run, or breaks it.",
                "Read the file named drift: in cluster.yaml; put the change where it belongs.",
            ),
            [Query(pick(catalog.DRIFT_ITEMS, scope), view.name("service"))],
            "short",
            lines=1,
            limit=limits.ANY_WARNING,
            width=12,
            decimals=0,
        ),
    ]


def presence(view: View) -> Tile:
    return view.house.timeline(
        "Who is on the network",
        note(
            "Which of the hosts that cluster.yaml names (probe: {hosts: ...}) answer; the cluster's own are not here.",
            "Tells whether the printer is off, or the network is.",
            "All away at once: the switch, or this node's cable.",
        ),
        [Query(pick(catalog.HOST_PRESENT, view.exporters), view.name("host"))],
        _PRESENT,
        rows=HOSTS_SHOWN,
        width=24,
    )


def way_out(view: View) -> list[Tile]:
    """Router and Internet as the hub sees them, and every other host that is pinged."""
    house, scope = view.house, view.exporters
    return [
        house.graph(
            "Packets lost",
            note(
                "Share of echoes without an answer: the router, the way out, other hosts that are pinged.",
                "Loss makes everything slow and some of it fail.",
                "Dashed: PacketsLost. Wi-Fi, a cable, or a line that is full: ping -c 50 the host.",
            ),
            [Query(pick(catalog.ICMP_LOSS, scope), view.name("target"))],
            "percentunit",
            lines=3,
            high=1,
            limit=limits.PACKETS_LOST,
            by_node=False,
            width=8,
        ),
        house.graph(
            "Round trip",
            note(
                "The fastest echo of each check.",
                "Under a millisecond on a cable, some on Wi-Fi, tens to the Internet; a jump is a full line.",
                "Who fills it: the traffic of the nodes; the router's own page.",
            ),
            [Query(pick(catalog.ICMP_RTT, scope, phase="rtt"), view.name("target"))],
            "s",
            lines=3,
            by_node=False,
            width=8,
        ),
        house.graph(
            "Time to resolve a name",
            note(
                "How long the router (or another DNS server) took for a name. Needs network.router.resolves.",
                "Slow names are slow pages everywhere.",
                "dig @ROUTER NAME; another upstream server in the router's settings.",
            ),
            [Query(pick(catalog.DNS_LOOKUP, scope), view.name("service"))],
            "s",
            lines=2,
            by_node=False,
            width=8,
        ),
    ]


def section(view: View, kinds: Collection[str]) -> Section:
    tiles = backups(view) if "backup-coordination" in kinds else []
    if "configuration-management" in kinds:
        tiles += configuration(view)
    if "network-utilities" in kinds:
        tiles.append(presence(view))
    return Section("Upkeep", tiles)


def router_page(view: View) -> list[Tile]:
    """What the router tells on a page of its own; none where the inventory names no such page."""
    router = view.cluster.network.router
    if router.metrics is None:
        return []
    house, scope = view.house, Scope((("job", router.kind),))
    entries, most = pick(CONNTRACK_ENTRIES, scope), pick(CONNTRACK_LIMIT, scope)
    received, sent = names.network("receive_bytes_total"), names.network("transmit_bytes_total")
    return [
        house.graph(
            "Traffic of the router",
            note(
                "Bytes a second through the router's busiest interfaces; sent is drawn downwards.",
                "wan (or eth0, eth1) is the line to the Internet: a full one makes everything slow.",
                "Who fills it: the traffic of the nodes. A limit for it: the router's SQM.",
            ),
            [
                Query(top(4, rate(received, scope, device="!=lo")), "{{device}} received"),
                Query(top(4, rate(sent, scope, device="!=lo")), "{{device}} sent"),
            ],
            "Bps",
            lines=8,
            mirrored=" sent$",
            by_node=False,
            width=12,
        ),
        house.graph(
            "Connections through the router",
            note(
                "Share of the router's connection table in use.",
                "When it is full, new connections of every device fail.",
                "Dashed: ConntrackAlmostFull. Often one device that asks the whole Internet: the router's list of"
                " connections tells which.",
            ),
            [Query(ratio(entries, most), "in use")],
            "percentunit",
            high=1,
            limit=limits.CONNTRACK,
            by_node=False,
            width=6,
        ),
        house.timeline(
            "Links of the router",
            note(
                "Whether each port of the router has a link. Needs its package prometheus-node-exporter-lua-netclass.",
                "wan without a link is a cable or a modem that is off.",
                "Look at the plug and at the modem; the alert RouterWanUnplugged says the same.",
            ),
            [Query(pick(CLASS_ATTRIBUTES["carrier"], scope, device="=~(eth|lan|wan).*"), "{{device}}")],
            _LINK,
            rows=5,
            width=6,
        ),
    ]


def sections_network(view: View) -> list[Section]:
    """The way out as the hub sees it, open; what the router says of itself, where it says something, collapsed."""
    own = router_page(view)
    found = [Section("Router and the way out", way_out(view))]
    return [*found, Section("The router's own page", own, collapsed=True)] if own else found
