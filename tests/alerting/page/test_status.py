from __future__ import annotations

from pathlib import Path
from typing import Any

from alerting.model.alert import Alert
from alerting.model.labels import Labels
from alerting.page.services import Seen, by_service
from alerting.page.status import JournalEntry, Known, TargetHealth, build_status
from alerting.page.vitals import NO_FIGURES, Figures
from config.load import load_cluster

CLUSTER = load_cluster(Path(__file__).parents[3] / "config")
NOW = 1_700_000_000_000


def alert(name: str, node: str, severity: str = "critical", **annotations: str) -> Alert:
    labels = Labels.of({"alertname": name, "node": node, "severity": severity})
    return Alert(labels, annotations, "firing", 1.0, NOW - 60_000, NOW - 55_000)


def all_up(**other: TargetHealth) -> list[TargetHealth]:
    targets = {name: TargetHealth(name, "", "up", since_ms=NOW - 1000) for name in CLUSTER.nodes}
    return list({**targets, **other}.values())


def status(
    targets: list[TargetHealth], alerts: list[Alert] | None = None, hidden: dict[str, str] | None = None, **changes: Any
) -> dict[str, Any]:
    facts: dict[str, Any] = {"figures": NO_FIGURES, "journal": [], "notes": [], **changes}
    return build_status(Known(CLUSTER, targets, alerts or [], hidden=hidden or {}, **facts), NOW)


def node(page: dict[str, Any], name: str) -> dict[str, Any]:
    found: dict[str, Any] = next(n for tier in page["tiers"] for n in tier["nodes"] if n["name"] == name)
    return found


def flow(page: dict[str, Any], name: str) -> dict[str, Any]:
    found: dict[str, Any] = next(f for f in page["flows"] if f["name"] == name)
    return found


def test_everything_up_is_fine_and_every_node_stands_in_its_tier() -> None:
    page = status(all_up())
    assert page["verdict"] == {"state": "ok", "text": "Everything is fine: all 7 nodes answer"}
    assert [(tier["tier"], [n["name"] for n in tier["nodes"]]) for tier in page["tiers"]] == [
        (1, ["PI51"]),
        (2, ["AGX0", "ORIN0"]),
        (3, ["PI52"]),
        (4, ["PI41"]),
        (5, ["NANO", "PI31"]),
    ]
    assert {f["state"] for f in page["flows"]} == {"ok"}


def test_before_anything_was_asked_everything_is_unknown_not_fine() -> None:
    page = status([])
    assert page["verdict"]["state"] == "unknown"
    assert "PI51" in page["verdict"]["text"]
    assert {n["state"] for tier in page["tiers"] for n in tier["nodes"]} == {"unknown"}
    assert {f["state"] for f in page["flows"]} == {"unknown"}


def test_a_node_that_is_down_shows_why_and_what_it_means_for_people() -> None:
    down = TargetHealth("AGX0", "", "down", "connection refused", NOW - 5000)
    page = status(all_up(AGX0=down), [alert("NodeDown", "AGX0", summary="AGX0 is down")])
    assert page["verdict"] == {"state": "critical", "text": "AGX0 is down"}
    assert node(page, "AGX0")["reason"] == "connection refused"
    assert flow(page, "chat")["state"] == "degraded"
    assert "80 %" in flow(page, "chat")["text"]
    assert flow(page, "code")["state"] == "broken"
    assert flow(page, "images")["state"] == "ok"


def test_the_services_of_a_node_that_is_down_are_unknown() -> None:
    page = status(all_up(AGX0=TargetHealth("AGX0", "", "down")))
    assert [service["state"] for service in node(page, "AGX0")["services"]] == ["unknown"]


def test_a_service_that_nothing_watches_says_so() -> None:
    page = status([*all_up(), TargetHealth("PI51", "grafana", "down", "refused")])
    states = {service["name"]: service["state"] for service in node(page, "PI51")["services"]}
    assert states["kong"] == "unwatched"
    assert states["grafana"] == "down"


def test_a_service_is_what_the_worst_of_those_who_look_says() -> None:
    said = {
        ("PI51", "kong"): [Seen("up", "its container kong runs")],
        ("PI51", "nginx"): [Seen("up", "its container nginx runs"), Seen("down", "its check says down")],
        ("PI51", "grafana"): [Seen("down", "its container grafana is down")],
        ("PI51", "redis"): [Seen("unknown", "its check says unknown"), Seen("degraded", "its check says degraded")],
    }
    page = status([*all_up(), TargetHealth("PI51", "grafana", "up")], figures=Figures({}, {}, {}, said))
    found = {service["name"]: (service["state"], service["help"]) for service in node(page, "PI51")["services"]}
    assert found == {
        "kong": ("up", "its container kong runs"),
        "nginx": ("down", "its check says down"),
        "grafana": ("down", "its container grafana is down"),
        "redis": ("degraded", "its check says degraded"),
        "prometheus": ("unwatched", "nothing watches this service itself, only its node"),
    }
    assert flow(page, "chat") == {**flow(page, "chat"), "state": "broken", "text": "cut at PI51/nginx"}


