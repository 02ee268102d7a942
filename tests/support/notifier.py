"""``python -m tests.support.notifier DATABASE``: the aggregator from alerts to delivery, as a process to be killed.

Standard input: the first line is the receiver's URL; then each line is a JSON list of alert names that fire from now
on. The program stands for the rules: it hands on every firing alert each 100 ms, and says once that one has ended.
Answers ``ready``, and ``taken`` for each list.
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

from alerting.clock import SystemClock
from alerting.dispatch.dispatcher import Dispatcher
from alerting.dispatch.store import open_database
from alerting.model.alert import Alert
from alerting.notify.children import ChildSender, Limits
from alerting.notify.deliverer import Deliverer
from alerting.notify.outbox import Outbox
from config.alerting import Route
from config.secrets import Secret
from tests.alerting.dispatch.support import alert, simple_policy

ROUTE = Route(receiver="phone", group_by=("alertname",), group_wait=0, group_interval=0.2, repeat_interval=3600)
CLOCK = SystemClock()


class Rules:
    def __init__(self, dispatcher: Dispatcher) -> None:
        self.dispatcher = dispatcher
        self.firing: dict[str, Alert] = {}

    def change(self, names: list[str]) -> None:
        now = CLOCK.now_ms()
        gone = [alert(name, one.active_ms, now) for name, one in self.firing.items() if name not in names]
        self.firing = {name: self.firing.get(name) or alert(name, now) for name in names}
        self.dispatcher.update([*self.firing.values(), *gone], now)

    async def evaluate(self) -> None:
        while True:
            await asyncio.sleep(0.1)
            self.dispatcher.update(list(self.firing.values()), CLOCK.now_ms())


async def main(path: Path) -> None:
    loop = asyncio.get_running_loop()
    lines = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    urls = {"phone": (Secret((await lines.readline()).decode().strip()),)}
    database = open_database(path, CLOCK.now_ms())
    outbox = Outbox(database, urls)
    deliverer = Deliverer(outbox, ChildSender(Limits(deadline_s=3)), urls, CLOCK)
    dispatcher = Dispatcher(
        database,
        outbox,
        simple_policy(ROUTE),
        CLOCK,
        on_queued=deliverer.kick,
        on_waiting=deliverer.prepare,
        absent_after_ms=1500,
    )
    rules = Rules(dispatcher)
    tasks = [loop.create_task(one) for one in (deliverer.run(), dispatcher.run(), rules.evaluate())]
    print("ready", flush=True)
    while line := await lines.readline():
        rules.change(json.loads(line))
        print("taken", flush=True)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    database.close()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
