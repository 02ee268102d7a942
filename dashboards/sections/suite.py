"""The suite watching itself: scrapes and collectors, exporters, the aggregator, alerts, notifications, storage."""

from __future__ import annotations

from dashboards import limits, look, names
from dashboards.board import Section, Tile, note
from dashboards.queries import NODES, Query, increase, pick, rate, top, total
from dashboards.sections import aggregator, alerts
from dashboards.sections.aggregator import AGGREGATOR, ALL_TARGETS
from dashboards.view import View
from exporters.catalog import events as event_metrics
from exporters.catalog import own

COLLECTORS_SHOWN = 8


def at_a_glance(view: View) -> list[Tile]:
    """Whether the suite itself is well, in one line."""
    house = view.house
    return [
        house.stat(
            "Slowest scrape",
            note(
                "The longest of the newest scrapes.",
                "A scrape that takes 4 s counts as a node that is down.",
                "Yellow as the alert ScrapeSlow: see which node below; a stuck disk or mount is the usual cause.",
            ),
            [Query(total("max", pick(names.SCRAPE_DURATION, ALL_TARGETS)), "")],
            "s",
            limit=limits.SCRAPE,
            width=4,
            decimals=2,
        ),
        house.stat(
            "Failing collectors",
            note(
                "Readings that exporters tried and failed to take, on all nodes.",
                "Alerts that need them are blind.",
                "See the timeline of collectors below; on the node: journalctl -u tierwatch-exporter.",
            ),
            [Query(f"sum(1 - {pick(own.COLLECTOR_SUCCESS, NODES)})", "")],
            limit=limits.ANY_WARNING,
            width=4,
        ),
        house.stat(
            "Samples a scrape round",
            note(
                "Samples that one round of scrapes brings, all targets together.",
                "Disk and memory of the monitoring node follow it.",
                "A jump: an exporter or a service that invents labels; see the page sizes below.",
            ),
            [Query(total("sum", pick(names.SCRAPE_SAMPLES, ALL_TARGETS)), "")],
            width=4,
        ),
        house.stat(
            "Configuration",
            note(
                "Whether the aggregator took the newest configuration.",
                "A refused one changes nothing: the one before runs on, and the edit has no effect.",
                "There: tierwatch check config; correct it; sudo systemctl reload tierwatch-aggregator.",
            ),
            [Query(pick(names.CONFIG_TAKEN, AGGREGATOR), "")],
            states=(look.State(0, "REFUSED", look.RED), look.State(1, "taken", look.GREEN), look.NO_DATA),
            width=4,
        ),
        house.stat(
            "Oldest notification waiting",
            note(
                "Age of the oldest notification that is not delivered yet.",
                "0 is good. Growing: nobody is told of anything.",
                "Yellow as the alert NotificationsWaiting: ping 1.1.1.1 there; check the receiver's URL.",
            ),
            [Query(total("max", pick(names.NOTIFY_OLDEST, AGGREGATOR)), "")],
            "s",
            limit=limits.NOTIFICATION_AGE,
            width=4,
        ),
    ]


def scrapes(view: View) -> list[Tile]:
    house = view.house
    nodes = len(view.cluster.nodes)
    worked = pick(own.COLLECTOR_SUCCESS, NODES)
    return [
        house.graph(
            "Scrape duration",
            note(
                "How long reading each exporter took.",
                "Grows before a node is lost: a stuck disk, a slow network, a busy board.",
                "Dashed: ScrapeSlow. See which collector is slow below.",
            ),
            [Query(pick(names.SCRAPE_DURATION, NODES))],
            "s",
            lines=nodes,
            limit=limits.SCRAPE,
        ),
        house.graph(
            "Samples on each page",
            note(
                "Samples that each exporter's page holds.",
                "A page with more than 20000 is refused whole, and the node counts as down.",
                "Near that: curl -s http://NODE:9191/metrics | cut -d'{' -f1 | sort | uniq -c | sort -n.",
            ),
            [Query(pick(names.SCRAPE_SAMPLES, NODES))],
            "short",
            lines=nodes,
        ),
        house.timeline(
            "Collectors that failed",
            note(
                "Collectors that failed at least once in the time shown; a collector without its hardware is not here.",
                "Their readings are missing, and alerts on them are blind.",
                "On the node: journalctl -u tierwatch-exporter | grep NAME | tail.",
            ),
            [
                Query(f"{worked} and min_over_time({worked}[$__range] @ end()) == 0", "{{node}} {{collector}}"),
            ],
            (look.State(0, "FAILED", look.RED), look.State(1, "works", look.GREEN), look.NO_DATA),
            rows=3,
        ),
        house.graph(
            "Slowest collectors",
            note(
                "The slowest collectors of all nodes. One that is stuck shows the time since its read began.",
                "All collectors of a scrape share 2 s; then their readings are given up.",
                "Dashed: CollectorSlow. df, docker ps or tegrastats on that node hangs too: find out why.",
            ),
            [Query(top(COLLECTORS_SHOWN, pick(own.COLLECTOR_DURATION, NODES)), "{{node}} {{collector}}")],
            "s",
            lines=COLLECTORS_SHOWN,
            limit=limits.COLLECTOR,
            by_node=False,
        ),
    ]


