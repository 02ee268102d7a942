"""Read, check against the schema, check across, freeze. All problems are found in one go."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from config.alerting import Alerting
from config.cluster import Cluster
from config.crosscheck_alerting import check_alerting
from config.crosscheck_cluster import check_cluster
from config.external import external_labels
from config.problems import ConfigError, Problem
from config.receivers import receiver_urls
from config.remote import Remote, remote_access
from config.secrets import Secret
from config.shape import ShapeChecker
from config.yamlfile import read

CLUSTER_FILE = "cluster.yaml"
ALERTING_FILE = "alerting.yaml"
_MISSING = "no such file; --config must name the folder that holds it"


@dataclass(frozen=True, slots=True)
class Config:
    """Everything the aggregator is told. ``urls``: receiver name -> Apprise URLs, secrets filled in; ``remote``: where
    the other store is, and what opens its door; ``external_labels`` with the environment's values."""

    directory: Path
    cluster: Cluster
    alerting: Alerting
    urls: Mapping[str, tuple[Secret, ...]]
    remote: Remote = field(default_factory=Remote)
    external_labels: Mapping[str, str] = field(default_factory=dict)

    def rule_paths(self) -> list[Path]:
        """The rule files that ``rule_files`` names, relative to the folder, sorted, each once."""
        found = {path for pattern in self.alerting.rule_files for path in self.directory.glob(pattern)}
        return sorted(found)


def default_directory() -> Path:
    """Where the configuration lies when no ``--config`` is given."""
    if named := os.environ.get("TIERWATCH_CONFIG"):
        return Path(named)
    system = Path("/etc/tierwatch")
    return system if (system / CLUSTER_FILE).exists() else Path("config")


def load_cluster(directory: Path) -> Cluster:
    """The inventory. Raises ConfigError with every problem."""
    problems: list[Problem] = []
    cluster = _cluster(directory, problems)
    if cluster is None or problems:
        raise ConfigError(problems)
    return cluster


def load(directory: Path, environ: Mapping[str, str] | None = None) -> Config:
    """Inventory and alerting. Raises ConfigError with every problem of both files."""
    problems: list[Problem] = []
    cluster = _cluster(directory, problems)
    alerting: Alerting | None = None
    urls: dict[str, tuple[Secret, ...]] = {}
    remote = Remote()
    external: dict[str, str] = {}
    document = read(directory / ALERTING_FILE, problems, _MISSING)
    if document is not None:
        alerting = ShapeChecker(document, problems).to_struct(Alerting)
        problems.extend(check_alerting(alerting, document, directory))
        environ = os.environ if environ is None else environ
        urls = receiver_urls(alerting, document, environ, directory, problems)
        remote = remote_access(alerting.storage.remote, document, environ, directory, problems)
        external = external_labels(alerting.external_labels, document, environ, problems)
    if cluster is None or alerting is None or problems:
        raise ConfigError(problems)
    return Config(directory, cluster, alerting, urls, remote, external)


def _cluster(directory: Path, problems: list[Problem]) -> Cluster | None:
    document = read(directory / CLUSTER_FILE, problems, _MISSING)
    if document is None:
        return None
    cluster = ShapeChecker(document, problems).to_struct(Cluster)
    problems.extend(check_cluster(cluster, document))
    return cluster
