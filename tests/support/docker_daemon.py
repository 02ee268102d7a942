"""A daemon that speaks Docker's API on a unix socket from given answers, and misbehaves when it is told to."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Literal

from tests.support.serving import Connections

Fault = Literal["", "hang", "close", "garbage", "truncated", "endless", "503", "not-http"]


class DockerDaemon:
    """``containers``: the answers of inspect; the list is made from them. ``fault`` by path (``/_ping``, ``/events``,
    ``/containers/json``, ``/containers/ID/json``); ``api`` is the newest version it speaks, ``oldest`` the oldest."""

    def __init__(self, path: Path, containers: list[dict[str, Any]] | None = None, api: str = "1.41") -> None:
        self.path = path
        self.containers: dict[str, dict[str, Any]] = {answer["Id"]: answer for answer in containers or []}
        self.api = api
        self.oldest = "1.24"
        self.fault: dict[str, Fault] = {}
        self.asked: list[str] = []
        self.listened = asyncio.Event()
        """Set once somebody listens to the events."""
        self.logs: dict[str, dict[asyncio.StreamWriter, asyncio.Event]] = {}
        """Who follows a container's log, by the name it was asked by, and what ends it."""
        self.queries: list[str] = []
        self._streams: set[asyncio.StreamWriter] = set()
        self._connections = Connections(self._serve)
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        self._server = await asyncio.start_unix_server(self._connections, str(self.path))

    async def stop(self) -> None:
        """As a daemon that is killed: every connection breaks."""
        if self._server is not None:
            self._server.close()
            self._server = None
            await self._connections.cut()
        self.path.unlink(missing_ok=True)

    def tell(self, action: str, container: str, **attributes: str) -> None:
        """One event to everybody who listens."""
        name = self.containers.get(container, {}).get("Name", "/gone")[1:]
        actor = {"ID": container, "Attributes": {"name": name, **attributes}}
        self.say(json.dumps({"Type": "container", "Action": action, "Actor": actor}).encode() + b"\n")

    def say(self, text: bytes) -> None:
        """Raw text into the stream of events."""
        for writer in self._streams:
            writer.write(text)

    def change(self, container: str, **state: object) -> None:
        self.containers[container]["State"].update(state)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while request := await reader.readline():
                while await reader.readline() not in (b"\r\n", b""):
                    pass
                path, _, query = request.split()[1].decode().partition("?")
                self.queries.append(query)
                self.asked.append(path)
                if not await self._answer(path, writer):
                    break
        except ConnectionError:
            pass
        finally:
            self._streams.discard(writer)

    async def _answer(self, path: str, writer: asyncio.StreamWriter) -> bool:
        """Whether the connection stays open."""
        version = ""
        if path.startswith("/v"):
            version, _, rest = path[2:].partition("/")
            path = f"/{rest}"
        fault = self.fault.get(path, "")
        if fault == "hang":
            await asyncio.sleep(3600)
        if fault == "not-http":
            writer.write(b"220 mail.example.org ESMTP\r\n")
        if fault in ("close", "not-http"):
            return False
        if version and numbers(version) < numbers(self.oldest):
            return self._reply(writer, 400, {"message": f"client version {version} is too old"})
        if fault == "503":
            return self._reply(writer, 503, {"message": "not now"})
        if fault == "garbage":
            return self._raw(writer, 200, b"\xff\xfe nothing")
        if fault == "endless":
            return self._raw(writer, 200, b"[" + b" " * 9_000_000 + b"]")
        if fault == "truncated":
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n[{")
            return False
        if path == "/events":
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n")
            self._streams.add(writer)
            self.listened.set()
            await asyncio.sleep(3600)
        if path.endswith("/logs") and any(
            path == f"/containers/{one['Name'][1:]}/logs" for one in self.containers.values()
        ):
            await self._follow(path.split("/")[2], writer)
            return False
        return self._reply(writer, *self._content(path))

    async def _follow(self, name: str, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/vnd.docker.multiplexed-stream\r\n\r\n")
        ended = self.logs.setdefault(name, {})[writer] = asyncio.Event()
        try:
            await ended.wait()
        finally:
            self.logs[name].pop(writer, None)

    def write(self, name: str, line: bytes) -> None:
        """A line of a container's log to everybody who follows it, framed as the daemon does (API 1.24 and later)."""
        for writer in self.logs.get(name, ()):
            writer.write(b"\x02\0\0\0" + len(line + b"\n").to_bytes(4, "big") + line + b"\n")

    def end(self, name: str) -> None:
        """The container ended: its log does."""
        for ended in self.logs.get(name, {}).values():
            ended.set()

    def _content(self, path: str) -> tuple[int, object]:
        if path in ("/_ping", "/version"):
            return 200, {"ApiVersion": self.api}
        if path == "/containers/json":
            return 200, [summary(answer) for answer in self.containers.values()]
        found = self.containers.get(path.removeprefix("/containers/").removesuffix("/json"))
        return (200, found) if found else (404, {"message": "No such container"})

    def _reply(self, writer: asyncio.StreamWriter, status: int, content: object) -> bool:
        return self._raw(writer, status, json.dumps(content).encode())

    def _raw(self, writer: asyncio.StreamWriter, status: int, body: bytes) -> bool:
        head = f"HTTP/1.1 {status} X\r\nApi-Version: {self.api}\r\nServer: Docker/20.10.24 (linux)\r\n"
        writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        return True


def summary(answer: dict[str, Any]) -> dict[str, Any]:
    """An inspection as the list tells it."""
    health = answer["State"].get("Health", {}).get("Status")
    words = f"Up 2 hours ({health})" if health else "Up 2 hours"
    entry = {"Id": answer["Id"], "Names": [answer["Name"]], "Image": answer["Config"]["Image"]}
    return {**entry, "State": answer["State"]["Status"], "Status": words}


def numbers(version: str) -> tuple[int, ...]:
    return tuple(map(int, version.split(".")))


def container(name: str, status: str = "running", **state: object) -> dict[str, Any]:
    """The answer about a container; its id is 64 digits made of its name."""
    started = "2026-11-23T10:00:00Z"
    return {
        "Id": name.encode().hex().ljust(64, "0")[:64],
        "Name": f"/{name}",
        "RestartCount": 0,
        "State": {"Status": status, "Pid": 0, "ExitCode": 0, "OOMKilled": False, "StartedAt": started, **state},
        "Config": {"Image": "app:1", "Labels": {}, "Env": ["PASSWORD=do-not-tell"]},
        "HostConfig": {"RestartPolicy": {"Name": "no"}, "NetworkMode": "bridge"},
    }


@asynccontextmanager
async def daemon(path: Path, *containers: dict[str, Any], api: str = "1.41") -> AsyncIterator[DockerDaemon]:
    """A daemon that runs for the block."""
    made = DockerDaemon(path, list(containers), api)
    await made.start()
    try:
        yield made
    finally:
        await made.stop()
