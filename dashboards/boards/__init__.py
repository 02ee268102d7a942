"""One file a dashboard."""

from __future__ import annotations

from config.cluster import Cluster
from dashboards.board import Board
from dashboards.boards import node, overview, tier


def all_boards(cluster: Cluster) -> list[Board]:
    """Every dashboard of a cluster: the overview, each tier that has nodes, a node."""
    tiers = [tier.build(cluster, number) for number in sorted(cluster.tiers) if cluster.in_tier(number)]
    return [overview.build(cluster), *tiers, node.build(cluster)]
