"""How ``tierwatch demo fail NODE`` reaches the demo that runs in another terminal: one line over a Unix socket."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path

from deploy.demo.processes import DemoError

_MAX_LINE = 4096
_ANSWER_SECONDS = 30.0

# (verb, node) -> what to tell the person. Raises DemoError.
Handler = Callable[[str, str], Awaitable[str]]


def state_folder() -> Path:
    """Where the demo of this user keeps its socket, logs and data."""
    base = os.environ.get("XDG_RUNTIME_DIR") or tempfile.gettempdir()
    return Path(base) / f"tierwatch-demo-{os.getuid()}"


class Control:
    """The demo's end of the socket."""

    def __init__(self, path: Path, handler: Handler) -> None:
        self._path = path
        self._handler = handler
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        """Listen. Raises DemoError when the socket cannot be made (its path may be too long)."""
        try:
            self._path.unlink(missing_ok=True)
            self._server = await asyncio.start_unix_server(self._serve, str(self._path), limit=_MAX_LINE)
            self._path.chmod(0o600)
        except OSError as error:
            raise DemoError(f"{self._path}: cannot be listened on: {error}") from error

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()
        self._path.unlink(missing_ok=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            request = json.loads(await reader.readline())
            answer = {"ok": True, "text": await self._handler(str(request["verb"]), str(request["node"]))}
        except DemoError as error:
            answer = {"ok": False, "text": str(error)}
        except (ValueError, KeyError, TypeError):
            answer = {"ok": False, "text": "the demo did not understand the request"}
        writer.write(json.dumps(answer).encode() + b"\n")
        await writer.drain()
        writer.close()


def ask(verb: str, node: str) -> str:
    """Ask the running demo. Raises DemoError with its words, or when none runs."""
    path = state_folder() / "control"
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        client.settimeout(_ANSWER_SECONDS)
        try:
            client.connect(str(path))
            client.sendall(json.dumps({"verb": verb, "node": node}).encode() + b"\n")
            data = client.makefile("rb").readline(_MAX_LINE * 4)
            answer = json.loads(data)
        except (OSError, ValueError) as error:
            raise DemoError("no demo is running for this user; start one first: tierwatch demo") from error
    if not answer["ok"]:
        raise DemoError(str(answer["text"]))
    return str(answer["text"])
