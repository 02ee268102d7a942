"""``python -m exporters.sources.jtop_reader``: asks the board's jtop service and prints one line of JSON a sample.

A program of its own, because jetson-stats may hang without a timeout, costs 26 MiB, changes how a process starts its
children, and is licensed differently: it never enters the exporter. Whoever runs this ends it when it falls silent
(``jtop_child``). What cannot work is said in one line, with the command that mends it, and the exit status is 1.

A line holds only what the service told: ``gpu`` (0 to 1), ``gpu_hertz``, ``emc`` (0 to 1), ``emc_hertz`` and
``engines`` (name in lower case, as tegrastats is read, to {``active``, ``hertz``}).
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Mapping, Sequence
from typing import Any

KILO = 1000
PERCENT = 100
FIRST_WITH_WHEELS = 7

_MISMATCH = re.compile(r"Mismatch version jtop service: \[([\d.]+)\] and client: \[([\d.]+)\]")


def reading(gpu: object, memory: object, engines: object) -> dict[str, Any]:
    """A sample from the service's own nested dictionaries (percent and kHz); what is missing or odd is left out."""
    found: dict[str, Any] = {}
    for card in _mappings(gpu):
        status, clock = card.get("status"), card.get("freq")
        if isinstance(status, Mapping):
            _put(found, "gpu", status.get("load"), 1 / PERCENT, PERCENT)
        if isinstance(clock, Mapping):
            _put(found, "gpu_hertz", clock.get("cur"), KILO)
        break  # a Jetson has one
    emc = memory.get("EMC") if isinstance(memory, Mapping) else None
    if isinstance(emc, Mapping):
        _put(found, "emc", emc.get("val"), 1 / PERCENT, PERCENT)
        _put(found, "emc_hertz", emc.get("cur"), KILO)
    units: dict[str, dict[str, Any]] = {}
    for group in _mappings(engines):
        for name, unit in group.items():
            if isinstance(name, str) and isinstance(unit, Mapping) and isinstance(unit.get("online"), bool):
                units[name.lower()] = {"active": unit["online"]}
                if unit["online"]:
                    _put(units[name.lower()], "hertz", unit.get("cur"), KILO)
    if units:
        found["engines"] = units
    return found


def _mappings(value: object) -> list[Mapping[Any, Any]]:
    return [one for one in value.values() if isinstance(one, Mapping)] if isinstance(value, Mapping) else []


def _put(found: dict[str, Any], name: str, value: object, scale: float, most: float = float("inf")) -> None:
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= most:
        found[name] = value * scale


def explained(message: str) -> str:
    """What jetson-stats says, in one line, with what to do where its own advice does not fit an environment."""
    if versions := _MISMATCH.search(message):
        service, client = versions.groups()
        return f"the board's jtop service is {service}, the library here is {client}; {_alike(service, client)}"
    if "not active" in message:
        return "the board's jtop service does not run: sudo systemctl enable --now jtop"
    if "access" in message:
        return "no right to ask jtop: sudo usermod -aG jtop tierwatch && sudo systemctl restart tierwatch-exporter"
    return " ".join(message.split())


def _alike(service: str, client: str) -> str:
    """The command that makes both one version. Up to 4.3.2 there are only source packages, whose installation stops
    and replaces the board's service: there the service is what has to follow."""
    numbers = service.split(".")
    if int(numbers[0]) >= FIRST_WITH_WHEELS:
        return f"make them alike: {sys.executable} -m pip install 'jetson-stats~={'.'.join(numbers[:2])}.0'"
    return (
        f"update the board's (needs its Python 3.7 or newer): sudo pip3 install 'jetson-stats=={client}' && "
        f"sudo systemctl restart jtop; or do without: {sys.executable} -m pip uninstall jetson-stats"
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Prints lines until the service goes away or the pipe is closed."""
    parser = argparse.ArgumentParser(description="Print what jtop's service tells, a line of JSON a sample.")
    parser.add_argument("--interval", type=float, default=1.0, metavar="S", help="seconds between samples; default: 1")
    options = parser.parse_args(argv)
    try:
        from jtop import JtopException, jtop
    except ImportError as error:
        return _say(f"jetson-stats cannot be used: {error}")
    try:
        with jtop(interval=options.interval) as service:
            while service.ok():
                _print(json.dumps(reading(service.gpu, service.memory, service.engine), allow_nan=False))
    except JtopException as error:
        return _say(explained(str(error)))
    except (OSError, EOFError, ValueError) as error:
        return _say(f"the jtop service went away: {explained(str(error) or type(error).__name__)}")
    return _say("the jtop service sends nothing any more")


def _say(text: str) -> int:
    _print(f"jtop: {text}")
    return 1


def _print(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
