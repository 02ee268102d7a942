"""The table of probes: kind of service -> what makes its probe, and how often it asks. Nothing registers itself."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from exporters.probes.probe import Probe
from exporters.wanted import WantedProbe


@dataclass(frozen=True, slots=True)
class Entry:
    """``target``: ``module:Class`` in this package. Times in seconds. ``grace``: how long the service may be away
    before it is called down, for what takes long to start."""

    target: str
    interval: float = 5.0
    timeout: float = 2.5
    grace: float = 0.0


_FILES: Final = Entry("files:Files", interval=60.0, timeout=10.0)

TABLE: Mapping[str, Entry] = {
    "backup-coordination": _FILES,
    "comfyui": Entry("comfyui:ComfyUi", timeout=5.0, grace=30.0),
    "configuration-management": _FILES,
    "dns": Entry("dns:Dns"),
    "files": _FILES,
    "grafana": Entry("grafana:Grafana"),
    "http": Entry("http:Http"),
    "jupyterhub": Entry("jupyterhub:JupyterHub", grace=15.0),
    "kong": Entry("kong:Kong"),
    "minio": Entry("minio:Minio"),
    "network-utilities": Entry("ping:Presence", interval=30.0, timeout=5.0),
    "nginx": Entry("nginx:Nginx"),
    "ollama": Entry("ollama:Ollama"),
    "ping": Entry("ping:Ping", interval=10.0, timeout=4.0),
    "postgresql": Entry("postgresql:PostgreSql"),
    "prometheus": Entry("prometheus:Prometheus"),
    "redis": Entry("redis:Redis"),
    "router": Entry("ping:Router", interval=5.0, timeout=4.0),
    "sonarqube": Entry("sonarqube:SonarQube", grace=120.0),
    "tcp": Entry("tcp:Tcp"),
    "tierwatch": Entry("http:Ready"),
    "tls": Entry("tcp:Tcp", interval=300.0),
    "wan": Entry("ping:Ping", interval=10.0, timeout=4.0),
}


def entry_of(wanted: WantedProbe) -> Entry:
    """The entry of its kind; services of other kinds are asked by what the inventory says of them."""
    if wanted.kind in TABLE:
        return TABLE[wanted.kind]
    if wanted.files:
        return TABLE["files"]
    return TABLE["http" if wanted.path else "tcp"]


def make(wanted: WantedProbe) -> Probe:
    """Only the modules of protocols that are wanted are loaded."""
    module, _, name = entry_of(wanted).target.partition(":")
    made: Probe = getattr(importlib.import_module(f"exporters.probes.{module}"), name)(wanted)
    return made
