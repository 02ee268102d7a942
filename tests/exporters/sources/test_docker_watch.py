from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from exporters.sources import docker_watch
from exporters.sources.docker_answers import Container, Listed
from exporters.sources.docker_engine import Engine, EngineFailed
from exporters.sources.docker_watch import RETENTION, ContainerWatch, View
from tests.exporters.support import FAR
from tests.support.docker_daemon import DockerDaemon, container, daemon

NOW = 1_795_435_000.0
# Seconds after which a daemon is given up that never answers.
SOON = 0.3
ENDED = "2026-11-23T11:00:00Z"


class World:
    """A daemon, a watch on it, and what was published each time something was told to have changed."""

    def __init__(self, running: DockerDaemon, poll: float, patience: float = FAR) -> None:
        self.daemon = running
        self.clock = 100.0
        self.told: list[View] = []
        self._more = asyncio.Event()
        engine = Engine(str(running.path), short=patience, long=2 * patience)
        self.watch = ContainerWatch(
            engine,
            self._changed,
            wall=lambda: NOW,
            wanted={"wanted"},
            clock=lambda: self.clock,
            poll=poll,
            first_backoff=0.02,
        )

    def _changed(self, kind: str) -> None:
        assert kind == "container"
        self.told.append(self.watch.view)
        self._more.set()

    async def until(self, seen: Callable[[View], bool]) -> View:
        """The first view that was told of and is so."""
        async with asyncio.timeout(FAR):
            while not (self.told and seen(self.told[-1])):
                self._more.clear()
                await self._more.wait()
        return self.told[-1]

    async def settles(self, condition: Callable[[], bool]) -> None:
        """Until something is so that nobody is told of."""
        async with asyncio.timeout(FAR):
            while not condition():  # noqa: ASYNC110
                await asyncio.sleep(0.01)

    def kill(self, name: str, code: int = 137, **state: object) -> None:
        """As docker tells it when the process was killed."""
        made = container(name)["Id"]
        self.daemon.change(made, Status="exited", ExitCode=code, Pid=0, FinishedAt=ENDED, **state)
        self.daemon.tell("die", made, exitCode=str(code))


@asynccontextmanager
async def world(path: Path, *names: str, poll: float = 3600.0, patience: float = FAR) -> AsyncIterator[World]:
    """``poll``: seconds between two lists; ``patience``: until a daemon that does not answer is given up."""
    async with daemon(path / "s", *(container(name) for name in names)) as running:
        made = World(running, poll, patience)
        made.watch.start()
        try:
            await made.until(lambda view: not view.reason)
            yield made
        finally:
            await made.watch.aclose()


def state(view: View, name: str) -> str:
    return view.known[name].container.state if name in view.known else ""


async def test_a_killed_container_is_published_before_it_is_told(tmp_path: Path) -> None:
    async with world(tmp_path, "web", "db") as here:
        here.kill("web")
        view = await here.until(lambda view: state(view, "web") == "exited")
        known = view.known["web"]
        assert (known.container.exit_code, known.asked, known.seen) == (137, False, known.container.finished)
        assert state(view, "db") == "running"
        assert view.known["db"].seen == NOW
        assert view.events == 1


@pytest.mark.parametrize(("signal", "asked"), [("15", True), ("3", True), ("9", False), ("1", False)])
async def test_who_was_asked_to_stop(tmp_path: Path, signal: str, asked: bool) -> None:
    async with world(tmp_path, "web") as here:
        here.daemon.tell("kill", container("web")["Id"], signal=signal)
        here.kill("web")
        view = await here.until(lambda view: state(view, "web") == "exited")
        assert view.known["web"].asked is asked
        here.daemon.change(container("web")["Id"], Status="running", StartedAt="2026-11-23T12:00:00Z")
        here.daemon.tell("start", container("web")["Id"])
        view = await here.until(lambda view: state(view, "web") == "running")
        assert not view.known["web"].asked  # a new run


async def test_an_oom_kill_counts_once_with_or_without_its_event(tmp_path: Path) -> None:
    async with world(tmp_path, "told", "silent") as here:
        here.daemon.tell("oom", container("told")["Id"])
        here.kill("told", OOMKilled=True)
        here.kill("silent", OOMKilled=True)
        await here.until(lambda view: state(view, "told") == state(view, "silent") == "exited")
        here.daemon.tell("update", container("silent")["Id"])
        here.daemon.tell("update", container("told")["Id"])
        view = await here.until(lambda view: view.events == 5)
        assert {name: known.ooms for name, known in view.known.items()} == {"told": 1, "silent": 1}


async def test_oom_kills_of_a_loop_add_up(tmp_path: Path) -> None:
    async with world(tmp_path, "web") as here:
        for second in range(5):
            here.daemon.tell("oom", container("web")["Id"])
            here.daemon.change(container("web")["Id"], StartedAt=f"2026-11-23T12:00:0{second}Z")
            here.daemon.tell("start", container("web")["Id"])
        view = await here.until(lambda view: view.events == 10)
        assert view.known["web"].ooms == 5