def test_what_exporters_answer_about_services() -> None:
    def series(value: float, **labels: str) -> tuple[Labels, float]:
        return Labels.of({"node": "PI52", "service": "redis", **labels}), value

    probes = [series(1, state="degraded"), series(1, state="on fire")]
    containers = [series(0, name="cache"), series(1, name="cache-2")]
    assert by_service(probes, containers) == {
        ("PI52", "redis"): [
            Seen("degraded", "its check says degraded"),
            Seen("down", "its container cache is down"),
            Seen("up", "its container cache-2 runs"),
        ]
    }
    assert by_service(None, None) == {}


def test_an_alert_that_another_explains_does_not_speak_in_the_verdict() -> None:
    hidden = alert("TemperatureHigh", "PI31", "warning", summary="PI31 is hot")
    page = status(all_up(), [hidden], {hidden.fingerprint: "NodeDown"})
    assert page["verdict"]["state"] == "ok"
    assert page["alerts"][0]["hidden_by"] == "NodeDown"


def test_a_flow_that_is_not_well_or_not_known_is_never_called_fine() -> None:
    """Though no alert fires: it may wait, or nobody wrote a rule."""

    def verdict(state: str) -> tuple[str, str]:
        said = {("PI51", "kong"): [Seen("up", "")], ("ORIN0", "comfyui"): [Seen(state, "its check")]}  # type: ignore[arg-type]
        found = status(all_up(), figures=Figures({}, {}, {}, said))["verdict"]
        return found["state"], found["text"]

    assert verdict("down") == ("critical", "Image generation is broken")
    assert verdict("unknown") == ("unknown", "Nobody knows whether Image generation works")
    assert verdict("degraded") == ("ok", "Everything is fine: all 7 nodes answer")


def test_info_alerts_are_listed_but_all_is_still_fine() -> None:
    page = status(all_up(), [alert("Watchdog", "", "info")])
    assert page["verdict"]["state"] == "ok"
    assert len(page["alerts"]) == 1


def test_critical_alerts_come_first_then_the_newest() -> None:
    page = status(all_up(), [alert("Disk", "PI31", "warning"), alert("Hot", "PI52", "critical")])
    assert [entry["name"] for entry in page["alerts"]] == ["Hot", "Disk"]
    assert page["verdict"] == {"state": "critical", "text": "2 alerts are firing"}
    assert node(page, "PI52")["state"] == "critical"
    assert node(page, "PI31")["state"] == "warning"


def test_figures_are_written_with_their_level_and_nan_and_infinity_are_unknown() -> None:
    temperatures = {"PI31": 86.2, "PI52": float("nan"), "PI41": float("inf")}
    figures = Figures({"temperature": temperatures, "memory": {"PI31": 0.5}}, {"PI31": [0.1, None]}, {})
    page = status(all_up(), figures=figures)
    vitals = {entry["title"]: entry for entry in node(page, "PI31")["vitals"]}
    assert vitals["hottest"]["value"] == "86 °C"
    assert vitals["hottest"]["state"] == "critical"
    assert vitals["memory"]["ratio"] == 0.5
    assert vitals["processor"]["value"] is None
    for name in ("PI52", "PI41"):
        assert {e["title"]: (e["value"], e["ratio"]) for e in node(page, name)["vitals"]}["hottest"] == (None, None)


def test_only_jetsons_show_a_gpu() -> None:
    page = status(all_up())
    assert "GPU" in [entry["title"] for entry in node(page, "NANO")["vitals"]]
    assert "GPU" not in [entry["title"] for entry in node(page, "PI41")["vitals"]]


def test_old_figures_of_a_node_that_is_down_are_not_shown() -> None:
    figures = Figures({"memory": {"AGX0": 0.5}}, {"AGX0": [0.1, 0.2]}, {})
    page = status(all_up(AGX0=TargetHealth("AGX0", "", "down")), figures=figures)
    assert all(entry["value"] is None for entry in node(page, "AGX0")["vitals"])
    assert node(page, "AGX0")["spark"] == []


def test_the_journal_is_cut_to_what_a_screen_holds() -> None:
    entries = [JournalEntry(NOW, "phone", f"m{number}", "delivered", "delivered") for number in range(40)]
    assert len(status(all_up(), journal=entries)["journal"]) == 12
