"""The shipped inventory is the owner's cluster, fact by fact, as the network topology diagram draws it."""

from __future__ import annotations

import pytest

from alerting.dispatch.inhibit import build, inhibited
from alerting.model.labels import Labels
from alerting.model.matcher import Matcher
from alerting.scrape.targets import NODE_PATIENCE_S
from config.cluster import Step
from config.load import Config, load
from config.matchers import parse_matcher
from tests.config.support import SHIPPED

# node: address, tier, board, memory, disk, CUDA cores, services with kind and ports
NODES = {
    "PI51": (
        "192.168.1.147", 1, "raspberry-pi-5", 8 * 2**30, 10**12, 0,
        {"nginx": ("nginx", (80, 443)), "kong": ("kong", (8000, 8001, 8100, 8443)),
         "prometheus": ("prometheus", (9090,)), "grafana": ("grafana", (3000,)), "redis": ("redis", (6379,))},
    ),
    "AGX0": (
        "192.168.1.154", 2, "jetson-agx-orin-64gb", 64 * 2**30, 2 * 10**12, 2048,
        {"ollama": ("ollama", (11434,))},
    ),
    "ORIN0": (
        "192.168.1.157", 2, "jetson-orin-nano-8gb", 8 * 2**30, 10**12, 1024,
        {"comfyui": ("comfyui", (7860,)), "ollama": ("ollama", (11435,)),
         "sonarqube": ("sonarqube", (9000,)), "jupyterhub": ("jupyterhub", (8000,))},
    ),
    "PI52": (
        "192.168.1.247", 3, "raspberry-pi-5", 8 * 2**30, 10**12, 0,
        {"postgresql": ("postgresql", (5432,)), "redis": ("redis", (6379,)), "minio": ("minio", (9000,))},
    ),
    "PI41": (
        "192.168.1.204", 4, "raspberry-pi-4", 2 * 2**30, 10**12, 0,
        {"tierwatch": ("tierwatch", (9190,)), "grafana": ("grafana", (3000,)), "logs": ("log-collection", ())},
    ),
    "NANO": (
        "192.168.1.159", 5, "jetson-nano-2gb", 2 * 2**30, 116 * 10**9, 128,
        {"models": ("edge-models", ()), "cache": ("edge-cache", ()), "fallback": ("offline-fallback", ()),
         "processing": ("edge-processing", ())},
    ),
    "PI31": (
        "192.168.1.234", 5, "raspberry-pi-3", 2**30, 32 * 10**9, 0,
        {"configuration": ("configuration-management", ()), "backup": ("backup-coordination", ()),
         "network": ("network-utilities", ())},
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def shipped() -> Config:
    return load(SHIPPED, {})


@pytest.mark.parametrize("name", NODES)
def test_node(shipped: Config, name: str) -> None:
    node = shipped.cluster.nodes[name]
    services = {label: (service.kind, service.all_ports()) for label, service in node.services.items()}
    found = (node.address, node.tier, node.board, node.memory, node.disk, node.cuda_cores, services)
    assert found == NODES[name]
    assert node.exporter_port == 9191


def test_seven_nodes_and_no_other_device(shipped: Config) -> None:
    """Twenty other devices share the network; they are not watched."""
    assert list(shipped.cluster.nodes) == list(NODES)


def test_tiers(shipped: Config) -> None:
    assert shipped.cluster.tiers == {
        1: "API gateway",
        2: "AI processing",
        3: "Data layer",
        4: "Monitoring",
        5: "Edge and utility",
    }
    assert [list(shipped.cluster.in_tier(tier)) for tier in shipped.cluster.tiers] == [
        ["PI51"], ["AGX0", "ORIN0"], ["PI52"], ["PI41"], ["NANO", "PI31"],
    ]  # fmt: skip


def test_network_and_router(shipped: Config) -> None:
    network = shipped.cluster.network
    assert network.cidr == "192.168.1.0/24"
    assert network.router.address == "192.168.1.1"
    assert network.router.kind == "openwrt"
    assert network.router.roles == ("gateway", "dhcp", "dns")


def test_models(shipped: Config) -> None:
    service = shipped.cluster.service("AGX0/ollama")
    assert service is not None
    assert service.expect is not None
    assert service.expect.models == 18
    assert service.expect.present == ("llama3.2", "codellama", "gpt-oss", "mistral-small")


@pytest.mark.parametrize(
    ("reference", "stores"),
    [
        ("PI52/postgresql", {"users", "conversations", "messages", "code snippets", "API usage", "system metrics"}),
        ("PI52/redis", {"sessions", "API responses", "rate limits", "temporary data"}),
        ("PI52/minio", {"images", "models", "backups"}),
    ],
)
def test_what_is_stored_where(shipped: Config, reference: str, stores: set[str]) -> None:
    service = shipped.cluster.service(reference)
    assert service is not None
    assert set(service.stores) == stores


def test_only_pi51_is_exposed(shipped: Config) -> None:
    exposed = shipped.cluster.exposed
    assert exposed is not None
    assert exposed.node == "PI51"
    assert exposed.ports == {80: "PI51/kong", 443: "PI51/kong", 3000: "PI51/grafana"}


def test_internal_ports(shipped: Config) -> None:
    ports = {
        "AGX0/ollama": 11434, "ORIN0/ollama": 11435, "ORIN0/comfyui": 7860, "PI52/postgresql": 5432,
        "PI52/redis": 6379, "PI52/minio": 9000, "PI41/grafana": 3000,
    }  # fmt: skip
    for reference, port in ports.items():
        service = shipped.cluster.service(reference)
        assert service is not None
        assert service.port == port


def test_flows(shipped: Config) -> None:
    flows = shipped.cluster.flows
    assert {name: flow.title for name, flow in flows.items()} == {
        "chat": "Chat", "images": "Image generation", "code": "Code analysis", "monitoring": "Monitoring",
    }  # fmt: skip
    assert flows["images"].steps == ("PI51/nginx", "PI51/kong", "ORIN0/comfyui", "PI52/minio")
    assert flows["code"].steps == ("PI51/nginx", "PI51/kong", "AGX0/ollama", "ORIN0/sonarqube")
    assert flows["monitoring"].steps == (Step(every="node"), "PI41/tierwatch", "PI41/grafana")


def test_the_chat_split(shipped: Config) -> None:
    *way, split = shipped.cluster.flows["chat"].steps
    assert way == ["PI51/nginx", "PI51/kong"]
    assert isinstance(split, Step)
    assert split.failover
    assert [(branch.percent, branch.steps) for branch in split.split] == [
        (80, ("AGX0/ollama", "PI52/postgresql")),
        (20, ("ORIN0/ollama", "PI52/redis")),
    ]


def test_the_hub_is_pi41(shipped: Config) -> None:
    assert shipped.cluster.hub() == "PI41"


def test_alerting_tells_within_seconds(shipped: Config) -> None:
    """A dead node must reach the phone within 20 s, also one without events: a scrape, its patience, an evaluation."""
    alerting = shipped.alerting
    wait = alerting.route.group_wait or 0.0
    timing = alerting.timing
    assert timing.scrape_interval + timing.scrape_timeout + NODE_PATIENCE_S + wait <= 20
    assert alerting.route.receiver == "phone"
    assert shipped.urls == {"phone": (), "page-only": ()}


def muted(*alerts: dict[str, str]) -> list[bool]:
    """Which of these alerts, all firing, are not told because another explains them."""
    labels = {str(place): Labels.of(alert) for place, alert in enumerate(alerts)}
    found = inhibited(build(load(SHIPPED, {}).alerting.inhibit_rules), labels, labels)
    return [place in found for place in labels]


def test_what_explains_what() -> None:
    """One cause, one message."""
    cluster = {"alertname": "ClusterUnreachable", "severity": "critical", "subject": "cluster"}
    down = {"alertname": "NodeDown", "node": "AGX0", "severity": "critical", "subject": "node"}
    hot = {"alertname": "JetsonHot", "node": "AGX0", "severity": "warning", "subject": "temperature"}
    hotter = {**hot, "alertname": "JetsonOverheating", "severity": "critical"}
    elsewhere = {**hot, "node": "ORIN0"}
    hub_down = {**down, "node": "PI41"}
    ours = {"alertname": "RulesFailing", "node": "PI41", "severity": "warning", "job": "tierwatch", "subject": "rules"}
    full = {
        "alertname": "FilesystemFull", "node": "PI41", "severity": "critical", "subject": "disk-space",
        "device": "/dev/sda1", "mountpoint": "/",
    }  # fmt: skip
    almost = {**full, "alertname": "FilesystemAlmostFull", "severity": "warning"}
    another = {**almost, "mountpoint": "/data", "device": "/dev/sdb1"}
    assert muted(down, hot, elsewhere) == [False, True, False]
    assert muted(cluster, down, hot) == [False, True, True]
    assert muted(hotter, hot, elsewhere) == [False, True, False]
    assert muted(hub_down, ours) == [False, False]
    assert muted(full, almost, another) == [False, True, False]
    assert muted(ours, elsewhere) == [False, False]


def of(alertname: str, subject: str, severity: str = "warning", **more: str) -> dict[str, str]:
    return {"alertname": alertname, "node": "PI52", "severity": severity, "subject": subject, **more}


REDIS = {"service": "redis"}
SERVICE_DOWN = of("ServiceDown", "service", "critical", kind="redis", **REDIS)
DEGRADED = of("ServiceDegraded", "service-degraded", kind="redis", **REDIS)
CLOSED = of("DeclaredPortClosed", "closed-port", port="6379", **REDIS)
DIED, STOPPED = (
    of(name, "container", "critical", name="cache", **REDIS) for name in ("ContainerDied", "ContainerDown")
)
UNHEALTHY = of("ContainerUnhealthy", "container", name="cache", **REDIS)
UNIT_FAILED, UNIT_DOWN = (
    of(name, "unit", "critical", name="redis.service", **REDIS) for name in ("UnitFailed", "UnitDown")
)
READ_ONLY = of("FilesystemReadOnly", "disk-health", "critical", mountpoint="/", device="/dev/mmcblk0p2")


@pytest.mark.parametrize(
    ("told", "not_told"),
    [
        (DIED, SERVICE_DOWN),
        (STOPPED, SERVICE_DOWN),
        (STOPPED, CLOSED),
        (UNIT_FAILED, SERVICE_DOWN),
        (UNIT_FAILED, of("UnitOomKilled", "unit-oom", name="redis.service")),
        (UNIT_DOWN, of("UnitRestartLoop", "unit-restarts", name="redis.service")),
        (STOPPED, of("ContainerRestartLoop", "container", name="cache")),
        (SERVICE_DOWN, UNIT_DOWN),
        (SERVICE_DOWN, UNHEALTHY),
        (UNHEALTHY, DEGRADED),
        (of("DockerUnreachable", "docker", "critical"), of("OtherUnitFailed", "unit", name="docker.service")),
        (of("ContainerOomKilled", "container-oom", name="cache"), of("OutOfMemoryKill", "oom")),
        (of("MemoryExhausted", "memory", "critical"), of("SwapThrashing", "swap")),
        (of("FilesystemError", "filesystem", "critical"), of("StorageErrors", "storage-errors")),
        (READ_ONLY, of("TaskHung", "hung-task")),
        (of("FanStopped", "fan", fan="pwmfan"), of("PiHot", "temperature")),
        (of("PiHot", "temperature"), of("PiThrottled", "throttled")),
        (of("JetsonOverheating", "temperature", "critical"), of("JetsonGpuHot", "gpu-temperature")),
        (of("PiUnderVoltage", "supply"), of("PiThrottled", "throttled")),
        (of("CpuOverloaded", "cpu"), of("CpuStarved", "cpu-wait")),
        (of("RouterDown", "router", "critical", kind="router"), of("WanDown", "wan", kind="wan")),
    ],
    ids=lambda alert: alert["alertname"],
)
def test_one_cause_is_one_message(told: dict[str, str], not_told: dict[str, str]) -> None:
    assert muted(told, not_told) == [False, True]
    if told["alertname"] != "RouterDown":
        assert muted(told, {**not_told, "node": "PI31"}) == [False, False]
    if "service" in told and "service" in not_told and told["service"] == not_told["service"]:
        assert muted(told, {**not_told, "service": "minio"}) == [False, False]


def test_the_worse_is_told_all_the_same() -> None:
    fan = of("FanStopped", "fan", fan="pwmfan")
    melting = of("PiOverheating", "temperature", "critical")
    unit = of("OtherUnitFailed", "unit", name="backup.service")
    assert muted(fan, melting) == [False, False]
    assert muted(of("DockerUnreachable", "docker", "critical"), unit) == [False, False]


@pytest.mark.parametrize(
    ("severity", "receiver"),
    [("critical", "phone"), ("warning", "phone"), ("info", "page-only"), ("none", "page-only")],
)
def test_who_is_told(severity: str, receiver: str) -> None:
    route = load(SHIPPED, {}).alerting.route
    taken = [
        child
        for child in route.routes
        if all(Matcher(*parse_matcher(text)).matches(severity) for text in child.matchers)
    ]
    assert (taken[0].receiver if taken else route.receiver) == receiver
