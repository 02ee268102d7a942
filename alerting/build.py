"""From files to everything that can be made before anything runs: what start and reload have in common.

All of it can fail, none of it has effects; a reload that fails here has changed nothing.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from alerting.dispatch import policy as policies
from alerting.dispatch.policy import Policy
from alerting.notify.check import CannotCheck, unknown_urls
from alerting.remote.stats import missing_library
from alerting.rules.definitions import AlertingRule, Group
from alerting.rules.load import load_rules
from alerting.scrape.targets import Target, targets_of
from config.cluster import AGGREGATOR_PORT
from config.load import ALERTING_FILE, Config, load
from config.problems import ConfigError, Problem

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Prepared:
    """A whole configuration, ready to be swapped in."""

    config: Config
    groups: tuple[Group, ...]
    policy: Policy
    targets: tuple[Target, ...]

    @property
    def alert_names(self) -> frozenset[str]:
        """The names of every alert that a rule can raise."""
        return frozenset(rule.name for group in self.groups for rule in group.rules if isinstance(rule, AlertingRule))

    @property
    def listen(self) -> tuple[str, int]:
        """Where the inventory says that the aggregator listens: the hub's address and its service's port."""
        cluster = self.config.cluster
        hub = cluster.hub()
        if hub is None:
            return "127.0.0.1", AGGREGATOR_PORT
        node = cluster.nodes[hub]
        ports = [service.port for service in node.services.values() if service.kind == "tierwatch" and service.port]
        return node.address, ports[0] if ports else AGGREGATOR_PORT


def prepare(directory: Path) -> Prepared:
    """Read and check everything. Blocks (files, and Apprise in a process of its own). Raises ConfigError with every
    problem of every file."""
    config = load(directory)
    groups, problems = rules_and_urls(config)
    if problems:
        raise ConfigError(problems)
    if not groups:
        log.warning("no rules: nothing is ever told (rule_files in alerting.yaml, relative to %s)", directory)
    return Prepared(
        config,
        tuple(groups),
        policies.build(config.alerting, config.cluster, external_labels=config.external_labels),
        tuple(targets_of(config)),
    )


def rules_and_urls(config: Config) -> tuple[list[Group], list[Problem]]:
    """The rule groups, and what is wrong with the rule files and the receivers' URLs."""
    problems: list[Problem] = []
    groups: list[Group] = []
    try:
        groups = load_rules(config.rule_paths())
    except ConfigError as error:
        problems += error.problems
    try:
        problems += unknown_urls(config)
    except CannotCheck as error:
        # A worker that does not answer is no reason to stay blind: delivery tries again and tells what is wrong.
        log.warning("receiver URLs could not be checked: %s", error)
    missing = [name for name in ("cramjam", "google.protobuf") if config.remote.write and not _installed(name)]
    if missing:
        problems.append(Problem(str(config.directory / ALERTING_FILE), 0, missing_library(missing[0])))
    return groups, problems


def _installed(name: str) -> bool:
    try:
        return find_spec(name) is not None
    except ModuleNotFoundError:
        return False
