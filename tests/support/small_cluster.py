"""``cluster.yaml`` of a cluster that a test or a bench needs: only what it minds is said, the rest is usual."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from config.yamlfile import dump

_USUAL = {"address": "127.0.0.1", "tier": 1, "board": "generic", "memory": "8GiB", "disk": "1TB"}


def inventory(
    nodes: Mapping[str, Mapping[str, Any]],
    *,
    flows: Mapping[str, Any] | None = None,
    cidr: str = "127.0.0.0/8",
    router: str = "127.0.0.254",
) -> str:
    """Nodes by name, each with what differs from a plain one at 127.0.0.1 (its ``exporter_port``, its ``services``)."""
    described = {name: {**_USUAL, **node} for name, node in nodes.items()}
    network = {"cidr": cidr, "router": {"address": router}}
    whole = {"cluster": "test", "network": network, "tiers": {1: "Only"}, "nodes": described}
    return dump({**whole, "flows": dict(flows)} if flows else whole)


def one_node(services: Mapping[str, Mapping[str, Any]], *, port: int, flows: Mapping[str, Any] | None = None) -> str:
    """``ONE`` at 127.0.0.1, whose exporter listens on ``port``."""
    plain = {name: dict(service) for name, service in services.items()}
    return inventory({"ONE": {"exporter_port": port, "services": plain}}, flows=flows)


def flow(title: str, question: str, *steps: str) -> dict[str, Any]:
    return {"title": title, "question": question, "steps": list(steps)}