async def test_a_new_name(tmp_path: Path) -> None:
    async with world(tmp_path, "web") as here:
        here.daemon.containers[container("web")["Id"]]["Name"] = "/shop"
        here.daemon.tell("rename", container("web")["Id"], oldName="/web")
        view = await here.until(lambda view: "shop" in view.known)
        assert set(view.known) == {"shop"}


async def test_a_removed_container_is_told_of_for_a_while(tmp_path: Path) -> None:
    async with world(tmp_path, "web", "db", poll=0.05) as here:
        del here.daemon.containers[container("web")["Id"]]
        here.daemon.tell("die", container("web")["Id"], exitCode="9")
        here.daemon.tell("destroy", container("web")["Id"])
        view = await here.until(lambda view: "web" in view.gone)
        assert set(view.known) == {"db"}
        assert (view.gone["web"].container.exit_code, view.gone["web"].container.state) == (9, "exited")
        here.clock += RETENTION
        await here.settles(lambda: not here.watch.view.gone)


async def test_a_wanted_container_that_was_removed_is_told_of_until_there_is_another(tmp_path: Path) -> None:
    async with world(tmp_path, "wanted", "other", poll=0.05) as here:
        for name in ("wanted", "other"):
            made = container(name)["Id"]
            del here.daemon.containers[made]
            here.daemon.tell("oom", made)
            here.daemon.tell("die", made, exitCode="137")
            here.daemon.tell("destroy", made)
        view = await here.until(lambda view: {"wanted", "other"} <= view.gone.keys())
        assert view.gone["wanted"].run_ooms == 1
        here.clock += 10 * RETENTION
        await here.settles(lambda: set(here.watch.view.gone) == {"wanted"})


async def test_a_job_that_was_done_and_removed_is_forgotten_at_once(tmp_path: Path) -> None:
    async with world(tmp_path, "job", "failed", "wanted") as here:
        for name, code in (("job", "0"), ("failed", "1"), ("wanted", "0")):
            made = container(name)["Id"]
            del here.daemon.containers[made]
            here.daemon.tell("die", made, exitCode=code)
            here.daemon.tell("destroy", made)
        view = await here.until(lambda view: view.events == 6 and not view.known)
        assert set(view.gone) == {"failed", "wanted"}


async def test_a_container_that_is_made_anew_takes_the_place_of_the_old(tmp_path: Path) -> None:
    async with world(tmp_path, "web") as here:
        del here.daemon.containers[container("web")["Id"]]
        here.daemon.tell("destroy", container("web")["Id"])
        await here.until(lambda view: "web" in view.gone)
        made = container("web") | {"Id": "f" * 64}
        here.daemon.containers[made["Id"]] = made
        here.daemon.tell("create", made["Id"])
        view = await here.until(lambda view: "web" in view.known)
        assert view.known["web"].container.id == "f" * 64
        assert not view.gone


async def test_a_burst_of_events_is_one_look_at_each_container(tmp_path: Path) -> None:
    async with world(tmp_path, *(f"c{number}" for number in range(20))) as here:
        asked, told = len(here.daemon.asked), len(here.told)
        for number in range(1000):
            here.daemon.tell("start", container(f"c{number % 20}")["Id"])
        here.kill("c7")
        view = await here.until(lambda view: view.events == 1001 and state(view, "c7") == "exited")
        assert len(here.daemon.asked) - asked < 200
        assert len(here.told) - told < 20
        assert [name for name in view.known if state(view, name) != "running"] == ["c7"]


async def test_a_daemon_that_goes_and_comes_back(tmp_path: Path) -> None:
    async with world(tmp_path, "web") as here:
        await here.daemon.stop()
        view = await here.until(lambda view: view.reason in ("missing", "refused"))
        assert state(view, "web") == "running"  # the last that was known; its age is told
        here.daemon.change(container("web")["Id"], Status="exited", ExitCode=1, FinishedAt=ENDED)
        await here.daemon.start()
        view = await here.until(lambda view: not view.reason)
        assert state(view, "web") == "exited"
        assert view.connections >= 2


async def test_a_daemon_that_hangs(tmp_path: Path) -> None:
    async with world(tmp_path, "web", poll=0.05, patience=SOON) as here:
        here.daemon.fault["/containers/json"] = "hang"
        view = await here.until(lambda view: view.reason == "timeout")
        answered = view.answered
        here.daemon.fault.clear()
        here.clock += 50
        view = await here.until(lambda view: not view.reason)
        assert answered is not None
        assert view.answered == answered + 50


async def test_events_that_nobody_sent_are_found_by_looking(tmp_path: Path) -> None:
    async with world(tmp_path, "web", poll=0.05) as here:
        here.daemon.change(container("web")["Id"], Status="exited", ExitCode=1)
        await here.until(lambda view: state(view, "web") == "exited")


