"""``tierwatch check config``: every problem with file and line, or one line that says what was read."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from config.load import default_directory, load
from config.problems import ConfigError


def main(argv: Sequence[str]) -> int:
    """Exit status 0 when everything is right, 1 when not."""
    parser = argparse.ArgumentParser(prog="tierwatch check config", description=__doc__)
    parser.add_argument("--config", type=Path, default=default_directory(), metavar="DIR", help="default: %(default)s")
    arguments = parser.parse_args(argv)
    try:
        config = load(arguments.config)
    except ConfigError as error:
        sys.stderr.write(f"{error}\n")
        count = len(error.problems)
        sys.stderr.write(f"{count} problem{'s' if count != 1 else ''} in {arguments.config}\n")
        return 1
    cluster = config.cluster
    services = sum(len(node.services) for node in cluster.nodes.values())
    sys.stdout.write(
        f"{arguments.config}: {cluster.cluster}: {len(cluster.nodes)} nodes in {len(cluster.tiers)} tiers, "
        f"{services} services, {len(cluster.flows)} flows, {len(config.alerting.receivers)} receivers: fine\n"
    )
    for name, urls in config.urls.items():
        if not urls:
            sys.stdout.write(f"note: receiver {name} has no URL: alerts sent to it are only shown on the page\n")
    return 0
