"""What the exporters of the shipped cluster tell beside their hosts: services, asked by the real probes of servers that
speak their protocols; files, hosts, units, ports and the kernel's log of an owner who has set up everything."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import Any

from config.cluster import Cluster, Service
from exporters.catalog import board, containers, kernel_log, own, ports, storage
from exporters.catalog import services as catalog
from exporters.collector import Family
from exporters.collectors.events import EventCounts
from exporters.collectors.services import tell
from exporters.collectors.shape import single
from exporters.collectors.systemd import read_units
from exporters.events import Events
from exporters.probes import dns, ping
from exporters.probes.icmp import Echoes
from exporters.probes.service import pace_of
from exporters.probes.table import make
from exporters.probes.verdict import Figures, Reason, State, Verdict
from exporters.probes.watch import Result, Watch, outcome
from exporters.sources.kernel_log import EVENTS
from exporters.sources.systemd import Details, Reading, Unit
from exporters.wanted import WantedProbe
from tests.exporters.probes.servers import (
    READY,
    Exchange,
    Page,
    PgSpeaker,
    RedisSpeaker,
    Web,
    page,
    recorded,
    recorded_info,
    rows,
    running,
)
from tests.exporters.probes.support import LONG

HOUR = 3600.0
_MODELS = [*(f"model-{number}:latest" for number in range(14)), "llama3.2:3b", "codellama:7b", "gpt-oss:20b"]
_PG = (
    rows(("0", "0", "1795330000.5", "100", "3", "0"))
    + rows(("active", "6", "1.5"), ("idle", "21", None), ("idle in transaction", "2", "340"))
    + rows(
        ("16384", "app", "7", "100200", "230", "30000", "4000000", "2", "120000000", "12345"),
        ("16385", "usage", "3", "80200", "20", "900", "700000", "1", "1000000", "12345"),
    )
    + rows(("standby", "streaming", "65536"))
    + rows(("standby", "1"))
    + READY
)
_KONG = {
    "/status/ready": page({"message": "ready"}),
    "/upstreams": page({"data": [{"name": "chat"}, {"name": "images"}]}),
    "/upstreams/chat/health": page(
        {
            "data": [
                {"target": "192.168.1.154:11434", "health": "HEALTHY"},
                {"target": "192.168.1.157:11435", "health": "UNHEALTHY"},
            ]
        }
    ),
    "/upstreams/images/health": page({"data": [{"target": "192.168.1.157:7860", "health": "HEALTHCHECKS_OFF"}]}),
}
_OLLAMA = {
    "/api/version": recorded("ollama_api_version.json"),
    "/api/ps": page(
        {
            "models": [
                {"name": "llama3.2:latest", "size": 6_100_000_000, "size_vram": 6_100_000_000},
                {"name": "gpt-oss:20b", "size": 15_000_000_000, "size_vram": 11_250_000_000},
            ]
        }
    ),
    "/api/tags": page({"models": [{"name": name} for name in _MODELS]}),
}
_COMFY = {
    "/prompt": page({"exec_info": {"queue_remaining": 3}}),
    "/system_stats": recorded("comfyui_system_stats_cuda_idle.json"),
    "/queue": page({"queue_running": [[5, "a-b-c", {}, {}, []]], "queue_pending": []}),
}
# Kind of service -> a server that speaks as it does, and what its probe is told beside the port.
_SERVERS: dict[str, tuple[Callable[[], Exchange], dict[str, Any]]] = {
    "nginx": (Web({"/s": recorded("nginx_stub_status.txt")}), {"path": "/s"}),
    "kong": (Web(_KONG), {}),
    "prometheus": (Web({"/-/ready": Page("who are you?", 401)}), {}),
    "grafana": (Web({"/api/health": recorded("grafana_api_health.json")}), {}),
    "redis": (RedisSpeaker(recorded_info(maxmemory="1600000", keyspace_hits="90000", keyspace_misses="9000")), {}),
    "postgresql": (PgSpeaker(statistics=_PG), {"user": "monitor"}),
    "minio": (
        Web({"/minio/health/live": Page(), "/minio/health/cluster": Page("", x_minio_healing_drives="1")}),
        {},
    ),
    "ollama": (Web(_OLLAMA), {"gpu": True}),
    "comfyui": (Web(_COMFY), {}),
    "sonarqube": (Web({"/api/system/status": recorded("sonarqube_system_status.json")}), {}),
    "jupyterhub": (Web({"/hub/api": page({"version": "6.1.1"})}), {}),
    "tierwatch": (Web({"/-/ready": Page("ready")}), {}),
}


async def services(cluster: Cluster, name: str, now: float) -> Sequence[Family]:
    """Every service of a node that has a probe; the hub's router too."""
    node = cluster.nodes[name]
    watches = []
    for key, service in node.services.items():
        verdict = await _asked(key, service, now) if service.kind in _SERVERS else _files(key, service, now)
        if verdict is not None:
            watches.append(_watched(WantedProbe(key, str(service.kind), ("127.0.0.1",)), verdict))
    if name == cluster.hub():
        watches.append(_watched(WantedProbe("router", "router", ("127.0.0.1",)), _router()))
    return tell(watches, 101.0, lambda: now) if watches else []


def _watched(wanted: WantedProbe, verdict: Verdict) -> Watch:
    watch = Watch(make(wanted), pace_of(wanted), lambda: None)
    watch.result = Result(verdict, 100.0, 0.004 if wanted.kind != "ollama" else 0.031, 700, 3)
    return watch


