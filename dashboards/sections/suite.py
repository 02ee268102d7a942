"""The suite watching itself: scrapes and collectors, exporters, the aggregator, alerts, notifications, storage."""

from __future__ import annotations

from dashboards import limits, look, names
from dashboards.board import Section, Tile, note
from dashboards.queries import NODES, Query, Scope, by, increase, pick, rate, ratio, top, total
from dashboards.view import View
from exporters.catalog import own
from exporters.catalog.metric import Metric

# The aggregator's own page, wherever it runs.
AGGREGATOR = Scope((("job", "tierwatch"),))
ALL_TARGETS = Scope()
COLLECTORS_SHOWN = 8
LOUD = "=~critical|warning"


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


def aggregator(view: View) -> list[Tile]:
    house = view.house
    open_files = ratio(pick(own.PROCESS_OPEN_FDS, ALL_TARGETS), pick(own.PROCESS_MAX_FDS, ALL_TARGETS))
    return [
        house.graph(
            "Aggregator memory",
            note(
                "Resident memory of the aggregator.",
                "It is built for 100 MiB and shares its node with Grafana.",
                "Dashed: AggregatorMemoryHigh. sudo systemctl restart tierwatch-aggregator, and report it.",
            ),
            [Query(pick(own.PROCESS_RESIDENT, AGGREGATOR), "resident")],
            "bytes",
            limit=limits.AGGREGATOR_MEMORY,
            by_node=False,
            width=8,
        ),
        house.graph(
            "Aggregator processor time",
            note(
                "Share of one core that the aggregator uses: all of it, rules, and the queries of dashboards.",
                "Late rules are late alerts.",
                "Near 100 %: fewer open dashboards, or a longer evaluation_interval.",
            ),
            [
                Query(rate(own.PROCESS_CPU, AGGREGATOR), "all"),
                Query(rate(names.RULE_SECONDS, AGGREGATOR), "rules"),
                Query(rate(names.QUERY_SECONDS, AGGREGATOR), "queries"),
            ],
            "percentunit",
            lines=3,
            by_node=False,
            width=8,
        ),
        house.graph(
            "Rules that failed or were late",
            note(
                "Evaluations of alert rules that failed, and those skipped for want of time.",
                "Anything but 0 means that some alerts are blind or late.",
                "journalctl -u tierwatch-aggregator | grep -i rule; top on the monitoring node.",
            ),
            [
                Query(increase(names.RULE_FAILURES, AGGREGATOR), "failed"),
                Query(increase(names.RULES_MISSED, AGGREGATOR), "skipped"),
            ],
            "short",
            lines=2,
            by_node=False,
            width=8,
        ),
        house.graph(
            "Dashboard queries",
            note(
                "Queries a second over HTTP, and those refused or not answered in time.",
                "Too many open dashboards slow down the board that watches.",
                "Refused or late: fewer open tabs, a longer refresh, a shorter time range.",
            ),
            [
                Query(rate(names.QUERIES, AGGREGATOR), "asked"),
                Query(rate(names.QUERIES_REFUSED, AGGREGATOR), "refused"),
                Query(rate(names.QUERY_TIMEOUTS, AGGREGATOR), "late"),
            ],
            "reqps",
            lines=3,
            by_node=False,
            width=8,
        ),
        house.graph(
            "Time of a query",
            note(
                "How long an HTTP query took on average, waiting included.",
                "A panel should be there in the blink of an eye.",
                "Above a second: a long range over many series, or a busy monitoring node.",
            ),
            [Query(ratio(rate(names.QUERY_SECONDS, AGGREGATOR), rate(names.QUERIES, AGGREGATOR)), "average")],
            "s",
            by_node=False,
            width=8,
        ),
        house.graph(
            "Open files",
            note(
                "Share of the open files that each watched program may have: exporters, aggregator, services.",
                "It refuses connections at 100 %: usually a leak.",
                "OpenFilesLow tells it at 85 %: restart it, then raise LimitNOFILE= in its unit.",
            ),
            [Query(top(10, open_files), "{{node}} {{job}}")],
            "percentunit",
            lines=10,
            by_node=False,
            width=8,
        ),
    ]


