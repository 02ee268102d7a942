"""A Jetson's power mode, from the two files ``nvpmodel`` itself keeps: no root, no child process.

``nvpmodel -q`` can take seconds under load and wants root on some releases; what it would print stands in
``/var/lib/nvpmodel/status`` (``pmode:0002``, later releases add ``fmode:quiet``), and the names of the modes in
``/etc/nvpmodel.conf`` (``< POWER_MODEL ID=2 NAME=MODE_30W >``). A board on which nobody ever chose a mode has no status
file and runs the default of the configuration (``< PM_CONFIG DEFAULT=2 >``).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from exporters.sources.board import read_text

MAX_CONF_BYTES = 256 * 1024  # an AGX Orin's has about 20 kB

_STATUS = re.compile(r"\bpmode:(\d{1,4})\b")
_MODEL = re.compile(r"(?m)^\s*<\s*POWER_MODEL\s+ID=(\d{1,4})\s+NAME=([^\s>]{1,64})\s*>")
_DEFAULT = re.compile(r"(?m)^\s*<\s*PM_CONFIG\s+DEFAULT=(\d{1,4})\s*>")


class PowerModeUnreadable(Exception):
    """The files are there and do not tell a mode; the message says which and why."""


@dataclass(frozen=True, slots=True)
class PowerMode:
    """``name`` is empty when the configuration does not name the mode."""

    number: int
    name: str


def read_power_mode(status: Path, conf: Path) -> PowerMode | None:
    """The mode that is set; None on a board without power modes. Raises PowerModeUnreadable."""
    configuration = _read_conf(conf)
    chosen = _chosen(status)
    if chosen is None:
        if configuration is None:
            return None
        default = _DEFAULT.search(configuration)
        if default is None:
            return None  # nothing chosen and no default: not for us to guess
        chosen = int(default[1])
    names = {int(number): name for number, name in _MODEL.findall(configuration or "")}
    return PowerMode(chosen, names.get(chosen, ""))


def _chosen(status: Path) -> int | None:
    try:
        text = read_text(status)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise PowerModeUnreadable(f"{status}: {error.strerror or error}") from error
    found = _STATUS.search(text)
    if found is None:
        raise PowerModeUnreadable(f"{status}: expected pmode:NUMBER, found {text[:60]!r}")
    return int(found[1])


def _read_conf(conf: Path) -> str | None:
    try:
        with conf.open(encoding="utf-8", errors="replace") as file:
            return file.read(MAX_CONF_BYTES)
    except OSError:
        return None
