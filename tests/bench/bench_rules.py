"""What one evaluation of all shipped rules costs: ``python -m tests.bench.bench_rules [--seconds S]``.

The real aggregator and Prometheus scrape the seven recorded nodes (``recorded``, a process of its own) each 5 s, both
with the shipped rule files evaluated each second, and both again without: the difference is what the rules cost, from
the query to the stored result and the state of the alert.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

from alerting.rules.load import load_rules
from config.load import load
from config.yamlfile import dump
from deploy.demo.plan import SHIPPED
from tests.bench import bench_aggregator
from tests.bench.bench_ingest import OURS, THEIRS
from tests.bench.hub import hub
from tests.bench.prometheus_peer import MISSING, available, prometheus

SCRAPE_S = 5
EVALUATE_S = 1
WARM_S = 20.0


def used(seconds: float, *, rules: bool) -> dict[str, float]:
    """CPU seconds of each program while it runs so long."""
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        home = Path(name)
        ports = stack.enter_context(bench_aggregator.pages())
        bench_aggregator.write_config(home / "config", ports, own_port=9)
        _change(home / "config" / "alerting.yaml", rules=rules)
        programs = {OURS: stack.enter_context(hub(home))}
        if available():
            programs[THEIRS] = stack.enter_context(
                prometheus(home / "prometheus" / "data", _prometheus_config(home / "config", rules=rules))
            )
        time.sleep(WARM_S)
        before = {program: running.cpu_seconds() for program, running in programs.items()}
        time.sleep(seconds)
        return {program: running.cpu_seconds() - before[program] for program, running in programs.items()}


def _change(file: Path, *, rules: bool) -> None:
    document = bench_aggregator._plain(file)
    document["timing"] = {
        "scrape_interval": f"{SCRAPE_S}s",
        "scrape_timeout": "4s",
        "evaluation_interval": f"{EVALUATE_S}s",
    }
    document["rule_files"] = ["rules/*.yml"] if rules else []
    file.write_text(dump(document))


def _prometheus_config(folder: Path, *, rules: bool) -> str:
    config = load(folder, {})
    lines = [
        f"global: {{scrape_interval: {SCRAPE_S}s, scrape_timeout: 4s, evaluation_interval: {EVALUATE_S}s}}",
        f"rule_files: {json.dumps([f'{SHIPPED}/rules/*.yml'] if rules else [])}",
        "scrape_configs:",
        "  - job_name: node",
        "    static_configs:",
    ]
    for name, node in config.cluster.nodes.items():
        labels = {"node": name, "tier": str(node.tier), "board": node.board}
        lines.append(f"      - {{targets: ['{node.address}:{node.exporter_port}'], labels: {json.dumps(labels)}}}")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=40.0)
    arguments = parser.parse_args()
    if not available():
        print(MISSING)
    groups = load_rules(sorted((SHIPPED / "rules").glob("*.yml")))
    print(f"{sum(len(group.rules) for group in groups)} rules in {len(groups)} groups, seven nodes")
    print(f"{'milliseconds of CPU':22}{'a cycle of all rules':>22}{'a second without rules':>24}")
    without, with_rules = used(arguments.seconds, rules=False), used(arguments.seconds, rules=True)
    for program, idle in without.items():
        cycle = (with_rules[program] - idle) / arguments.seconds * EVALUATE_S * 1000
        print(f"{program:22}{cycle:22.1f}{idle / arguments.seconds * 1000:24.1f}")


if __name__ == "__main__":
    main()
