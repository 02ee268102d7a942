"""What nobody is to be told of, with the shipped rules: packets lost and late, scrapes that jitter, and things that
restart cleanly again and again, each within its allowed time. As root.

    python -m tests.bench.bench_quiet 600
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path

from tests.bench.alerting_peer import MISSING, can_tell, telling
from tests.support.receiver import HttpReceiver
from tests.support.restless import LATE, LATER, LOSS, Restless, restless

COUNTED = (
    "tierwatch_scrape_failures_total",
    "tierwatch_nodes_gone_total",
    "tierwatch_event_streams_silent_total",
)
NODES_ANSWER = "up == 0"


def quiet(found: Restless, seconds: float) -> str:
    """What was done, what the aggregator counted, what was told."""
    wire, aggregator = found.cluster.wire, found.cluster.aggregator
    done = found.go_on(seconds)
    # What waits for its time would come now.
    time.sleep(10)
    lines = [
        f"{seconds:.0f} s; {wire.lost} of {wire.carried + wire.lost} packets lost ({LOSS:.0%} each way), the others up "
        f"to {LATE * 1000:.0f} ms late, in bad moments {LATER * 1000:.0f} ms",
        # An exporter is allowed 5 s: on a machine too busy to start it in that time, it is rightly told.
        *(
            f"  {len(times)} times: {name}, {max(times, default=0):.1f} s at most"
            for name, times in sorted(done.items())
        ),
        *(f"  {name} {aggregator.own_metric(name)}" for name in COUNTED),
        f"  told: {len(found.cluster.receiver.posts)} messages {found.cluster.receiver.titles()}",
    ]
    return "\n".join(lines)


def main(words: Sequence[str]) -> None:
    if not can_tell():
        print(MISSING)
    with tempfile.TemporaryDirectory() as name, restless(Path(name)) as found, HttpReceiver() as hook:
        pages = [f"{found.cluster.wire.node(at)}:9191" for at in range(1, found.cluster.nodes + 1)]
        with telling(Path(name) / "peer", pages, NODES_ANSWER, hook) if can_tell() else nullcontext():
            print(quiet(found, float(words[0])))
            if can_tell():
                false = sum(post.json["status"] == "firing" for post in hook.posts)
                print(f"  Prometheus and Alertmanager, each second, asked for {NODES_ANSWER} alone: {false} messages")


if __name__ == "__main__":
    main(sys.argv[1:])
