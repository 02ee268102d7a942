"""The door of the cluster: requests, what stands behind the gateway, certificates, what is open to whom."""

from __future__ import annotations

from collections.abc import Collection

from dashboards import limits, look
from dashboards.board import Section, Tile, note
from dashboards.columns import Column
from dashboards.queries import Query, increase, pick, rate
from dashboards.view import View
from exporters.catalog import ports
from exporters.catalog import services as catalog

DAY = 86400
_TARGETS = {"healthy": look.GREEN, "unhealthy": look.RED, "dns_error": look.RED, "healthchecks_off": look.GREY}
_OPEN = {"undeclared": look.YELLOW, "public": look.RED, "declared, closed": look.YELLOW}


def requests(view: View) -> list[Tile]:
    house, scope, legend = view.house, view.exporters, view.name("service")
    count = view.services("nginx")
    dropped = f"{increase(catalog.NGINX_ACCEPTED, scope)} - {increase(catalog.NGINX_HANDLED, scope)}"
    return [
        house.graph(
            "Requests",
            note(
                "Requests a second that nginx took. Needs its status page: probe: {path: /nginx_status}.",
                "What people ask of the cluster.",
                "0 in the middle of the day: is the name still resolved, does the router still forward?",
            ),
            [Query(rate(catalog.NGINX_REQUESTS, scope), legend)],
            "reqps",
            lines=count,
            width=8,
        ),
        house.graph(
            "Connections of nginx",
            note(
                "Connections by what nginx does: waits for the next request, reads one, writes an answer.",
                "Writing that climbs while requests do not is a service behind it that is slow.",
                "See the time to answer of the services behind.",
            ),
            [
                Query(pick(catalog.NGINX_WAITING, scope), f"{legend} waiting"),
                Query(pick(catalog.NGINX_READING, scope), f"{legend} reading"),
                Query(pick(catalog.NGINX_WRITING, scope), f"{legend} writing"),
            ],
            "short",
            lines=3 * count,
            stack=True,
            by_node=False,
            width=8,
        ),
        house.graph(
            "Connections dropped",
            note(
                "Connections that nginx accepted and could not serve.",
                "Its worker_connections are used up: people get nothing at all.",
                "Raise worker_connections in nginx.conf; look who opens so many.",
            ),
            [Query(dropped, legend)],
            "short",
            lines=count,
            limit=limits.ANY_WARNING,
            width=8,
        ),
    ]


def targets(view: View) -> Tile:
    """What Kong says of the services behind it."""
    return view.house.table(
        "Behind Kong",
        note(
            "Each target of Kong's upstreams and what Kong's health checks say of it. Needs Kong's Admin API.",
            "An upstream without a healthy target answers 503 to everybody.",
            "curl the target; healthchecks_off: Kong does not look, so nobody knows.",
        ),
        [Query(f"{pick(catalog.KONG_TARGET_HEALTH, view.exporters)} == 1", "", table=True)],
        [
            *([] if view.single else [Column("node", "Node", width=90)]),
            Column("upstream", "Upstream"),
            Column("target", "Target"),
            Column("state", "State", width=140, words=_TARGETS),
        ],
        rows=4,
        width=14,
        sort="Upstream",
        descending=False,
        empty="Kong told of no upstream",
    )


def certificates(view: View, width: int = 10) -> Tile:
    left = f"({pick(catalog.CERTIFICATE_EXPIRY, view.exporters)} - time()) / {DAY}"
    return view.house.stat(
        "Days until certificates end",
        note(
            "Days until the certificate that each service shows is over.",
            "From then on browsers and programs refuse it.",
            "Yellow and red as CertificateEnds and CertificateEndsSoon: certbot renew, then reload the service.",
        ),
        [Query(left, view.name("service"))],
        "suffix: days",
        steps=[(look.RED, None), (look.YELLOW, limits.CERTIFICATE_CRITICAL), (look.GREEN, limits.CERTIFICATE_WARNING)],
        width=width,
        height=7,
        decimals=0,
        spark=False,
    )


def audit(view: View) -> list[Tile]:
    """Ports that are not as the inventory says."""
    house, scope = view.house, view.exporters

    def what(text: str, expr: str) -> str:
        return f'label_replace({expr}, "what", "{text}", "", "")'

    wrong = [
        what("public", f"{pick(ports.PUBLIC_LISTENER, scope, exposed='false')} == 1"),
        what("undeclared", f"{pick(ports.UNDECLARED_LISTENER, scope)} == 1"),
        what("declared, closed", f"{pick(ports.DECLARED_LISTENING, scope)} == 0"),
    ]
    return [
        house.table(
            "Ports not as the inventory says",
            note(
                "TCP ports that listen and are not named, are open at a public address, or are named and closed.",
                "What nobody knows of, nobody keeps up to date.",
                "sudo ss -ltnp on the node says which program it is; stop it, or name it in cluster.yaml.",
            ),
            [Query(" or ".join(wrong), "", table=True)],
            [
                *([] if view.single else [Column("node", "Node", width=90)]),
                Column("port", "Port", width=80),
                Column("what", "What", words=_OPEN),
                Column("service", "Service"),
            ],
            rows=5,
            width=12,
            sort="Port" if view.single else "Node",
            descending=False,
            empty="all as it says, or not audited",
        ),
        house.graph(
            "Connections from outside",
            note(
                "Connections to listening ports from addresses of the public Internet at this moment.",
                "Only what cluster.yaml exposes should have any.",
                "Another port: the alert ReachedFromOutside. Close it in the router, look at the node's log.",
            ),
            [Query(pick(ports.OUTSIDE_CONNECTIONS, scope), view.name("port"))],
            "short",
            lines=4,
            by_node=False,
            width=12,
        ),
    ]


def section(view: View, kinds: Collection[str]) -> Section:
    tiles = requests(view) if "nginx" in kinds else []
    if "kong" in kinds:
        tiles.append(targets(view))
    return Section("Gateway", [*tiles, certificates(view)])


def section_audit(view: View, *, collapsed: bool = True) -> Section:
    return Section("Open ports", audit(view), collapsed=collapsed)
