"""``python -m alerting.notify.worker``: the process in which Apprise runs.

Reads one JSON object a line from standard input, answers with one line each, in order, and ends at the end of input:

    {"op": "ready"}                                                   -> {"ok": true}
    {"op": "check", "urls": [URL, ...]}                               -> {"faults": [TEXT or null, ...]}
    {"op": "send", "url": URL, "title": …, "body": …, "kind": …, "deadline_s": SECONDS}
                                                -> {"outcome": "delivered" or "failed", "reason": TEXT, "retry": BOOL}

An answer ``{"error": TEXT}`` means that the worker cannot do anything. URLs come only this way: never as arguments, in
the environment or in a log.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from alerting.notify.apprise_door import AppriseDoor

# The parent kills a worker that is late; when the parent is gone, the worker ends itself a little later.
_GRACE_S = 5.0


def main() -> int:
    answers = _take_over_output()
    try:
        from alerting.notify.apprise_door import AppriseDoor

        door: AppriseDoor | None = AppriseDoor()
        trouble = ""
    except ImportError as error:
        door, trouble = None, f"Apprise cannot be loaded: {error.name or error} (pip install 'tierwatch[aggregator]')"
    for line in sys.stdin:
        answer = {"error": trouble} if door is None else _answer(door, json.loads(line))
        answers.write(json.dumps(answer) + "\n")
        answers.flush()
    return 0


def _answer(door: AppriseDoor, request: dict[str, Any]) -> dict[str, Any]:
    if request["op"] == "ready":
        # The plugins are loaded with the first URL: load them now.
        door.check("json://localhost/")
        return {"ok": True}
    if request["op"] == "check":
        return {"faults": [door.check(url) for url in request["urls"]]}
    # SIGALRM's default action ends the process, even inside a library that does not come back.
    signal.setitimer(signal.ITIMER_REAL, request["deadline_s"] + _GRACE_S)
    delivery = door.send(request["url"], request["title"], request["body"], request["kind"])
    signal.setitimer(signal.ITIMER_REAL, 0)
    return {"outcome": delivery.outcome, "reason": delivery.reason, "retry": delivery.retry}


def _take_over_output() -> TextIO:
    """The real standard output for answers; whatever a plugin prints goes nowhere."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.close(nowhere)
    return answers


if __name__ == "__main__":
    # A terminal and systemd tell all processes at once to end. It is the parent that ends this one, when the message
    # that is on its way has arrived.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    sys.exit(main())