def exporters(view: View) -> list[Tile]:
    house, nodes = view.house, len(view.cluster.nodes)
    return [
        house.graph(
            "Exporter memory",
            note(
                "Resident memory of each exporter.",
                "It is built for 45 MiB; the smallest board has 1 GiB.",
                "Above 120 MiB (ExporterMemoryHigh): sudo systemctl restart tierwatch-exporter, and report it.",
            ),
            [Query(pick(own.PROCESS_RESIDENT, NODES))],
            "bytes",
            lines=nodes,
        ),
        house.graph(
            "Exporter processor time",
            note(
                "Share of one core that each exporter uses.",
                "Watching must not cost what it watches.",
                "Above a few percent: a slow collector; see above.",
            ),
            [Query(rate(own.PROCESS_CPU, NODES))],
            "percentunit",
            lines=nodes,
        ),
    ]


def events(view: View) -> list[Tile]:
    """The streams by which nodes tell at once what changed."""
    house, nodes = view.house, len(view.cluster.nodes)
    return [
        house.graph(
            "Event streams open",
            note(
                f"Nodes that hold a stream of events with the aggregator; {nodes} in the inventory.",
                "Without one, news of that node come with the next scrape instead of at once.",
                "EventStreamsMissing names it: an old exporter, or something between that cuts connections.",
            ),
            [Query(pick(names.EVENT_STREAMS, AGGREGATOR), "open")],
            "short",
            by_node=False,
            width=6,
            decimals=0,
        ),
        house.graph(
            "Events",
            note(
                "Changes that nodes told, and those that a stream should have told and did not.",
                "A burst is a restart of many things; missed ones were found by the next scrape.",
                "Missed again and again: journalctl -u tierwatch-exporter on the nodes.",
            ),
            [
                Query(increase(names.EVENTS_RECEIVED, AGGREGATOR), "told"),
                Query(increase(names.EVENTS_MISSED, AGGREGATOR), "missed"),
            ],
            "short",
            lines=2,
            by_node=False,
            width=6,
        ),
        house.graph(
            "Event streams lost",
            note(
                "Streams that ended, and those that missed three beats.",
                "A node that vanishes is found so within seconds; without a node down it is the network.",
                "See which node came and went in the timeline; check its cable or Wi-Fi.",
            ),
            [
                Query(increase(names.STREAMS_BROKEN, AGGREGATOR), "ended"),
                Query(increase(names.STREAMS_SILENT, AGGREGATOR), "silent"),
            ],
            "short",
            lines=2,
            by_node=False,
            width=6,
        ),
        house.graph(
            "Events lost by exporters",
            note(
                "Changes that an exporter announced and nobody was told, because a stream ended or did not read.",
                "The next scrape brings the state, a quarter of a minute late.",
                "Above 0 for long: the monitoring node is too busy to read; see its processor.",
            ),
            [Query(increase(event_metrics.LOST, NODES))],
            "short",
            lines=nodes,
            width=6,
        ),
    ]


def sections(view: View) -> list[Section]:
    return [
        Section("Scrapes and collectors", scrapes(view)),
        Section("Alerts and notifications", [*alerts.over_time(view), *alerts.notifications(view)]),
        Section("Event streams", events(view), collapsed=True),
        Section("Storage", aggregator.storage(view), collapsed=True),
        Section("Aggregator", aggregator.program(view), collapsed=True),
        Section("Exporters", exporters(view), collapsed=True),
    ]
