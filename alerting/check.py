"""``tierwatch check config``: the inventory and the alerting file, the rules they name, and the receivers' URLs.

On a node, where only the exporter is installed, the files alone are checked, and it says so.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from config import check
from config.load import Config
from config.problems import Problem


def main(argv: Sequence[str]) -> int:
    """Exit status 0 when everything is right, 1 when not."""
    return check.main(argv, _rules_and_urls)


def _rules_and_urls(config: Config) -> Sequence[Problem]:
    try:
        from alerting.build import rules_and_urls
    except ModuleNotFoundError as error:
        sys.stdout.write(f"note: rules and receiver URLs are not checked here: {error.name} is not installed\n")
        return ()
    return rules_and_urls(config)[1]
