"""What each web service's own answers mean."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from exporters.catalog import services as catalog
from exporters.probes import comfyui, kong
from exporters.probes.verdict import Reason, State, Verdict
from exporters.probes.watch import outcome
from tests.exporters.probes.servers import RECORDED, Page, Web, page, recorded, running
from tests.exporters.probes.support import LONG, figure, probe
from tests.support.ports import free_port

UP, DEGRADED, DOWN = State.UP, State.DEGRADED, State.DOWN


async def ask(kind: str, pages: Mapping[str, Page] | Web, times: int = 1, **more: Any) -> Verdict:
    web = pages if isinstance(pages, Web) else Web(pages)
    async with running(web) as server:
        asked = probe(kind, server.port, **more)
        for _ in range(times):
            verdict = await outcome(asked, LONG)
        asked.close()
        return verdict


async def judged(kind: str, pages: Mapping[str, Page], **more: Any) -> tuple[State, Reason | None]:
    verdict = await ask(kind, pages, **more)
    return verdict.state, verdict.reason


# nginx


async def test_nginx_stub_status() -> None:
    verdict = await ask("nginx", {"/s": recorded("nginx_stub_status.txt")}, path="/s")
    told = {metric.name: found[0][1] for metric, found in verdict.rows.items() if metric.name.startswith("nginx")}
    assert told == {
        "nginx_up": 1,
        "nginx_connections_active": 291,
        "nginx_connections_accepted": 16630948,
        "nginx_connections_handled": 16630948,
        "nginx_http_requests_total": 31070465,
        "nginx_connections_reading": 6,
        "nginx_connections_writing": 179,
        "nginx_connections_waiting": 106,
    }


async def test_nginx_that_drops_connections() -> None:
    web = Web({"/s": recorded("nginx_stub_status.txt")})
    async with running(web) as server:
        asked = probe("nginx", server.port, path="/s")
        assert (await outcome(asked, LONG)).state is UP
        web.pages["/s"] = Page(web.pages["/s"].body.replace(b"16630948 16630948", b"16630999 16630950"))
        assert (await outcome(asked, LONG)).reason is Reason.DROPPING
        assert (await outcome(asked, LONG)).state is UP, "it was once"
        asked.close()


async def test_nginx_pages() -> None:
    assert await judged("nginx", {"/": Page("gone", 404)}) == (UP, None)
    assert await judged("nginx", {"/": Page("bad gateway", 502)}) == (DEGRADED, Reason.BACKEND)
    assert await judged("nginx", {"/s": Page("no", 403)}, path="/s") == (UP, Reason.NO_CREDENTIALS)
    assert await judged("nginx", {"/s": Page("<html>hello")}, path="/s") == (DEGRADED, Reason.UNEXPECTED)


# Kong


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        ("draining", Reason.STOPPING),
        ("failed to connect to database", Reason.DATABASE),
        ("router builds not yet complete", Reason.STARTING),
        ("plugins iterator build not yet complete", Reason.STARTING),
        ("no configuration available (empty configuration present)", Reason.CONFIGURATION),
        ("router builds not yet complete, router ready in 1 of 4 workers", Reason.STARTING),
    ],
)
async def test_kong_that_is_not_ready(message: str, reason: Reason) -> None:
    assert await judged("kong", {"/status/ready": page({"message": message}, 503)}) == (DEGRADED, reason)


async def test_kong_before_3_3() -> None:
    reachable = json.loads((RECORDED / "kong_status.json").read_text())
    assert await judged("kong", {"/status": page(reachable)}) == (UP, None)
    reachable["database"]["reachable"] = False
    assert await judged("kong", {"/status": page(reachable)}) == (DEGRADED, Reason.DATABASE)


def kong_pages(**health: str) -> dict[str, Page]:
    targets = [{"target": f"{name}:80", "health": value} for name, value in health.items()]
    return {
        "/status/ready": page({"message": "ready"}),
        "/upstreams": page({"data": [{"name": "chat"}, {"name": "empty"}]}),
        "/upstreams/chat/health": page({"data": targets}),
        "/upstreams/empty/health": page({"data": []}),
    }


async def with_admin(pages: dict[str, Page]) -> Verdict:
    async with running(Web(pages)) as server:
        asked = probe("kong", server.port, ports={"admin": server.port})
        verdict = await outcome(asked, LONG)
        asked.close()
        assert await server.empty()
        return verdict


async def test_kong_upstreams() -> None:
    verdict = await with_admin(kong_pages(a="HEALTHY", b="UNHEALTHY"))
    assert verdict.state is UP
    assert figure(verdict, catalog.KONG_TARGET_HEALTH, "chat", "a:80", "a:80", "healthy", "http") == 1.0
    assert figure(verdict, catalog.KONG_TARGET_HEALTH, "chat", "b:80", "b:80", "healthy", "http") == 0.0
    verdict = await with_admin(kong_pages(a="DNS_ERROR", b="UNHEALTHY"))
    assert (verdict.state, verdict.reason) == (DEGRADED, Reason.TARGETS)
    # Without health checks nothing is known of them, which is not unhealthy.
    assert (await with_admin(kong_pages(a="HEALTHCHECKS_OFF"))).state is UP


async def test_kong_whose_admin_api_fails_is_not_kong_that_fails() -> None:
    pages = kong_pages()
    pages["/upstreams"] = Page("not here", 403)
    assert (await with_admin(pages)).state is UP


async def test_kong_whose_status_api_is_off() -> None:
    status = json.loads((RECORDED / "kong_status.json").read_text())
    closed = free_port()
    async with running(Web({**kong_pages(a="HEALTHY"), "/status": page(status)})) as server:
        asked = probe("kong", closed, ports={"admin": server.port, "status": closed})
        assert (await outcome(asked, LONG)).state is UP
        asked.close()
    assert (await outcome(probe("kong", closed), LONG)).reason is Reason.REFUSED


def test_kong_words() -> None:
    assert kong.reason_of("") is Reason.STARTING


# Prometheus, Grafana, MinIO, SonarQube, JupyterHub


async def test_prometheus() -> None:
    ready = {"/-/ready": recorded("prometheus_ready.txt")}
    assert await judged("prometheus", ready) == (UP, None), "other engines have no runtimeinfo"
    stopping = {"/-/ready": Page("Service Unavailable", 503, X_Prometheus_Stopping="true")}
    assert await judged("prometheus", stopping) == (DEGRADED, Reason.STOPPING)
    info = json.loads((RECORDED / "prometheus_runtimeinfo.json").read_text())
    info["data"]["reloadConfigSuccess"] = False
    refused = {**ready, "/api/v1/status/runtimeinfo": page(info)}
    assert await judged("prometheus", refused) == (DEGRADED, Reason.CONFIGURATION)
    assert await judged("prometheus", {"/p/-/ready": ready["/-/ready"]}, path="/p/") == (UP, None)


async def test_grafana() -> None:
    failing = page({"database": "failing"}, 503)
    assert await judged("grafana", {"/api/health": failing}) == (DEGRADED, Reason.DATABASE)
    moved = Page("", 302, Location="/login")
    assert await judged("grafana", {"/api/health": moved}) == (DEGRADED, Reason.HTTP_STATUS)


async def test_minio() -> None:
    live, cluster = "/minio/health/live", "/minio/health/cluster"
    offline = {live: Page("", x_minio_server_status="offline"), cluster: Page()}
    assert await judged("minio", offline) == (DOWN, Reason.OFFLINE), "200 says nothing"
    assert await judged("minio", {live: Page(), cluster: Page("", 503)}) == (DOWN, Reason.QUORUM)
    healing = {live: Page(), cluster: Page("", x_minio_healing_drives="2")}
    verdict = await ask("minio", healing)
    assert (verdict.state, verdict.reason) == (DEGRADED, Reason.HEALING)
    assert figure(verdict, catalog.MINIO_HEALING) == 2.0
    busy = "<?xml version='1.0'?><Error><Code>{}</Code><Message>Please reduce your request rate</Message></Error>"
    for code in ("SlowDown", "TooManyRequests", "Busy"):
        assert await judged("minio", {live: Page(busy.format(code), 503)}) == (DEGRADED, Reason.QUEUE_FULL)
    assert await judged("minio", {live: Page("<html>backend away", 503)}) == (DOWN, Reason.HTTP_STATUS)
    partly = {live: Page(), cluster: Page("", x_minio_server_status="iam-offline")}
    assert await judged("minio", partly) == (DEGRADED, Reason.OFFLINE)


async def test_another_s3_server() -> None:
    denied = Page("<Error><Code>AccessDenied</Code></Error>", 403)
    assert await judged("minio", {"/": denied}) == (UP, None)
    assert await judged("minio", {"/": Page("<html>")}) == (DEGRADED, Reason.UNEXPECTED)


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ("UP", (UP, None)),
        ("STARTING", (DEGRADED, Reason.STARTING)),
        ("DB_MIGRATION_NEEDED", (DEGRADED, Reason.MIGRATION)),
        ("DOWN", (DOWN, Reason.UNHEALTHY)),
        ("LOST", (DOWN, Reason.UNEXPECTED)),
    ],
)
async def test_sonarqube(status: str, expected: tuple[State, Reason | None]) -> None:
    assert await judged("sonarqube", {"/api/system/status": page({"status": status})}) == expected


@pytest.mark.parametrize(
    ("health", "expected"),
    [("GREEN", (UP, None)), ("YELLOW", (DEGRADED, Reason.UNHEALTHY)), ("RED", (DOWN, Reason.UNHEALTHY))],
)
async def test_sonarqube_with_the_passcode(tmp_path: Path, health: str, expected: tuple[State, Reason | None]) -> None:
    (tmp_path / "passcode").write_text("open sesame\n")
    pages = {"/api/system/status": page({"status": "UP"}), "/api/system/health": page({"health": health})}
    web = Web(pages)
    verdict = await ask("sonarqube", web, password_file=str(tmp_path / "passcode"))
    assert (verdict.state, verdict.reason) == expected
    assert "X-Sonar-Passcode: open sesame" in web.heads[-1]
    refused = {**pages, "/api/system/health": Page("", 403)}
    verdict = await ask("sonarqube", refused, password_file=str(tmp_path / "passcode"))
    assert (verdict.state, verdict.reason) == (DEGRADED, Reason.CREDENTIALS_REFUSED)


async def test_jupyterhub_whose_hub_is_gone() -> None:
    assert await judged("jupyterhub", {"/hub/api": Page("Service Unavailable", 503)}) == (DOWN, Reason.BACKEND)


# Ollama


def ollama(
    *loaded: Mapping[str, object], models: tuple[str, ...] = ("llama3.2:3b", "mistral:latest")
) -> dict[str, Page]:
    return {
        "/api/version": recorded("ollama_api_version.json"),
        "/api/ps": page({"models": list(loaded)}),
        "/api/tags": page({"models": [{"name": name} for name in models]}),
    }


async def test_ollama_models() -> None:
    assert await judged("ollama", ollama(), models=2, present=("llama3.2", "mistral")) == (UP, None)
    assert await judged("ollama", ollama(), models=3) == (DEGRADED, Reason.MODELS_MISSING)
    verdict = await ask("ollama", ollama(), present=("llama3.2:3b", "mistral:7b", "llama3"))
    assert verdict.reason is Reason.MODELS_MISSING
    missing = {
        name: figure(verdict, catalog.OLLAMA_MODEL_MISSING, name) for name in ("llama3.2:3b", "mistral:7b", "llama3")
    }
    assert missing == {"llama3.2:3b": 0.0, "mistral:7b": 1.0, "llama3": 1.0}


@pytest.mark.parametrize(
    ("model", "ratio", "reason"),
    [
        ({"size": 100, "size_vram": 100}, 1.0, None),
        ({"size": 100, "size_vram": 25}, 0.25, None),
        ({"size": 100, "size_vram": 0}, 0.0, Reason.ON_CPU),
        ({"size": 100}, 0.0, Reason.ON_CPU),
        ({"size": 100, "size_vram": 200}, None, None),
        ({"size": 0, "size_vram": 0}, None, None),
    ],
)
async def test_ollama_on_gpu_or_cpu(model: dict[str, object], ratio: float | None, reason: Reason | None) -> None:
    """The rules of ``ollama ps``."""
    verdict = await ask("ollama", ollama({"name": "m", **model}), gpu=True)
    assert (verdict.reason, figure(verdict, catalog.OLLAMA_GPU, "m")) == (reason, ratio)
    assert (await ask("ollama", ollama({"name": "m", **model}))).state is UP, "a board without a GPU"


async def test_ollama_models_that_push_out_one_another_are_counted() -> None:
    def loaded(*names: str) -> dict[str, Page]:
        return ollama(*({"name": name, "digest": f"sha-{name}", "size": 1, "size_vram": 1} for name in names))

    web = Web(loaded("a"))
    async with running(web) as server:
        asked = probe("ollama", server.port)
        counts = []
        for names in (("a",), ("a", "b"), ("b",), ("a",), (), ("a",)):
            web.pages.update(loaded(*names))
            counts.append(figure(await outcome(asked, LONG), catalog.OLLAMA_LOADS))
        asked.close()
    assert counts == [0, 1, 1, 2, 2, 3], "what was there at first was loaded before"


async def test_ollama_asks_for_models_seldom_unless_one_is_missing() -> None:
    web = Web(ollama())
    await ask("ollama", web, times=5)
    assert web.asked.count("/api/tags") == 1
    web = Web(ollama())
    await ask("ollama", web, times=5, models=99)
    assert web.asked.count("/api/tags") == 5
    assert not any("generate" in path for path in web.asked)


async def test_ollama_that_has_no_room() -> None:
    busy = page({"error": "server busy, please try again.  maximum pending requests exceeded"}, 503)
    assert await judged("ollama", {"/api/version": busy}) == (DEGRADED, Reason.QUEUE_FULL)
    assert await judged("ollama", {**ollama(), "/api/ps": Page('{"models": null}')}) == (UP, None)


# ComfyUI


def comfy(remaining: int, running_id: str | None = None) -> dict[str, Page]:
    running_jobs = [[5, running_id, {"big": "x" * 20_000}, {}, []]] if running_id else []
    return {
        "/prompt": page({"exec_info": {"queue_remaining": remaining}}),
        "/system_stats": recorded("comfyui_system_stats_cuda_idle.json"),
        "/queue": page({"queue_running": running_jobs, "queue_pending": []}),
    }


async def test_comfyui_figures() -> None:
    verdict = await ask("comfyui", comfy(3, "a-b-c"))
    assert verdict.state is UP
    assert figure(verdict, catalog.COMFYUI_RUNNING) == 1.0
    assert figure(verdict, catalog.COMFYUI_PENDING) == 2.0
    assert figure(verdict, catalog.COMFYUI_VRAM_TOTAL, "cuda:0") == 25282281472.0
    assert figure(verdict, catalog.COMFYUI_INFO, "0.3.14") == 1.0


async def test_comfyui_that_lost_its_gpu_still_answers_everything_else() -> None:
    assert await judged("comfyui", {**comfy(0), "/system_stats": Page("", 500)}) == (DOWN, Reason.GPU_LOST)


async def test_comfyui_queue_that_does_not_move(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr(comfyui, "monotonic", lambda: now)
    web = Web(comfy(2, "job-1"))
    async with running(web) as server:
        asked = comfyui.ComfyUi(probe("comfyui", server.port, max_age=600.0).wanted)
        assert (await asked.check()).state is UP
        now += 599
        assert (await asked.check()).state is UP
        now += 2
        assert (await asked.check()).reason is Reason.QUEUE_STUCK
        web.pages.update(comfy(1, "job-2"))
        assert (await asked.check()).state is UP, "the next job is a new one"
        web.pages.update(comfy(1))
        assert (await asked.check()).state is UP
        now += 61
        assert (await asked.check()).reason is Reason.QUEUE_STUCK, "jobs wait and none runs"
        web.pages.update(comfy(0))
        assert (await asked.check()).state is UP
        asked.close()


# any page


@pytest.mark.parametrize(
    ("found", "more", "expected"),
    [
        (Page("x", 204), {}, (UP, None)),
        (Page("x", 301), {}, (UP, None)),
        (Page("x", 404), {}, (DEGRADED, Reason.HTTP_STATUS)),
        (Page("x", 500), {}, (DOWN, Reason.HTTP_STATUS)),
        (Page("x", 401), {}, (UP, Reason.NO_CREDENTIALS)),
        (Page("x", 401), {"status": (401,)}, (UP, None)),
        (Page("x", 200), {"status": (204,)}, (DEGRADED, Reason.HTTP_STATUS)),
        (Page("we are open"), {"body": "open"}, (UP, None)),
        (Page("we are shut"), {"body": "open"}, (DEGRADED, Reason.UNEXPECTED)),
    ],
)
async def test_pages(found: Page, more: dict[str, object], expected: tuple[State, Reason | None]) -> None:
    assert await judged("http", {"/": found}, **more) == expected


async def test_a_page_behind_a_password(tmp_path: Path) -> None:
    (tmp_path / "good").write_text("sesame\n")
    (tmp_path / "bad").write_text("friend\n")
    for name, expected in (("good", (UP, None)), ("bad", (DEGRADED, Reason.CREDENTIALS_REFUSED))):
        web = Web({"/": Page("in")})
        web.authorization = "Basic bWU6c2VzYW1l"  # me:sesame
        verdict = await ask("http", web, user="me", password_file=str(tmp_path / name))
        assert (verdict.state, verdict.reason) == expected


async def test_the_phases_of_an_exchange_are_told() -> None:
    verdict = await ask("http", {"/": Page("x")})
    phases = {labels[1] for labels, _ in verdict.rows[catalog.HTTP_PHASES]}
    assert phases == {"connect", "processing", "transfer"}
    verdict = await ask("http", {"/": Page("x")}, times=2)
    phases = {labels[1] for labels, _ in verdict.rows[catalog.HTTP_PHASES]}
    assert phases == {"processing", "transfer"}, "the connection was kept"
    assert figure(verdict, catalog.HTTP_STATUS) == 200.0