async def _asked(key: str, service: Service, now: float) -> Verdict:
    speaker, more = _SERVERS[service.kind]
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(running(speaker))
        expect = service.expect
        wanted = WantedProbe(
            service=key,
            kind=str(service.kind),
            addresses=("127.0.0.1",),
            port=server.port,
            ports={"admin": server.port},
            models=expect.models if expect else None,
            present=tuple(expect.present) if expect else (),
            **more,
        )
        probe = make(wanted)
        verdict = await outcome(probe, LONG)
        probe.close()
    assert verdict.state in (State.UP, State.DEGRADED), (key, verdict)
    figures = Figures(key)
    if service.kind == "nginx":
        figures.add(catalog.CERTIFICATE_EXPIRY, now + 61 * 24 * HOUR)
    elif service.kind == "ollama":  # from its log, not from its probe
        figures.add(catalog.OLLAMA_REQUESTS, 41_000, "200")
        figures.add(catalog.OLLAMA_REQUESTS, 12, "503")
    return replace(verdict, rows={**verdict.rows, **figures.rows})


def _files(key: str, service: Service, now: float) -> Verdict | None:
    """What runs leave behind, and who answers."""
    figures = Figures(key)
    if service.kind == "backup-coordination":
        for pattern, age, size in (("/srv/backup/pg-*.dump.gz", 9.5, 8.1e8), ("/srv/backup/minio-*.tar", 31.0, 4.2e10)):
            figures.add(catalog.BACKUP_TIME, now - age * HOUR, pattern)
            figures.add(catalog.BACKUP_SIZE, size, pattern)
    elif service.kind == "configuration-management":
        figures.add(catalog.RUN_TIME, now - 0.4 * HOUR, "/var/lib/ansible-last-run")
        figures.add(catalog.DRIFT_ITEMS, 2)
    elif service.kind == "network-utilities":
        for number, host in enumerate(("printer", "tv", "nas", "camera-door", "camera-yard", "laptop", "tablet")):
            figures.add(catalog.HOST_PRESENT, float(number % 3 != 1), host)
    else:
        return None
    return Verdict(State.UP, None, figures.rows)


def _router() -> Verdict:
    figures = Figures("router")
    ping.tell({"192.168.1.1": Echoes(5, (0.0006,) * 5), "9.9.9.9": Echoes(5, (0.0123,) * 3)}, figures)
    dns.tell(dns.Answer(0, 1, 0.0041), figures)
    return Verdict(State.DEGRADED, Reason.LOSS, figures.rows)


def host(cluster: Cluster, name: str, now: float) -> list[Family]:
    """Units, ports, the kernel's log, events, the wear of a card."""
    found = [
        *_units(next(iter(cluster.nodes[name].services)), now),
        *_ports(name),
        *_kernel(),
        *_wear(),
        *EventCounts(Events()).collect(),
    ]
    # What the recorded container did not do.
    disk = (("web", "app:1", "8:0"), 9.0e6)
    found += [Family(containers.FS_READ_BYTES, [disk]), Family(containers.FS_WRITTEN_BYTES, [disk])]
    if cluster.nodes[name].board.startswith("jetson"):
        found.append(single(board.JETSON_JTOP_RESTARTS, 0.0))
    return [*found, single(own.TEXTFILE_ERROR, 0.0)]


def _units(service: str, now: float) -> Sequence[Family]:
    started = now - 70 * HOUR

    def unit(state: str, result: str, restarts: int, memory: int) -> Unit:
        name, active, sub = state.split()
        details = Details("notify", result, restarts, memory, 4, 512, started)
        return Unit(f"{name}.service", "loaded", active, sub, details=details)

    units = (
        unit("ssh active running", "success", 0, 6_500_000),
        unit("work active running", "success", 4, 210_000_000),
        unit("mailer activating auto-restart", "exit-code", 71, 12_000_000),
        unit("old failed failed", "oom-kill", 5, 0),
    )
    timers = tuple(
        Unit(name, "loaded", "active", "waiting", details=Details(triggered=now - age * HOUR))
        for name, age in (("apt-daily.timer", 7.2), ("backup.timer", 9.5), ("fstrim.timer", 100.0))
    )
    reading = Reading(at=0.0, units=units, timers=timers, running="degraded", failed=1, version="252.38", source="bus")
    return read_units(reading, {"work.service": [service]})


def _ports(name: str) -> list[Family]:
    odd = "8081" if name in ("PI51", "NANO") else "5353"
    return [
        Family(ports.DECLARED_LISTENING, [(("web", "80"), 1.0), (("web", "8443"), 0.0)]),
        Family(ports.UNDECLARED_LISTENER, [((odd,), 1.0)]),
        single(ports.UNDECLARED_LISTENERS, 1.0),
        Family(ports.PUBLIC_LISTENER, [(("443", "true"), 1.0)]),
        Family(ports.OUTSIDE_CONNECTIONS, [(("443", "true"), 12.0)]),
    ]


def _kernel() -> list[Family]:
    counts = [((event,), 0.0) for event in EVENTS]  # any growth is an alert
    return [Family(kernel_log.KERNEL_EVENTS, counts), single(kernel_log.KERNEL_LOST, 0.0)]


def _wear() -> list[Family]:
    return [
        Family(storage.MMC_LIFE_USED, [(("mmcblk0", "a"), 0.3), (("mmcblk0", "b"), 0.6)]),
        Family(storage.MMC_RESERVE, [(("mmcblk0",), 1.0)]),
    ]
