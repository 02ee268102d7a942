"""What the aggregator costs: ``python -m tests.bench.bench_aggregator [--rounds N] [--simulated] [--profile]``.

The real program over seven recorded nodes whose pages are served by another process, with the shipped configuration:
CPU for a round of five seconds by part, share of a core, resident memory. ``--simulated`` leaves the network and the
waiting out (see ``simulated``); with ``--profile`` it also says where the time goes.
"""

from __future__ import annotations

import argparse
import cProfile
import json
import pstats
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from socket import create_server
from typing import Any

from config.yamlfile import dump, read
from deploy.demo.plan import SHIPPED, demo_addresses, demo_alerting, demo_inventory
from tests.bench.recorded import nodes
from tests.bench.simulated import Simulation

ROUND_S = 5
WARM_ROUNDS = 4


@dataclass(frozen=True)
class Cost:
    """``milliseconds``: CPU of a round by part, medians. ``resident``: bytes after each round."""

    milliseconds: dict[str, float]
    resident: tuple[int, ...] = ()


def write_config(folder: Path, ports: list[int], own_port: int) -> None:
    """The shipped configuration, moved to loopback addresses and these ports."""
    inventory = demo_inventory(_plain(SHIPPED / "cluster.yaml"))
    for name, port in zip(nodes(), ports, strict=True):
        inventory["nodes"][name]["exporter_port"] = port
        for service in inventory["nodes"][name]["services"].values():
            if service["kind"] == "tierwatch":
                service["port"] = own_port
    alerting = demo_alerting(_plain(SHIPPED / "alerting.yaml"), page="http://127.0.0.1/", receiver=("127.0.0.1", 9))
    folder.mkdir(parents=True)
    (folder / "cluster.yaml").write_text(dump(inventory))
    (folder / "alerting.yaml").write_text(dump(alerting))
    (folder / "rules").symlink_to(SHIPPED / "rules")


def _plain(path: Path) -> dict[str, Any]:
    document = read(path, [])
    assert document is not None
    data: dict[str, Any] = document.value
    return data


@contextmanager
def pages() -> Iterator[list[int]]:
    """The nodes' pages, served; the port of each."""
    inventory = _plain(SHIPPED / "cluster.yaml")
    addresses = demo_addresses(inventory["nodes"])
    command = [sys.executable, "-m", "tests.bench.recorded", *(addresses[name] for name in nodes())]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        yield json.loads(server.stdout.readline())
    finally:
        server.kill()
        server.communicate()


def run(rounds: int) -> Cost:
    """The real process for so many rounds after the first few."""
    with tempfile.TemporaryDirectory() as name, pages() as ports:
        folder = Path(name)
        with create_server(("127.0.0.1", 0)) as free:
            own_port = free.getsockname()[1]
        write_config(folder / "config", ports, own_port)
        hub = demo_addresses(_plain(SHIPPED / "cluster.yaml")["nodes"])["PI41"]
        command = [sys.executable, "-m", "tests.bench.aggregator_process", str(ROUND_S)]
        command += ["--config", str(folder / "config"), "--data", str(folder / "data"), "--listen", f"{hub}:{own_port}"]
        with (folder / "log").open("w") as log:
            program = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)
        try:
            assert program.stdout is not None
            told = [json.loads(program.stdout.readline()) for _ in range(WARM_ROUNDS + rounds + 1)][WARM_ROUNDS:]
        except ValueError:
            raise SystemExit((folder / "log").read_text()) from None
        finally:
            program.terminate()
            program.wait(20)
    used = {
        part: statistics.median(later.get(part, 0) - one.get(part, 0) for one, later in pairwise(told))
        for part in told[-1]
        if part != "resident"
    }
    used["other"] = used["all"] - sum(seconds for part, seconds in used.items() if part != "all")
    return Cost({part: seconds * 1000 for part, seconds in used.items()}, tuple(one["resident"] for one in told))


def simulate(rounds: int, history: int = 120, profile: cProfile.Profile | None = None) -> Cost:
    """Simulated rounds after ``history`` ones without rules."""
    with tempfile.TemporaryDirectory() as name:
        simulation = Simulation(Path(name))
        for _ in range(history):
            simulation.round(rules=False)
        for _ in range(3):
            simulation.round()
        used: dict[str, list[float]] = {}
        for _ in range(rounds):
            simulation.seconds.clear()
            if profile is not None:
                profile.enable()
            simulation.round()
            if profile is not None:
                profile.disable()
            for part, seconds in simulation.seconds.items():
                used.setdefault(part, []).append(seconds)
        simulation.close()
    return Cost({part: statistics.median(seconds) * 1000 for part, seconds in used.items()})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--simulated", action="store_true")
    parser.add_argument("--profile", action="store_true", help="where simulated rounds spend their time")
    arguments = parser.parse_args()
    profile = cProfile.Profile() if arguments.profile else None
    simulated = arguments.simulated or arguments.profile
    cost = simulate(arguments.rounds, profile=profile) if simulated else run(arguments.rounds)
    if profile is not None:
        pstats.Stats(profile, stream=sys.stdout).sort_stats("tottime").print_stats(30)
    for part, milliseconds in cost.milliseconds.items():
        sys.stdout.write(f"{part:10} {milliseconds:8.2f} ms a round  {milliseconds / ROUND_S / 10:6.3f} % of a core\n")
    if cost.resident:
        first, last, most = cost.resident[0], cost.resident[-1], max(cost.resident)
        shown = ", ".join(
            f"{word} {size / 2**20:.1f}" for word, size in (("first", first), ("last", last), ("most", most))
        )
        sys.stdout.write(f"resident   {shown} MiB\n")


if __name__ == "__main__":
    main()