async def test_one_container_that_does_not_answer_costs_only_its_details(tmp_path: Path) -> None:
    async with world(tmp_path, "web", "db", patience=SOON) as here:
        here.daemon.fault[f"/containers/{container('web')['Id']}/json"] = "hang"
        here.kill("web", 4)
        here.kill("db", 5)
        view = await here.until(lambda view: state(view, "web") == "exited")
        assert view.known["web"].container.exit_code == 4  # the event said so
        assert view.known["db"].container.exit_code == 5
        assert not view.reason


async def test_a_container_that_never_answered_is_known_from_the_list(tmp_path: Path) -> None:
    async with daemon(tmp_path / "s", container("web")) as running:
        running.fault[f"/containers/{container('web')['Id']}/json"] = "hang"
        here = World(running, 3600.0, SOON)
        here.watch.start()
        try:
            view = await here.until(lambda view: not view.reason)
            assert state(view, "web") == "running"
        finally:
            await here.watch.aclose()


async def test_more_containers_than_are_watched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(docker_watch, "MAX_CONTAINERS", 3)
    async with world(tmp_path, *(f"c{number}" for number in range(5))) as here:
        assert len(here.watch.view.known) == 3
        assert here.watch.view.ignored == 2


async def test_a_fault_of_our_own_is_told_and_survived(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with world(tmp_path, "web") as here:
        with monkeypatch.context() as broken:
            broken.setattr(here.watch, "_learn", None)
            here.kill("web")
            await here.until(lambda view: view.reason == "answer")
        view = await here.until(lambda view: not view.reason)
        assert state(view, "web") == "exited"


async def test_a_late_answer_does_not_undo_a_newer_one(tmp_path: Path) -> None:
    async with world(tmp_path, "web") as here:
        before = here.watch.view.known["web"].container
        here.kill("web")
        await here.until(lambda view: state(view, "web") == "exited")
        here.watch._learn(before, 2)  # asked before that, answered after it
        here.watch._publish()
        assert state(here.watch.view, "web") == "exited"


async def test_an_answer_that_comes_after_the_end_of_its_container_does_not_bring_it_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with world(tmp_path, "web") as here:
        engine, made = here.watch._engine, container("web")["Id"]
        ask, asked, go = engine.inspect, asyncio.Event(), asyncio.Event()

        async def slow(container: str) -> Container:
            answer = await ask(container)
            asked.set()
            await go.wait()
            return answer

        monkeypatch.setattr(engine, "inspect", slow)
        here.daemon.tell("update", made)
        async with asyncio.timeout(FAR):
            await asked.wait()
            del here.daemon.containers[made]
            here.daemon.tell("die", made, exitCode="1")
            here.daemon.tell("destroy", made)
            while here.watch.view.events < 3:  # noqa: ASYNC110  # told by nobody
                await asyncio.sleep(0.001)
        go.set()
        view = await here.until(lambda view: view.events == 3)
        assert not view.known
        assert (view.gone["web"].container.state, view.gone["web"].container.exit_code) == ("exited", 1)
        async with asyncio.timeout(FAR):
            while here.watch._learnt:  # nor is it remembered for ever
                await here.watch._resync(everything=False)


async def test_a_container_made_while_the_list_was_on_its_way_is_not_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with world(tmp_path, "web") as here:
        engine = here.watch._engine
        ask = engine.containers

        async def slow() -> list[Listed]:
            answer = await ask()
            made = container("new")
            here.daemon.containers[made["Id"]] = made
            here.daemon.tell("create", made["Id"])
            await here.until(lambda view: "new" in view.known)
            return answer

        monkeypatch.setattr(engine, "containers", slow)
        assert not await here.watch._resync(everything=False)
        assert set(here.watch.view.known) == {"web", "new"}


async def test_nothing_is_kept_of_containers_that_nobody_lists(tmp_path: Path) -> None:
    async with world(tmp_path, "web", poll=0.05) as here:
        for number in range(50):
            here.daemon.tell("oom", f"{number:064x}")
        await here.until(lambda view: view.events == 50)
        await here.settles(lambda: not here.watch._last_oom and not here.watch._run_ooms)


async def test_it_can_be_ended_from_another_thread(tmp_path: Path) -> None:
    async with world(tmp_path, "web") as here:
        await asyncio.to_thread(here.watch.stop)
        await asyncio.to_thread(here.watch.stop)


async def test_it_ends_even_when_docker_goes_at_the_same_moment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with daemon(tmp_path / "s", container("web")) as running:
        here = World(running, 3600.0)
        gone: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        async def follow(_: object) -> None:
            await gone

        monkeypatch.setattr(here.watch, "_follow", follow)
        here.watch.start()
        task = here.watch._task
        assert task is not None
        await here.until(lambda view: not view.reason)
        gone.set_exception(EngineFailed("broken", "Docker closed the stream of events"))
        await here.watch.aclose()
        assert task.done()
