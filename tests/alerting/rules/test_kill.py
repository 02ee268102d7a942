"""kill -9 in the middle of a life: the next process goes on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from alerting.rules.state_store import SqliteStateStore
from tests.alerting.rules.world import World

RULES = """
groups:
  - name: g
    rules:
      - {alert: Now, expr: x > 1}
      - {alert: Later, expr: x > 1, for: 1m}
"""

PROGRAM = """
import asyncio, sys
from pathlib import Path
from alerting.rules.state_store import SqliteStateStore
from tests.alerting.rules.test_kill import RULES
from tests.alerting.rules.world import World

async def main(folder):
    world = World(folder, store=SqliteStateStore(folder / "states.db", 0))
    world.put("x", 2, n="1")
    manager = world.manager(RULES)
    await manager.turn()
    print("saved", flush=True)
    await manager.run()

asyncio.run(main(Path(sys.argv[1])))
"""


def killed_in_the_middle(folder: Path) -> None:
    root = str(Path(__file__).parents[3])
    command = [sys.executable, "-c", PROGRAM, str(folder)]
    environment = {**os.environ, "PYTHONPATH": root}
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=root, env=environment) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"saved\n"
        child.send_signal(signal.SIGKILL)
        assert child.wait(timeout=10) == -signal.SIGKILL


@pytest.mark.acceptance
async def test_states_and_the_progress_of_for_survive_kill_9(tmp_path: Path) -> None:
    killed_in_the_middle(tmp_path)
    store = SqliteStateStore(tmp_path / "states.db", 0)
    world = World(tmp_path, store=store)
    manager = world.manager(RULES)
    assert {alert.name: alert.state for alert in manager.active()} == {"Now": "firing", "Later": "pending"}
    world.clock.advance(60)
    world.put("x", 2, n="1")
    await manager.turn()
    assert {alert.name: alert.state for alert in manager.active()} == {"Now": "firing", "Later": "firing"}
    store.close()
