"""The ``tierwatch`` command: a verb names a function of a room; nothing heavy is imported before it is chosen."""

from __future__ import annotations

import importlib
import signal
import sys
from collections.abc import Callable, Sequence

# words of the verb -> ("module:function", one line of help). The function takes the remaining arguments
# and returns the exit status.
VERBS: dict[tuple[str, ...], tuple[str, str]] = {
    ("check", "config"): (
        "alerting.check:main",
        "check cluster.yaml and alerting.yaml; every problem with file and line",
    ),
    ("check", "rules"): ("alerting.rules.check:main", "check rule files"),
    ("test", "rules"): ("alerting.rules.testrun:main", "run rule tests (promtool's format)"),
    ("exporter",): ("exporters.cli:main", "run the exporter of one node"),
    ("aggregator",): ("alerting.cli:main", "run the aggregator"),
    ("query",): ("alerting.query.cli:main", "ask with PromQL; a table, JSON, or a graph in the terminal"),
    ("import",): ("alerting.transfer.import_cli:main", "OpenMetrics text with timestamps into a data folder"),
    ("export",): ("alerting.transfer.export_cli:main", "OpenMetrics text out of a data folder, running or not"),
    ("backup",): ("alerting.transfer.backup_cli:main", "a consistent copy of a data folder, running or not"),
    ("dashboards",): ("dashboards.build:main", "build --out DIR: write the Grafana dashboards; --check compares"),
    ("demo",): ("deploy.demo.cli:main", "run the whole suite on this machine; demo fail NODE, demo heal NODE"),
}

DAEMONS = {("exporter",), ("aggregator",)}

# What shells say of a program that Ctrl-C ended.
INTERRUPTED = 130


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point of the console script; returns the exit status."""
    words = list(sys.argv[1:] if argv is None else argv)
    if not words or words[0] in ("-h", "--help", "help"):
        print(usage())
        return 0
    if words[0] in ("-V", "--version", "version"):
        print(f"tierwatch {version()}")
        return 0
    for length in (2, 1):
        verb = tuple(words[:length])
        if verb in VERBS:
            if verb in DAEMONS:
                # Nothing has been read yet, so there is nothing to read again; its default would end the process.
                signal.signal(signal.SIGHUP, signal.SIG_IGN)
            try:
                return load(VERBS[verb][0])(words[length:])
            except KeyboardInterrupt:  # before or after the time in which the verb listens for it
                return INTERRUPTED
    print(f"tierwatch: unknown command {' '.join(words[:2])!r}\n\n{usage()}", file=sys.stderr)
    return 2


def load(target: str) -> Callable[[Sequence[str]], int]:
    """The function behind ``module:function``."""
    module, _, name = target.partition(":")
    function: Callable[[Sequence[str]], int] = getattr(importlib.import_module(module), name)
    return function


def usage() -> str:
    width = max(len(" ".join(verb)) for verb in VERBS)
    lines = [f"  {' '.join(verb):<{width}}  {text}" for verb, (_, text) in VERBS.items()]
    return "\n".join(
        [
            "usage: tierwatch COMMAND [options]",
            "",
            *lines,
            "",
            "tierwatch COMMAND --help tells the options of a command.",
        ]
    )


def version() -> str:
    from importlib.metadata import PackageNotFoundError
    from importlib.metadata import version as installed

    try:
        return installed("tierwatch")
    except PackageNotFoundError:
        return "unknown (not installed)"


if __name__ == "__main__":
    sys.exit(main())
