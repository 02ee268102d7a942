"""Every probe meets every failure: it gives the right state in time and leaves no connection behind."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from exporters.probes.verdict import Reason, State
from exporters.probes.watch import outcome
from tests.exporters.probes.servers import (
    Exchange,
    Fault,
    Page,
    PgSpeaker,
    RedisSpeaker,
    Web,
    page,
    recorded,
    recorded_info,
    running,
)
from tests.exporters.probes.support import LONG, SHORT, probe

# Every service that is asked over a connection, with all that it needs to be up.
WEB: Mapping[str, Mapping[str, Page]] = {
    "nginx": {"/": Page("<html>")},
    "nginx status": {"/status": recorded("nginx_stub_status.txt")},
    "kong": {"/status/ready": page({"message": "ready"})},
    "prometheus": {
        "/-/ready": recorded("prometheus_ready.txt"),
        "/api/v1/status/runtimeinfo": recorded("prometheus_runtimeinfo.json"),
    },
    "grafana": {"/api/health": recorded("grafana_api_health.json")},
    "minio": {"/minio/health/live": Page(), "/minio/health/cluster": Page()},
    "ollama": {
        "/api/version": recorded("ollama_api_version.json"),
        "/api/ps": recorded("ollama_api_ps.json"),
        "/api/tags": page({"models": [{"name": "mistral:latest"}]}),
    },
    "comfyui": {
        "/prompt": recorded("comfyui_prompt.json"),
        "/system_stats": recorded("comfyui_system_stats_cuda_idle.json"),
    },
    "sonarqube": {"/api/system/status": recorded("sonarqube_system_status.json")},
    "jupyterhub": {"/hub/api": page({"version": "5.2.1"})},
    "http": {"/": Page("hello")},
    "tierwatch": {"/-/ready": Page("Tierwatch is ready.")},
}
MORE: Mapping[str, Mapping[str, Any]] = {"nginx status": {"path": "/status"}, "postgresql user": {"user": "monitor"}}


@dataclass
class Peer:
    speaker: Callable[[], Exchange]
    web: Web | None = None
    more: Mapping[str, Any] = field(default_factory=dict)


def peer_of(name: str) -> Peer:
    more = MORE.get(name, {})
    if name in WEB:
        web = Web(WEB[name])
        return Peer(web, web, more)
    return Peer(RedisSpeaker(recorded_info()) if name == "redis" else PgSpeaker(), None, more)


EVERY = [*WEB, "redis", "postgresql", "postgresql user"]
ANYWHERE: Mapping[Fault, tuple[State, Reason]] = {
    "hang": (State.DOWN, Reason.TIMEOUT),
    "close": (State.DOWN, Reason.CLOSED),
    "half": (State.DOWN, Reason.CLOSED),
    "slow": (State.DOWN, Reason.TIMEOUT),
    "garbage": (State.DOWN, Reason.GARBAGE),
}


def patience_with(fault: Fault) -> float:
    """Who says nothing, or not all, in time is given up soon; all others are waited for."""
    return SHORT if fault in ("hang", "slow") else LONG


# What a bare 503 and a body cut in half mean is for each protocol to say.
UNAVAILABLE = {
    "nginx": (State.DEGRADED, Reason.BACKEND),
    "nginx status": (State.DEGRADED, Reason.HTTP_STATUS),
    "prometheus": (State.DEGRADED, Reason.STARTING),
    "tierwatch": (State.DEGRADED, Reason.STARTING),
    "jupyterhub": (State.DOWN, Reason.BACKEND),
}
CUT = {
    "nginx status": (State.DEGRADED, Reason.UNEXPECTED),
    # These say nothing in their bodies.
    **dict.fromkeys(("nginx", "minio", "http", "tierwatch"), (State.UP, None)),
}


@pytest.mark.parametrize("name", EVERY)
async def test_up(name: str) -> None:
    peer = peer_of(name)
    async with running(peer.speaker) as server:
        asked = probe(name.partition(" ")[0], server.port, **peer.more)
        for _ in range(3):
            verdict = await outcome(asked, LONG)
            assert (verdict.state, verdict.reason) == (State.UP, None), name
        assert server.accepted == 1, "a connection is kept"
        asked.close()
        assert await server.empty()


@pytest.mark.parametrize("fault", ANYWHERE)
@pytest.mark.parametrize("name", EVERY)
async def test_failures_of_the_connection(name: str, fault: Fault) -> None:
    peer = peer_of(name)
    async with running(peer.speaker) as server:
        server.fault = fault
        asked = probe(name.partition(" ")[0], server.port, **peer.more)
        verdict = await outcome(asked, patience_with(fault))
        assert (verdict.state, verdict.reason) == ANYWHERE[fault]
        assert await server.empty(), "the connection was given up and is still held"
        server.fault = ""
        assert (await outcome(asked, LONG)).state is State.UP, "it is back and not seen"
        asked.close()
    assert len(asyncio.all_tasks()) == 1


@pytest.mark.parametrize("fault", ANYWHERE)
@pytest.mark.parametrize("name", EVERY)
async def test_failures_of_a_kept_connection(name: str, fault: Fault) -> None:
    """The first check is good, the second meets the failure on the same connection."""
    peer = peer_of(name)
    async with running(peer.speaker) as server:
        asked = probe(name.partition(" ")[0], server.port, **peer.more)
        assert (await outcome(asked, LONG)).state is State.UP
        server.fault, server.after = fault, server.answers
        verdict = await outcome(asked, patience_with(fault))
        assert (verdict.state, verdict.reason) == ANYWHERE[fault]
        assert await server.empty()


@pytest.mark.parametrize("name", [*EVERY, "tcp"])
async def test_a_connection_that_was_ended_while_idle_is_no_fault(name: str) -> None:
    peer = peer_of(name if name != "tcp" else "http")
    async with running(peer.speaker) as server:
        asked = probe(name.partition(" ")[0], server.port, **peer.more)
        for _ in range(3):
            assert (await outcome(asked, LONG)).state is State.UP
            server.drop()
            await asyncio.sleep(0.01)
        asked.close()
        assert await server.empty()


@pytest.mark.parametrize("name", WEB)
async def test_503(name: str) -> None:
    peer = peer_of(name)
    assert peer.web is not None
    peer.web.fault = "503"
    async with running(peer.speaker) as server:
        asked = probe(name.partition(" ")[0], server.port, **peer.more)
        verdict = await outcome(asked, LONG)
        assert (verdict.state, verdict.reason) == UNAVAILABLE.get(name, (State.DOWN, Reason.HTTP_STATUS))
        asked.close()
        assert await server.empty()


@pytest.mark.parametrize("name", WEB)
async def test_bodies_cut_in_half(name: str) -> None:
    peer = peer_of(name)
    assert peer.web is not None
    peer.web.fault = "truncated"
    async with running(peer.speaker) as server:
        asked = probe(name.partition(" ")[0], server.port, **peer.more)
        verdict = await outcome(asked, LONG)
        assert (verdict.state, verdict.reason) == CUT.get(name, (State.DOWN, Reason.UNEXPECTED))
        asked.close()


@pytest.mark.parametrize("answer", ["[]", "null", "3", '"up"', "{}", "[" * 5000, '{"models": 5, "version": "1"}'])
@pytest.mark.parametrize("name", ["kong", "grafana", "ollama", "comfyui", "sonarqube", "jupyterhub"])
async def test_json_of_another_shape(name: str, answer: str) -> None:
    web = Web(dict.fromkeys(WEB[name], Page(answer)))
    async with running(web) as server:
        asked = probe(name, server.port)
        verdict = await outcome(asked, LONG)
        if not (name == "jupyterhub" and "version" in answer):
            assert (verdict.state, verdict.reason) == (State.DOWN, Reason.UNEXPECTED)
        asked.close()


@pytest.mark.parametrize("name", [*EVERY, "tcp"])
async def test_nobody_listens(name: str) -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        asked = probe(name.partition(" ")[0], held.getsockname()[1], **MORE.get(name, {}))
        verdict = await outcome(asked, LONG)
    assert (verdict.state, verdict.reason) == (State.DOWN, Reason.REFUSED)


@pytest.mark.parametrize("name", ["http", "redis", "tcp"])
async def test_tls_where_there_is_none(name: str) -> None:
    async with running(Web({})) as server:
        server.fault = "garbage"
        asked = probe(name, server.port, tls=True)
        verdict = await outcome(asked, SHORT)
        assert verdict.state is State.DOWN
        assert verdict.reason in (Reason.TLS, Reason.TIMEOUT, Reason.CLOSED)
        assert await server.empty()
