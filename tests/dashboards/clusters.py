"""Other clusters than the shipped one, so that nothing is true by accident."""

from __future__ import annotations

from typing import cast

from config.cluster import Board, Cluster, Flow, Metrics, Network, Node, Router, Service, Step

GIBI = 1024**3


def node(tier: int, board: str, **services: Service) -> Node:
    return Node(
        address=f"10.0.0.{tier}",
        tier=tier,
        board=cast(Board, board),
        memory=4 * GIBI,
        disk=32 * GIBI,
        services=dict(services),
    )


def cluster(
    nodes: dict[str, Node], tiers: dict[int, str], flows: dict[str, Flow] | None = None, router: Router | None = None
) -> Cluster:
    network = Network(cidr="10.0.0.0/24", router=router or Router(address="10.0.0.254"))
    return Cluster(cluster="other", network=network, tiers=tiers, nodes=nodes, flows=flows or {})


LONELY = cluster({"SOLO": node(1, "generic")}, {1: "Everything"})
ONE_PI_HUB = cluster(
    {"HUB": node(3, "raspberry-pi-5", watch=Service(kind="tierwatch", port=9190, metrics=Metrics()))},
    {3: "Home", 7: "Nobody yet"},
    router=Router(address="10.0.0.254", kind="openwrt", metrics=Metrics(port=9100)),
)
NO_JETSON = cluster(
    {
        "web-1": node(1, "raspberry-pi-4", nginx=Service(kind="nginx", port=80)),
        "db_1": node(2, "raspberry-pi-5", pg=Service(kind="postgresql", port=5432)),
        "hub": node(9, "raspberry-pi-3", watch=Service(kind="tierwatch", port=9190)),
    },
    {1: 'Front "door"', 2: "Data", 9: "Watch $tower"},
    {"site": Flow(title='The $1 "site"', steps=("web-1/nginx", "db_1/pg", Step(every="node")))},
)
ALL_JETSON = cluster(
    {f"J{number}": node(1 + number % 2, "jetson-agx-orin-64gb") for number in range(12)}, {1: "Odd", 2: "Even"}
)
OTHERS = {"lonely": LONELY, "one-pi-hub": ONE_PI_HUB, "no-jetson": NO_JETSON, "all-jetson": ALL_JETSON}
