from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from exporters.collector import NoData
from exporters.collectors.ollama_log import MAX_CODES, OllamaRequests
from exporters.sources.docker_engine import Engine
from exporters.sources.docker_logs import LogFollower
from tests.exporters.support import FAR
from tests.support.docker_daemon import DockerDaemon, container, daemon

NOW = 1_795_000_000.5
# Lines of Ollama 0.5.13, https://github.com/IBM/prompt-declaration-language/issues/702.
REFUSED = b'[GIN] 2025/03/06 - 11:42:21 | 503 |   42.044125ms |       127.0.0.1 | POST     "/api/generate"'
ANSWERED = REFUSED.replace(b"503", b"200")


def counted(requests: OllamaRequests) -> dict[str, float]:
    (family,) = requests.collect()
    assert {labels[0] for labels, _ in family.rows} == {"ollama"}
    return {labels[1]: value for labels, value in family.rows}


class Followed:
    def __init__(self, running: DockerDaemon, requests: OllamaRequests, follower: LogFollower) -> None:
        self.daemon = running
        self.requests = requests
        self.follower = follower

    async def until(self, true: Callable[[], bool]) -> None:
        async with asyncio.timeout(FAR):
            while not true():  # noqa: ASYNC110  # nothing tells of it
                await asyncio.sleep(0.01)

    async def followed(self) -> None:
        await self.until(lambda: bool(self.daemon.logs.get("llm")))


@asynccontextmanager
async def following(folder: Path, *, there: bool = True) -> AsyncIterator[Followed]:
    async with daemon(folder / "s", *([container("llm")] if there else [])) as running:
        requests = OllamaRequests()
        follower = LogFollower(
            Engine(str(running.path)), "llm", requests.reader("ollama"), wall=lambda: NOW, first_backoff=0.02
        )
        requests.add("ollama", follower)
        follower.start()
        try:
            yield Followed(running, requests, follower)
        finally:
            await follower.aclose()


async def test_a_refusal_is_counted_as_it_is_logged(tmp_path: Path) -> None:
    async with following(tmp_path) as here:
        await here.followed()
        await here.until(lambda: here.follower.heard)
        assert counted(here.requests) == {"200": 0.0, "503": 0.0}, "the first refusal is a growth"
        here.daemon.write("llm", b"time=2025-03-06T11:42:20Z level=INFO msg=hello")
        here.daemon.write("llm", ANSWERED)
        here.daemon.write("llm", REFUSED)
        here.daemon.write("llm", REFUSED)
        await here.until(lambda: counted(here.requests) == {"200": 1.0, "503": 2.0})
        assert "since=1795000000.5" in here.daemon.queries[-1], "what was logged before is not counted"


async def test_a_restart_of_the_container_or_of_docker_goes_on_counting(tmp_path: Path) -> None:
    async with following(tmp_path) as here:
        await here.followed()
        here.daemon.write("llm", REFUSED)
        await here.until(lambda: here.follower.heard and counted(here.requests)["503"] == 1)
        here.daemon.end("llm")
        await here.until(lambda: not here.daemon.logs["llm"])
        await here.followed()
        here.daemon.write("llm", REFUSED)
        await here.until(lambda: counted(here.requests)["503"] == 2)
        await here.daemon.stop()
        await here.until(lambda: not here.daemon.logs["llm"])
        await here.daemon.start()
        await here.followed()
        here.daemon.write("llm", REFUSED)
        await here.until(lambda: counted(here.requests)["503"] == 3)


@pytest.mark.parametrize("fault", ["503", "garbage", "hang", ""])
async def test_a_log_that_cannot_be_read_tells_nothing(tmp_path: Path, fault: str) -> None:
    async with following(tmp_path, there=not fault) as here:
        here.daemon.fault["/containers/llm/logs"] = fault  # type: ignore[assignment]
        if not fault:  # no such container
            here.daemon.containers.clear()
        await here.until(lambda: any("logs" in path for path in here.daemon.asked))
        if fault not in ("garbage", ""):
            with pytest.raises(NoData):
                here.requests.collect()


def lines(*texts: bytes) -> dict[str, float]:
    requests = OllamaRequests()
    reader = requests.reader("ollama")
    for text in texts:
        reader(text)
    return {code: float(count) for code, count in requests._counts["ollama"].items()}


def test_only_requests_to_models_count() -> None:
    others = [
        REFUSED.replace(b"POST", b"GET"),
        REFUSED.replace(b"/api/generate", b"/api/pull"),
        REFUSED.replace(b"/api/generate", b"/api/generated"),
        b'level=ERROR msg="said: [GIN] | 503 | POST /api/chat"',
        b"[GIN] " + b"|" * 5000,
        b"[GIN] " + b" " * 5000,
    ]
    assert lines(*others) == {"200": 0, "503": 0}


def test_every_way_to_a_model_counts() -> None:
    ways = [
        b"/api/chat",
        b"/api/embed",
        b"/api/embeddings",
        b"/v1/chat/completions",
        b"/v1/completions",
        b"/api/chat?x=1",
    ]
    assert lines(*(REFUSED.replace(b"/api/generate", way) for way in ways)) == {"200": 0, "503": 6}


def test_colours_of_a_terminal_and_frames_are_no_hindrance() -> None:
    coloured = REFUSED.replace(b"| 503 |", b"|\x1b[97;43m 503 \x1b[0m|").replace(
        b"| POST    ", b"|\x1b[97;46m POST    \x1b[0m"
    )
    assert lines(coloured, b"\x02\0\0\0\0\0\0a" + REFUSED) == {"200": 0, "503": 2}


def test_codes_are_bounded() -> None:
    found = lines(*(REFUSED.replace(b"503", str(code).encode()) for code in range(400, 500)))
    assert len(found) == MAX_CODES
