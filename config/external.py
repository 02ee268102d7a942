"""``external_labels``: what names this cluster wherever its samples and alerts go, as in Prometheus' ``global`` block
(https://prometheus.io/docs/prometheus/latest/configuration/configuration/#configuration-file).
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from config.problems import Problem
from config.secrets import expand
from config.yamlfile import Document, Key

PLACE: Key = ("external_labels",)
_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
_LONGEST = 1024
# Scraped series and alerts have these already, and the own label counts: another one would never be added.
_TAKEN = frozenset({"__name__", "job", "instance", "node", "tier", "board", "alertname", "severity"})


def external_labels(
    written: Mapping[str, str], document: Document, environ: Mapping[str, str], problems: list[Problem]
) -> dict[str, str]:
    """The labels, variables of the environment filled in; those without a value are left out. What is wrong is added
    to ``problems``."""
    found: dict[str, str] = {}
    for name, text in written.items():
        path: Key = (*PLACE, name)
        if not document.intact(path):
            continue
        try:
            value = _checked(name, text, environ)
        except ValueError as error:
            problems.append(document.problem(path, f"external_labels: {error}"))
        else:
            found |= {name: value} if value else {}
    return found


def _checked(name: str, text: str, environ: Mapping[str, str]) -> str:
    """A label's value. Raises ValueError."""
    if not _NAME.fullmatch(name):
        raise ValueError(f'"{name[:100]}" is no label name; expected letters, digits and _, such as site')
    if name in _TAKEN:
        raise ValueError(f'"{name}" is what series and alerts have already; expected another name, such as site')
    value = expand(text, environ)
    if len(value) > _LONGEST:
        raise ValueError(f'the value of "{name}" has {len(value)} characters; expected at most {_LONGEST}')
    return value
