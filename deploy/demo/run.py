"""The demo itself: start everything, fail and heal on request, show what arrives, stop everything."""

from __future__ import annotations

import asyncio
import shutil
import signal
import sys
import textwrap
import time
from contextlib import AsyncExitStack
from datetime import datetime
from pathlib import Path

import aiohttp

from config.problems import ConfigError
from deploy.demo.control import Control, ask, state_folder
from deploy.demo.plan import Plan, make_plan, write_config
from deploy.demo.processes import DemoError, Running, check_free
from deploy.demo.receiver import Message, Receiver

_START_SECONDS = 60.0
_PUSH_SECONDS = 20.0
_RESOLVED_SECONDS = 90.0
_SETTLE_SECONDS = 3.0


class Demo:
    """One running demo. ``start`` and ``stop`` are apart from the terminal, so that tests run the real thing."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.receiver = Receiver(show_message)
        self.plan: Plan | None = None
        self._exporters: dict[str, Running] = {}
        self._stack = AsyncExitStack()

    async def start(self) -> Plan:
        """Bring everything up. Raises DemoError or ConfigError; what was started is stopped again."""
        async with AsyncExitStack() as stack:
            _claim(self.folder)
            address = await self.receiver.start()
            stack.push_async_callback(self.receiver.stop)
            cluster = write_config(self.folder / "config", address)
            self.plan = plan = make_plan(cluster, self.folder, address)
            programs = [*plan.exporters.values(), plan.aggregator]
            check_free(programs)
            session = await stack.enter_async_context(aiohttp.ClientSession())
            say(f"starting {len(plan.exporters)} exporters and the aggregator …")
            for name, program in plan.exporters.items():
                running = Running(program, self.folder / "logs" / f"{name}.log")
                stack.push_async_callback(running.stop)
                await running.start()
                self._exporters[name] = running
            aggregator = Running(plan.aggregator, self.folder / "logs" / "aggregator.log")
            stack.push_async_callback(aggregator.stop)
            await aggregator.start()
            for running in (*self._exporters.values(), aggregator):
                await running.wait_up(session, _START_SECONDS)
            control = Control(self.folder / "control", self.order)
            await control.start()
            stack.push_async_callback(control.stop)
            self._stack = stack.pop_all()
        return plan

    async def stop(self) -> None:
        await self._stack.aclose()

    async def order(self, verb: str, node: str) -> str:
        """``fail`` or ``heal`` a node; returns what to tell the person. Raises DemoError."""
        running = self._exporters.get(node)
        if running is None:
            raise DemoError(f'no node "{node}" here; there are {", ".join(self._exporters)}')
        if verb == "fail":
            if not running.alive:
                raise DemoError(f"{node} is down already; heal it with: tierwatch demo heal {node}")
            pid = running.pid
            await running.kill()
            say(f"{node}: its exporter (pid {pid}) was killed")
            return f"{node} is down (exporter pid {pid} killed); the notification comes to the demo's terminal and page"
        if verb == "heal":
            if running.alive:
                raise DemoError(f"{node} is up; nothing to heal")
            await running.start()
            say(f"{node}: its exporter runs again (pid {running.pid})")
            return f"{node} is up again (exporter pid {running.pid}); the resolved message follows"
        raise DemoError(f"the demo knows fail and heal, not {verb}")


def _claim(folder: Path) -> None:
    """A fresh folder, unless a demo that runs owns it."""
    if (folder / "control").exists():
        try:
            ask("hello", "")
        except DemoError as error:
            if "no demo is running" not in str(error):
                raise DemoError("a demo is running already; stop it with Ctrl-C in its terminal") from error
    shutil.rmtree(folder, ignore_errors=True)
    try:
        # Made here and by nobody else: in /tmp a folder of this name may be somebody's trap.
        folder.parent.mkdir(parents=True, exist_ok=True)
        folder.mkdir(mode=0o700)
        (folder / "logs").mkdir()
        (folder / "data").mkdir(mode=0o700)
    except OSError as error:
        raise DemoError(
            f"{folder}: cannot be made afresh ({error.strerror}); set XDG_RUNTIME_DIR to a folder of yours"
        ) from error


def say(text: str) -> None:
    sys.stdout.write(f"{_clock()}  {text}\n")
    sys.stdout.flush()


def show_message(message: Message) -> None:
    """A notification, as the phone would show it."""
    body = textwrap.indent(message.body.strip(), " " * 10 + "│ ")
    sys.stdout.write(f"{_clock()}  ┌ {message.title}\n{body}\n")
    sys.stdout.flush()


def _clock() -> str:
    return datetime.now().astimezone().strftime("%H:%M:%S")


async def run_until_interrupted(folder: Path | None = None) -> int:
    """``tierwatch demo``: until Ctrl-C. Returns the exit status."""
    demo = Demo(folder or state_folder())
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopping.set)
    starting = loop.create_task(demo.start())
    interrupted = loop.create_task(stopping.wait())
    await asyncio.wait({starting, interrupted}, return_when=asyncio.FIRST_COMPLETED)
    if not starting.done():
        starting.cancel()
        await asyncio.gather(starting, return_exceptions=True)
        say("stopped; nothing is left running")
        return 130
    try:
        plan = starting.result()
    except (DemoError, ConfigError) as error:
        interrupted.cancel()
        sys.stderr.write(f"tierwatch demo: {error}\n")
        return 1
    first = "AGX0" if "AGX0" in plan.exporters else next(iter(plan.exporters))
    say(
        f"the page: {plan.page} - next, in another terminal: .venv/bin/tierwatch demo fail {first}, "
        f"then … heal {first} (Ctrl-C here stops everything; board hardware is replayed, host figures are real)"
    )
    await interrupted
    say("stopping …")
    await demo.stop()
    say("stopped; nothing is left running")
    return 0


async def run_once(scenario: str, folder: Path | None = None) -> int:
    """``tierwatch demo --once node-down``: fail, wait for the push, heal, wait for the resolved, stop. 0 or 1."""
    if scenario != "node-down":
        sys.stderr.write(f"tierwatch demo: no scenario {scenario!r}; there is: node-down\n")
        return 2
    demo = Demo(folder or state_folder())
    try:
        plan = await demo.start()
    except (DemoError, ConfigError) as error:
        sys.stderr.write(f"tierwatch demo: {error}\n")
        return 1
    try:
        node = "AGX0" if "AGX0" in plan.exporters else next(iter(plan.exporters))
        say(f"everything is up; the page: {plan.page}")
        await asyncio.sleep(_SETTLE_SECONDS)
        return await _node_down(demo, node)
    finally:
        await demo.stop()
        say("stopped; nothing is left running")


async def _node_down(demo: Demo, node: str) -> int:
    before = len(demo.receiver.messages)
    failed = time.monotonic()
    await demo.order("fail", node)
    fired = await demo.receiver.wait_for(lambda m: node in m.title and not m.resolved, _PUSH_SECONDS, before)
    if fired is None:
        say(f"FAILED: no notification about {node} within {_PUSH_SECONDS:.0f} s; logs: {demo.folder / 'logs'}")
        return 1
    # Exactly one: whatever else might follow has the time of an evaluation to show itself.
    await asyncio.sleep(_SETTLE_SECONDS)
    healed = time.monotonic()
    await demo.order("heal", node)
    resolved = await demo.receiver.wait_for(lambda m: node in m.title and m.resolved, _RESOLVED_SECONDS, before)
    about = [message for message in demo.receiver.messages[before:] if node in message.title]
    if resolved is None:
        say(f"FAILED: no resolved message about {node} within {_RESOLVED_SECONDS:.0f} s; logs: {demo.folder / 'logs'}")
        return 1
    say(f"{node} killed  -> notification after {fired.seconds - failed:5.1f} s")
    say(f"{node} healed  -> resolved     after {resolved.seconds - healed:5.1f} s")
    if len(about) != 2:
        say(f"FAILED: expected one notification and one resolved about {node}, got {len(about)} messages")
        return 1
    say("one notification, one resolved: fine")
    return 0
