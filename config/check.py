"""``tierwatch check config``: every problem with file and line, or one line that says what was read."""

from __future__ import annotations

import argparse
import stat
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from config.load import Config, default_directory, load
from config.problems import ConfigError, Problem


def notes(config: Config) -> Iterator[str]:
    """What is allowed and yet probably not meant."""
    for receiver in config.alerting.receivers:
        # A receiver without any source is a decision; one whose source is empty is half set up.
        if receiver.apprise and not config.urls[receiver.name]:
            yield f"receiver {receiver.name} has no URL: alerts sent to it are only shown on the page"
        for source in receiver.apprise:
            path = config.directory / source.url_file
            # A path with a variable in it was read through that; its rights are not looked up again.
            if source.url_file and "${" not in source.url_file and path.stat().st_mode & stat.S_IROTH:
                yield f"{path}: everybody on this machine can read it; chmod o= {path}"
    if not config.rule_paths():
        yield f"rule_files: no rule files in {config.directory}: nothing will ever alert"


def main(argv: Sequence[str], more: Callable[[Config], Sequence[Problem]] = lambda _: ()) -> int:
    """Exit status 0 when everything is right, 1 when not. ``more`` looks at what only other rooms can judge (rules,
    receiver URLs) once the files themselves are right."""
    parser = argparse.ArgumentParser(prog="tierwatch check config", description=__doc__)
    parser.add_argument("--config", type=Path, default=default_directory(), metavar="DIR", help="default: %(default)s")
    arguments = parser.parse_args(argv)
    try:
        config = load(arguments.config)
        if problems := more(config):
            raise ConfigError(problems)
    except ConfigError as error:
        sys.stderr.write(f"{error}\n")
        sys.stderr.write(f"{_count(len(error.problems), 'problem')} in {arguments.config}\n")
        return 1
    sys.stdout.write(f"{arguments.config}: {summary(config)}: fine\n")
    for note in notes(config):
        sys.stdout.write(f"note: {note}\n")
    return 0


def summary(config: Config) -> str:
    cluster = config.cluster
    parts = [
        f"{_count(len(cluster.nodes), 'node')} in {_count(len(cluster.tiers), 'tier')}",
        _count(sum(len(node.services) for node in cluster.nodes.values()), "service"),
        _count(len(cluster.flows), "flow"),
        _count(len(config.alerting.receivers), "receiver"),
    ]
    return f"{cluster.cluster}: {', '.join(parts)}"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
