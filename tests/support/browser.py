"""A real Chromium, driven over its DevTools protocol: open a page, ask it, take its picture."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Literal

import aiohttp

from tests.support.machine import PATIENCE
from tests.support.peers import need

_FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--hide-scrollbars",
    "--remote-debugging-port=0",
)
_START_SECONDS = 20.0 * PATIENCE


class Tab:
    """One tab. Errors that the page's own script raises are kept in ``errors``."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._number = 0
        self.errors: list[str] = []

    async def command(self, method: str, **parameters: Any) -> dict[str, Any]:
        self._number += 1
        await self._socket.send_json({"id": self._number, "method": method, "params": parameters})
        while True:
            answer = await self._socket.receive_json(timeout=20 * PATIENCE)
            if answer.get("method") == "Runtime.exceptionThrown":
                self.errors.append(json.dumps(answer["params"]["exceptionDetails"])[:500])
            if answer.get("method") == "Log.entryAdded" and answer["params"]["entry"]["level"] == "error":
                self.errors.append(answer["params"]["entry"]["text"])
            if answer.get("id") == self._number:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']}")
                result: dict[str, Any] = answer["result"]
                return result

    async def show(self, width: int, height: int, *, scheme: Literal["light", "dark"], mobile: bool = False) -> None:
        """Size of the window in CSS pixels, and whether the person prefers dark."""
        await self.command(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=mobile
        )
        await self.command("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])

    async def open(self, url: str) -> None:
        await self.command("Page.navigate", url=url)

    async def ask(self, script: str) -> Any:
        """The value of a JavaScript expression."""
        answer = await self.command("Runtime.evaluate", expression=script, returnByValue=True)
        if "exceptionDetails" in answer:
            raise RuntimeError(answer["exceptionDetails"].get("text", "script failed"))
        return answer["result"].get("value")

    async def wait_for(self, script: str, seconds: float = 20.0 * PATIENCE) -> Any:
        """Ask until the answer is true; returns it. Raises TimeoutError."""
        async with asyncio.timeout(seconds):
            while True:
                with suppress(RuntimeError):
                    if answer := await self.ask(script):
                        return answer
                await asyncio.sleep(0.1)

    async def picture(self, path: Path, *, whole: bool = True) -> None:
        """A PNG of the window, or of the whole page however long."""
        answer = await self.command("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        path.write_bytes(base64.b64decode(answer["data"]))


@asynccontextmanager
async def browser() -> AsyncIterator[Tab]:
    """A new Chromium with an empty profile, ended on leaving."""
    program = need("chromium")
    # Its last child may still write while the folder goes.
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        process = await asyncio.create_subprocess_exec(
            program,
            *_FLAGS,
            f"--user-data-dir={profile}",
            "about:blank",
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
            start_new_session=True,
            # It leaves the folder of its own socket behind, wherever that is.
            env={**os.environ, "TMPDIR": profile},
        )
        try:
            address = await _address(Path(profile) / "DevToolsActivePort", process)
            async with aiohttp.ClientSession() as session:
                url = await _first_page(session, f"http://{address}/json/list")
                async with session.ws_connect(url, max_msg_size=0) as socket:
                    tab = Tab(socket)
                    for domain in ("Page", "Runtime", "Log"):
                        await tab.command(f"{domain}.enable")
                    yield tab
        finally:
            with suppress(ProcessLookupError):
                process.terminate()
            with suppress(TimeoutError):
                async with asyncio.timeout(10):
                    await process.wait()
            if process.returncode is None:
                process.kill()
                await process.wait()


async def _first_page(session: aiohttp.ClientSession, targets: str) -> str:
    """Where the tab that it opens by itself is spoken to; it is there a moment after the browser answers."""
    async with asyncio.timeout(_START_SECONDS):
        while True:
            async with session.get(targets) as answer:
                for target in await answer.json():
                    if target["type"] == "page":
                        return str(target["webSocketDebuggerUrl"])
            await asyncio.sleep(0.05)


async def _address(file: Path, process: asyncio.subprocess.Process) -> str:
    async with asyncio.timeout(_START_SECONDS):
        while not file.exists() or "\n" not in file.read_text():
            if process.returncode is not None:
                raise RuntimeError(f"chromium ended with status {process.returncode}")
            await asyncio.sleep(0.05)
    return f"127.0.0.1:{file.read_text().splitlines()[0]}"
