"""``tierwatch demo``: the whole suite on this machine.

tierwatch demo               start it; Ctrl-C stops it
tierwatch demo fail NODE     in another terminal: kill that node's exporter
tierwatch demo heal NODE     start it again
tierwatch demo --once node-down   all of that by itself; exit 0 when exactly one push and one resolved came
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Sequence

from deploy.demo.processes import DemoError


def main(argv: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="tierwatch demo", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("verb", nargs="?", choices=["fail", "heal"], help="what to do to a running demo")
    parser.add_argument("node", nargs="?", help="the node's name, e.g. AGX0")
    parser.add_argument("--once", metavar="SCENARIO", help="run a scenario and exit: node-down")
    arguments = parser.parse_args(argv)
    if arguments.verb is not None:
        if arguments.node is None:
            parser.error(f"which node? e.g. tierwatch demo {arguments.verb} AGX0")
        return _order(arguments.verb, arguments.node)
    from deploy.demo.run import run_once, run_until_interrupted

    return asyncio.run(run_once(arguments.once) if arguments.once else run_until_interrupted())


def _order(verb: str, node: str) -> int:
    from deploy.demo.control import ask

    try:
        sys.stdout.write(ask(verb, node) + "\n")
    except DemoError as error:
        sys.stderr.write(f"tierwatch demo: {error}\n")
        return 1
    return 0
