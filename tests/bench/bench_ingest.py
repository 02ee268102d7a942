"""What a sample costs from the socket to the disk: CPU of the whole process for each sample stored.

    python -m tests.bench.bench_ingest [--targets 7 70 700] [--interval S] [--seconds S]

The real aggregator and Prometheus scrape the same living page of node_exporter (586 series, ``motion``) from as many
targets, at the same time; the pages come from a process of its own whose CPU does not count. Everything else does:
HTTP, unpacking (where a program asks for packed pages), reading, storing, staleness, the write-ahead log or tail, flush
and upkeep, and what a process does when idle. Measured from the second minute on (by then nearly every value that moves
at all has moved once), first without rules, then with the shipped ones evaluated once an interval. CPU is told in
hundredths of a second: few targets are measured three times as long. ``beyond idle`` leaves out what the process takes
with nothing to do.
A shorter interval makes what a process does by the clock (flush, housekeeping, timers) weigh less on a sample.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from deploy.demo.plan import SHIPPED
from tests.bench.hub import hub, idle_config, write_config
from tests.bench.prometheus_peer import MISSING, Running, available, prometheus

OURS, THEIRS = "tierwatch", "Prometheus"
COUNTERS = {OURS: "tierwatch_storage_samples_appended_total", THEIRS: "prometheus_tsdb_head_samples_appended_total"}
WARM_S = 60.0
FEW = 50
IDLE_WARM_S = 10.0


@dataclass(frozen=True, slots=True)
class Cost:
    """``microseconds`` of CPU a sample, ``share`` of a core, ``samples`` stored while it was measured."""

    microseconds: float
    share: float
    samples: int
    resident: int


@contextmanager
def page_server(targets: int, step_s: float) -> Iterator[list[tuple[str, int]]]:
    command = [sys.executable, "-m", "tests.bench.page_server", str(targets), str(step_s)]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        yield [(address, port) for address, port in json.loads(server.stdout.readline())]
    finally:
        server.kill()
        server.communicate()


def prometheus_config(addresses: Sequence[tuple[str, int]], interval_s: float, *, rules: bool) -> str:
    """The same targets with the same labels."""
    lines = [
        f"global: {{scrape_interval: {interval_s:g}s, scrape_timeout: {interval_s:g}s, "
        f"evaluation_interval: {interval_s:g}s}}",
        f"rule_files: {json.dumps([f'{SHIPPED}/rules/*.yml'] if rules else [])}",
        "scrape_configs:",
        "  - job_name: node",
        "    static_configs:",
    ]
    for number, (address, port) in enumerate(addresses):
        labels = {"node": f"N{number}", "tier": "1", "board": "generic"}
        lines.append(f"      - {{targets: ['{address}:{port}'], labels: {json.dumps(labels)}}}")
    return "\n".join(lines) + "\n"


def stored(program: Running, counter: str) -> float:
    """Samples stored so far, by the program's own count."""
    with urllib.request.urlopen(f"{program.base}/metrics", timeout=30) as answer:
        text: str = answer.read().decode()
    found = [line for line in text.splitlines() if line.startswith((counter + " ", counter + "{"))]
    return sum(float(line.rpartition(" ")[2]) for line in found)


def measure(targets: int, interval_s: float, seconds: float, *, rules: bool, warm_s: float = WARM_S) -> dict[str, Cost]:
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        home = Path(name)
        addresses = stack.enter_context(page_server(targets, interval_s))
        nodes = {f"N{number}": address for number, address in enumerate(addresses)}
        write_config(home / "config", nodes, interval_s=interval_s, rules=rules)
        programs = {OURS: stack.enter_context(hub(home, ("tests.bench.hub_process", "now")))}
        if available():
            config = prometheus_config(addresses, interval_s, rules=rules)
            programs[THEIRS] = stack.enter_context(prometheus(home / "prometheus" / "data", config))
        time.sleep(warm_s)
        before = {
            program: (running.cpu_seconds(), stored(running, COUNTERS[program]))
            for program, running in programs.items()
        }
        time.sleep(seconds)
        found = {}
        for program, running in programs.items():
            cpu, samples = before[program]
            used, count = running.cpu_seconds() - cpu, stored(running, COUNTERS[program]) - samples
            found[program] = Cost(used / max(count, 1) * 1e6, used / seconds, int(count), running.resident_bytes())
        return found


def idle_share(seconds: float) -> dict[str, float]:
    """What each program takes of a core when it has nothing to scrape and no rules."""
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        home = Path(name)
        idle_config(home / "config")
        programs = {OURS: stack.enter_context(hub(home))}
        if available():
            programs[THEIRS] = stack.enter_context(prometheus(home / "prometheus" / "data", "global: {}\n"))
        time.sleep(IDLE_WARM_S)
        before = {program: running.cpu_seconds() for program, running in programs.items()}
        time.sleep(seconds)
        return {program: (running.cpu_seconds() - before[program]) / seconds for program, running in programs.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--targets", type=int, nargs="+", default=[7, 70, 700])
    parser.add_argument("--interval", type=float, default=15.0)
    parser.add_argument("--seconds", type=float, default=60.0)
    arguments = parser.parse_args()
    if not available():
        print(MISSING)
    print(f"scraped each {arguments.interval:g} s for {arguments.seconds:g} s")
    idle = idle_share(arguments.seconds)
    for program, share in idle.items():
        print(f"{program} with nothing to do: {share * 1000:.2f} ms of CPU a second")
    columns = ("us a sample", "beyond idle", "% of a core", "samples")
    print(f"{'targets':>8} {'rules':>6} {'':12}" + "".join(f"{word:>12}" for word in columns) + f"{'MiB':>8}")
    for targets in arguments.targets:
        for rules in (False, True):
            seconds = arguments.seconds * (3 if targets < FEW else 1)
            for program, cost in measure(targets, arguments.interval, seconds, rules=rules).items():
                beyond = cost.microseconds * (1 - idle[program] / max(cost.share, 1e-9))
                shown = f"{cost.microseconds:12.2f}{beyond:12.2f}{cost.share * 100:12.2f}{cost.samples:12}"
                shown += f"{cost.resident / 2**20:8.0f}"
                print(f"{targets:8} {'yes' if rules else 'no':>6} {program:12}{shown}", flush=True)


if __name__ == "__main__":
    main()