def storage(view: View) -> list[Tile]:
    house = view.house
    return [
        house.graph(
            "Size of the store",
            note(
                "The database file with its log.",
                "It stops growing when the retention or max_bytes of alerting.yaml is reached.",
                "Too large for the card: lower storage.retention or storage.max_bytes.",
            ),
            [Query(pick(names.STORED_BYTES, AGGREGATOR), "file")],
            "bytes",
            by_node=False,
            width=6,
        ),
        house.graph(
            "Series",
            note(
                "Series that the store knows.",
                "Memory follows it. A staircase is a label that never repeats (a container's id, a process).",
                "Find the page that grows among the pages above.",
            ),
            [Query(pick(names.STORED_SERIES, AGGREGATOR), "series")],
            "short",
            by_node=False,
            width=6,
        ),
        house.graph(
            "Written to the disk",
            note(
                "Bytes a second that the store writes.",
                "Flash wears by what is written; this is the price of watching.",
                "More than some 10 kB/s for seven boards is too much: report it.",
            ),
            [Query(rate(names.STORAGE_WRITTEN, AGGREGATOR), "written")],
            "Bps",
            by_node=False,
            width=6,
        ),
        house.graph(
            "Storage that failed",
            note(
                "Writes to the disk that failed, and frames lost because it refused too long.",
                "What is not written is lost in a power cut. Alerts still work from memory.",
                "df -h /var/lib/tierwatch; sudo dmesg | tail on the monitoring node.",
            ),
            [
                Query(increase(names.STORAGE_FAILURES, AGGREGATOR), "failed writes"),
                Query(increase(names.STORAGE_DROPPED, AGGREGATOR), "frames lost"),
            ],
            "short",
            lines=2,
            by_node=False,
            width=6,
        ),
    ]


def notifications(view: View) -> list[Tile]:
    house = view.house

    def over(metric: Metric) -> str:
        return by("receiver", "sum", increase(metric, AGGREGATOR))

    return [
        house.graph(
            "Notifications",
            note(
                "Messages put into the outbox and messages accepted, by receiver.",
                "They belong together: what is queued must be delivered.",
                "Queued without delivered: see the failures beside this graph.",
            ),
            [
                Query(over(names.NOTIFY_QUEUED), "{{receiver}} queued"),
                Query(over(names.NOTIFY_DELIVERED), "{{receiver}} delivered"),
            ],
            "short",
            lines=4,
            by_node=False,
            width=8,
        ),
        house.graph(
            "Deliveries that failed",
            note(
                "Attempts that failed and are repeated, and messages given up.",
                "The way to the phone is closed: a wrong URL, no internet, the service is down.",
                "journalctl -u tierwatch-aggregator | grep -i notif; check the receiver's URL and the internet.",
            ),
            [
                Query(over(names.NOTIFY_FAILURES), "{{receiver}} failed"),
                Query(over(names.NOTIFY_GIVEN_UP), "{{receiver}} given up"),
            ],
            "short",
            lines=4,
            by_node=False,
            width=8,
        ),
        house.graph(
            "Messages waiting",
            note(
                "Messages in the outbox, by receiver.",
                "They survive a restart and are tried again until they are delivered.",
                "Growing: nobody is told of anything. Check the internet and the receiver.",
            ),
            [Query(pick(names.NOTIFY_WAITING, AGGREGATOR), "{{receiver}}")],
            "short",
            lines=2,
            by_node=False,
            width=8,
        ),
    ]


def alerts(view: View) -> list[Tile]:
    house = view.house
    return [
        house.graph(
            "Alerts firing",
            note(
                "Alerts that fire, by severity.",
                "Shows how noisy the cluster is, and whether the alerts are worth reading.",
                "Many of one kind: fix the cause, or change its rule in config/rules.",
            ),
            [
                Query(
                    by("severity", "count", pick(names.ALERTS, ALL_TARGETS, alertstate="firing", severity="!=none")),
                    "{{severity}}",
                )
            ],
            "short",
            lines=3,
            stack=True,
            colours=look.SEVERITY,
            decimals=0,
        ),
        house.timeline(
            "Alert history",
            note(
                "Which warning or critical alert was pending or firing when, by node.",
                "What came together usually has one cause.",
                "Start with the alert that came first.",
            ),
            [
                Query(
                    by(
                        "alertname, node",
                        "max",
                        f"{pick(names.ALERTS, ALL_TARGETS, alertstate='firing', severity=LOUD)} * 2"
                        f" or {pick(names.ALERTS, ALL_TARGETS, alertstate='pending', severity=LOUD)}",
                    ),
                    "{{node}} {{alertname}}",
                )
            ],
            (look.State(1, "pending", look.YELLOW), look.State(2, "firing", look.RED)),
            rows=8,
        ),
        house.alert_list(
            "Alerts of the data sources",
            note(
                "Grafana's own list of alerts, with what each says and what to type.",
                "The words of the alert rules, without leaving Grafana.",
                "Empty though alerts fire: switch on Manage alerts in the data source's settings.",
            ),
            width=24,
            height=8,
        ),
    ]


def sections(view: View) -> list[Section]:
    return [
        Section("Scrapes and collectors", scrapes(view)),
        Section("Alerts and notifications", [*alerts(view), *notifications(view)]),
        Section("Storage", storage(view)),
        Section("Aggregator", aggregator(view), collapsed=True),
        Section("Exporters", exporters(view), collapsed=True),
    ]
