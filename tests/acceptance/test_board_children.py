"""tegrastats and vcgencmd as real children: replayed, dying, silent, refusing to end."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from aiohttp import ClientSession

from exporters import registry
from exporters.app import App, Options
from exporters.collectors.board import BoardSensors
from exporters.collectors.own import Identity
from exporters.sources.board import BoardPaths
from exporters.sources.raspberrypi import throttling_of
from exporters.sources.raspberrypi_vcgencmd import ThrottleWatch, Vcgencmd, VcgencmdFailed
from exporters.sources.tegrastats_child import TegrastatsChild
from tests.support.machine import PATIENCE

pytestmark = pytest.mark.acceptance

DEMO = Path(__file__).parents[2] / "deploy/demo"
LINE = "RAM 1000/3964MB (lfb 98x4MB) CPU [16%@204] GR3D_FREQ 10% cpu@36C"


@contextmanager
def running(command: list[str], interval_ms: int = 50) -> Iterator[TegrastatsChild]:
    child = TegrastatsChild(command, interval_ms=interval_ms, first_backoff=0.05)
    child.start()
    try:
        yield child
    finally:
        child.stop()


def until(condition: Callable[[], object], seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds * PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "did not happen"
        time.sleep(0.01)


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0]
    except OSError:
        return False
    return state != "Z"


def told(pids: Path) -> list[int]:
    """The processes that have written who they are; where the machine is busy some are ended before they get to."""
    return [int(word) for word in pids.read_text().split()] if pids.exists() else []


def our_children() -> list[int]:
    """The processes our threads have started; a child belongs to the thread that started it."""
    found: list[int] = []
    for task in Path("/proc/self/task").iterdir():
        try:
            found += map(int, (task / "children").read_text().split())
        except OSError:
            continue
    return found


def script(tmp_path: Path, text: str) -> list[str]:
    path = tmp_path / "tegrastats"
    path.write_text("#!/bin/sh\n" + text)
    path.chmod(0o755)
    return [str(path)]


def test_the_replayed_lines_arrive() -> None:
    replay = [sys.executable, str(DEMO / "tegrastats_replay.py"), str(DEMO / "boards/AGX0/tegrastats.txt")]
    # Ten intervals may pass before it begins, or it is started again.
    with running(replay, interval_ms=300) as child:
        rams = set()

        def all_lines() -> bool:
            line = child.latest(time.monotonic())
            if line is not None and line.ram is not None:
                rams.add(line.ram.used >> 20)
            return len(rams) == 5

        until(all_lines, 30)
        assert rams == {6873, 6885, 7029, 18207, 18202}
        assert child.fault == ""


def test_it_is_started_again_and_says_why(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    count = tmp_path / "count"
    command = script(tmp_path, f'echo x >> {count}\necho "no rights here" >&2\nexit 3\n')
    with running(command, interval_ms=6000) as child:  # a minute until silence would be the reason
        until(lambda: child.restarts >= 3)
        assert "ended with status 3; it said 'no rights here'" in child.fault
        assert child.latest(time.monotonic()) is None
    started = len(count.read_text().split())
    assert started in (child.restarts, child.restarts + 1)
    warnings = [record.message for record in caplog.records if record.levelname == "WARNING"]
    assert len(warnings) == 1, "told once, not at each try"


def test_a_program_that_is_not_there() -> None:
    with running(["/nowhere/tegrastats"]) as child:
        until(lambda: child.fault)
        assert child.fault == "/nowhere/tegrastats: cannot be started: No such file or directory"


def test_a_silent_program_is_ended_and_started_again(tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    command = script(tmp_path, f'echo $$ >> {pids}\necho "{LINE}"\nexec sleep 600\n')
    with running(command, interval_ms=20) as child:
        until(lambda: child.restarts >= 1 and told(pids) and not alive(told(pids)[0]))
    assert not [pid for pid in told(pids) if alive(pid)]


def test_chatter_that_is_no_line_does_not_pass_for_life(tmp_path: Path) -> None:
    command = script(tmp_path, "while :; do echo nonsense; sleep 0.02; done\n")
    with running(command, interval_ms=20) as child:
        until(lambda: "no line for" in child.fault and "nonsense" in child.fault)
        assert child.latest(time.monotonic()) is None


@pytest.mark.parametrize("trap", ["", "trap '' TERM\n"])
def test_stopping_ends_the_whole_group_even_if_it_will_not(tmp_path: Path, trap: str) -> None:
    pids = tmp_path / "pids"
    command = script(
        tmp_path,
        f"{trap}echo $$ >> {pids}\n(trap '' TERM; exec sleep 600) &\necho $! >> {pids}\n"
        f"while :; do echo '{LINE}'; sleep 0.02; done\n",
    )
    with running(command, interval_ms=6000) as child:  # a minute until silence would end it
        until(lambda: child.latest(time.monotonic()))
        both = told(pids)
        assert len(both) == 2
        assert os.getpgid(both[0]) == both[0] != os.getpgrp()
    until(lambda: not any(alive(pid) for pid in both))


def test_a_line_cut_into_pieces_is_one_line(tmp_path: Path) -> None:
    head, tail = LINE[:30], LINE[30:]
    command = script(
        tmp_path, f"while :; do printf '{head}'; sleep 0.03; printf '{tail}\\n'; done\n".replace("%", "%%")
    )
    with running(command, interval_ms=6000) as child:
        until(lambda: child.latest(time.monotonic()))
        line = child.latest(time.monotonic())
        assert line is not None
        assert line.temperatures == {"cpu": 36}


def test_the_replay_ends_when_nobody_reads(tmp_path: Path) -> None:
    recording = tmp_path / "lines"
    recording.write_text(LINE + "\n")
    command = [sys.executable, str(DEMO / "tegrastats_replay.py"), str(recording), "--interval", "5"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as replay:
        assert replay.stdout is not None
        assert replay.stderr is not None
        assert replay.stdout.readline().decode() == LINE + "\n"
        replay.stdout.close()
        assert replay.wait(10 * PATIENCE) == 0
        assert replay.stderr.read() == b""


def vcgencmd(answers: Path) -> Vcgencmd:
    return Vcgencmd([sys.executable, str(DEMO / "vcgencmd_replay.py"), str(answers)], deadline=5.0 * PATIENCE)


def test_answers_are_asked_anew(tmp_path: Path) -> None:
    answers = tmp_path / "answers"
    answers.write_text("throttled=0x50005\nfrequency(48)=1677427712\n")
    watch = ThrottleWatch(tmp_path, vcgencmd(answers))
    watch.tick(0)
    assert watch.throttling(0) == throttling_of(0x50005)
    assert watch.arm_hertz(0) == 1677427712
    answers.write_text("throttled=0x50000\n")
    watch.tick(10)
    assert watch.throttling(40) == throttling_of(0x50000)
    assert watch.arm_hertz(10) is None
    assert watch.throttling(40.1) is None


def test_an_error_text_with_status_0_is_a_fault(tmp_path: Path) -> None:
    command = script(tmp_path, 'echo "Can\'t open device file: /dev/vcio"\n')
    watch = ThrottleWatch(tmp_path, Vcgencmd(command))
    watch.tick(0)
    assert watch.throttling(0) is None
    assert "Can't open device file: /dev/vcio" in watch.fault
    assert "usermod -aG video" in watch.fault


def test_no_answer_in_time(tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    command = script(tmp_path, f"echo $$ > {pids}\nexec sleep 600\n")
    deadline = 0.25
    while not told(pids):
        deadline *= 2
        with pytest.raises(VcgencmdFailed, match=rf"get_throttled: no answer within {deadline:g} s"):
            Vcgencmd(command, deadline=deadline).ask("get_throttled")
    assert not [pid for pid in told(pids) if alive(pid)]


def test_an_endless_answer_is_cut(tmp_path: Path) -> None:
    command = script(tmp_path, "exec yes throttled=0x0\n")
    assert len(Vcgencmd(command, deadline=5).ask("get_throttled")) == 4096


def test_no_program(tmp_path: Path) -> None:
    watch = ThrottleWatch(tmp_path, Vcgencmd(["/nowhere/vcgencmd"]))
    watch.tick(0)
    assert watch.fault == "/nowhere/vcgencmd get_throttled: cannot be started: No such file or directory"


async def test_an_exporter_serves_a_recorded_jetson_and_leaves_nothing_behind() -> None:
    """The lines of the child end on the page, and stopping the exporter ends the child."""
    replay = [sys.executable, str(DEMO / "tegrastats_replay.py"), str(DEMO / "boards/AGX0/tegrastats.txt")]
    board = BoardSensors(BoardPaths.below(DEMO / "boards/AGX0"), replayed=True, tegrastats=replay)
    identity = Identity("AGX0", "2", "jetson-agx-orin-64gb", "0", "3")
    app = App(Options(registry.Settings(identity=identity, board=board), ("127.0.0.1", 0)))
    await app.start()
    try:
        host, port = app.address
        page = ""
        deadline = time.monotonic() + 20 * PATIENCE
        async with ClientSession() as session:
            while "tierwatch_jetson_memory_used_bytes " not in page:
                assert time.monotonic() < deadline, page
                await asyncio.sleep(0.2)
                async with session.get(f"http://{host}:{port}/metrics") as answer:
                    page = await answer.text()
        replays = our_children()
    finally:
        await app.stop()
    assert 'tierwatch_exporter_replay_info{what="board"} 1.0' in page
    assert 'tierwatch_jetson_power_watts{rail="VDD_GPU_SOC"} 3.2' in page
    assert "\ntierwatch_jetson_gpu_utilization_max_ratio 0.4\n" in page
    assert 'node_thermal_zone_temp{zone="0",type="cpu-thermal"} 47.906' in page
    assert 'node_scrape_collector_success{collector="jetson_tegrastats"} 1.0' in page
    assert replays
    assert not [pid for pid in replays if alive(pid)]
