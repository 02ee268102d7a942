"""The sender that the aggregator uses: Apprise in child processes that are started on demand and can be killed.

A child does one thing at a time. It is killed when it misses its deadline (Apprise's plugins may hang where no timeout
of theirs reaches), and stopped when nothing was to be sent for a while, which gives its memory back; but for one, as
long as ``prepare`` is called more often than that: to load Apprise takes half a second, on a Raspberry Pi 4 two.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from alerting.notify.message import Kind
from alerting.notify.sender import Delivery
from config.secrets import Secret

log = logging.getLogger(__name__)

WORKER = (sys.executable, "-m", "alerting.notify.worker")
_ROOT = Path(__file__).resolve().parents[2]
# What programs need to run and to reach the network. The secrets of the aggregator's own environment stay there.
_PASSED = (
    "PATH", "HOME", "LANG", "LC_ALL", "TZ", "PYTHONPATH", "VIRTUAL_ENV", "LD_LIBRARY_PATH", "SSL_CERT_FILE",
    "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY",
    "NO_PROXY",
)  # fmt: skip
_ANSWER_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Limits:
    """``deadline_s``: for one try; ``start_s``: for Python and Apprise to load, on a slow board with a slow card;
    ``idle_s``: how long a child is kept since it worked or was prepared; ``children``: at most this many at the same
    time."""

    deadline_s: float = 20.0
    start_s: float = 60.0
    idle_s: float = 60.0
    children: int = 2


class WorkerFailed(Exception):
    """The child could not be started, ended, or answered nonsense; the message says which."""


class ChildSender:
    """A ``Sender``. Belongs to one event loop."""

    def __init__(self, limits: Limits | None = None, command: Sequence[str] = WORKER) -> None:
        self._limits = limits or Limits()
        self._command = tuple(command)
        self._free = asyncio.Semaphore(self._limits.children)
        self._starting = asyncio.Lock()
        self._working = 0
        self._idle: list[_Child] = []
        self._timers: dict[_Child, asyncio.TimerHandle] = {}
        self._stopping: set[asyncio.Task[None]] = set()
        self._closed = False

    @property
    def children(self) -> int:
        """How many children wait for work now."""
        return len(self._idle)

    async def send(self, url: Secret, title: str, body: str, kind: Kind) -> Delivery:
        deadline_s = self._limits.deadline_s
        request = {
            "op": "send", "url": url.reveal(), "title": title, "body": body, "kind": kind, "deadline_s": deadline_s
        }  # fmt: skip
        try:
            answer = await self._ask(request, deadline_s)
        except TimeoutError:
            return Delivery("timeout", f"no answer within {deadline_s:g} s")
        except WorkerFailed as error:
            return Delivery("failed", str(error))
        if answer.get("outcome") == "delivered":
            return Delivery("delivered")
        return Delivery("failed", str(answer.get("reason", "")), retry=bool(answer.get("retry", True)))

    async def prepare(self) -> None:
        """Have a child that has loaded Apprise, so that the next message only takes the time of its delivery."""
        self._forget_the_dead()
        if self._idle:
            self._keep(self._take())
        elif not self._working:
            with suppress(WorkerFailed):
                async with self._borrowed() as child:
                    self._keep(child)

    async def close(self) -> None:
        self._closed = True
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
        children, self._idle = self._idle, []
        await asyncio.gather(*(child.stop() for child in children), *self._stopping)

    async def _ask(self, request: Mapping[str, Any], deadline_s: float) -> dict[str, Any]:
        """Raises TimeoutError and WorkerFailed; the child is gone then."""
        async with self._borrowed() as child:
            try:
                async with asyncio.timeout(deadline_s):
                    answer = await child.ask(request)
                if "error" in answer:
                    raise WorkerFailed(str(answer["error"]))
            except BaseException:
                await asyncio.shield(child.kill())
                raise
            if self._closed:
                await child.stop()
            else:
                self._keep(child)
            return answer

    @asynccontextmanager
    async def _borrowed(self) -> AsyncIterator[_Child]:
        """An idle child or a new one, as soon as one more may work."""
        async with self._free:
            self._working += 1
            try:
                async with self._starting:  # one at a time: a child that gets ready now may be all that is needed
                    self._forget_the_dead()
                    child = self._take() if self._idle else await self._start()
                yield child
            finally:
                self._working -= 1

    async def _start(self) -> _Child:
        child = await _Child.start(self._command)
        try:
            async with asyncio.timeout(self._limits.start_s):
                answer = await child.ask({"op": "ready"})
            if "error" in answer:
                raise WorkerFailed(str(answer["error"]))
        except TimeoutError as error:
            await child.kill()
            raise WorkerFailed(f"the notification worker did not start within {self._limits.start_s:g} s") from error
        except BaseException:
            await asyncio.shield(child.kill())
            raise
        return child

    def _forget_the_dead(self) -> None:
        """Children that ended while they had nothing to do: the kernel may have wanted their memory."""
        for child in [child for child in self._idle if child.ended]:
            self._idle.remove(child)
            self._timers.pop(child).cancel()
            child.hang_up()

    def _take(self) -> _Child:
        child = self._idle.pop()
        self._timers.pop(child).cancel()
        return child

    def _keep(self, child: _Child) -> None:
        self._idle.append(child)
        self._timers[child] = asyncio.get_running_loop().call_later(self._limits.idle_s, self._retire, child)

    def _retire(self, child: _Child) -> None:
        self._timers.pop(child, None)
        self._idle.remove(child)
        task = asyncio.get_running_loop().create_task(child.stop())
        self._stopping.add(task)
        task.add_done_callback(self._stopping.discard)


class _Child:
    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    @classmethod
    async def start(cls, command: Sequence[str]) -> _Child:
        try:
            process = await asyncio.create_subprocess_exec(
                *command,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.DEVNULL,
                env=environment(os.environ),
                limit=_ANSWER_BYTES,
            )
        except OSError as error:
            raise WorkerFailed(f"the notification worker cannot be started: {error.strerror or error}") from error
        return cls(process)

    @property
    def ended(self) -> bool:
        return self._process.returncode is not None

    def hang_up(self) -> None:
        """No more requests come."""
        if self._process.stdin is not None:
            self._process.stdin.close()

    async def ask(self, request: Mapping[str, Any]) -> dict[str, Any]:
        stdin, stdout = self._process.stdin, self._process.stdout
        if stdin is None or stdout is None:
            raise WorkerFailed("the notification worker has no pipes")
        with suppress(OSError):  # it has ended already; why may be in what it said before
            stdin.write(json.dumps(request).encode() + b"\n")
            await stdin.drain()
        try:
            line = await stdout.readline()
            answer = json.loads(line) if line else None
        except (OSError, ValueError) as error:
            raise WorkerFailed(f"the notification worker broke off ({type(error).__name__})") from error
        if not isinstance(answer, dict):
            raise WorkerFailed("the notification worker ended before it answered")
        return answer

    async def stop(self) -> None:
        """End of input ends the child; one that does not listen is killed."""
        self.hang_up()
        try:
            async with asyncio.timeout(2.0):
                await self._process.wait()
        except TimeoutError:
            await self.kill()

    async def kill(self) -> None:
        with suppress(ProcessLookupError):
            self._process.kill()
        self.hang_up()
        await self._process.wait()


def environment(own: Mapping[str, str]) -> dict[str, str]:
    """The environment of a child: enough to run, none of the aggregator's secrets."""
    passed = {name: own[name] for name in _PASSED if name in own}
    passed["PYTHONPATH"] = os.pathsep.join(filter(None, (str(_ROOT), own.get("PYTHONPATH", ""))))
    return passed
