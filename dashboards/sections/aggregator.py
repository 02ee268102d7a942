"""The aggregator as a program: its cost, its rules and queries, its store."""

from __future__ import annotations

from dashboards import limits, names
from dashboards.board import Tile, note
from dashboards.queries import Query, Scope, increase, pick, rate, ratio, top
from dashboards.view import View
from exporters.catalog import own

# The aggregator's own page, wherever it runs.
AGGREGATOR = Scope((("job", "tierwatch"),))
ALL_TARGETS = Scope()


def program(view: View) -> list[Tile]:
    return [*_cost(view), *_queries(view), _open_files(view)]


def _cost(view: View) -> list[Tile]:
    house = view.house
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
    ]


def _queries(view: View) -> list[Tile]:
    house = view.house
    return [
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
    ]


def _open_files(view: View) -> Tile:
    open_files = ratio(pick(own.PROCESS_OPEN_FDS, ALL_TARGETS), pick(own.PROCESS_MAX_FDS, ALL_TARGETS))
    return view.house.graph(
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
    )


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
