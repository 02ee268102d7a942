"""The fan of a Jetson: hwmon where the kernel has it there, ``/sys/devices/pwm-fan`` on Nano and TX (Jetson Linux 32).

The duty cycle is 0 to 255; the speed is there only for a fan with a tachometer wire.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from exporters.sources.board import read_int, read_text

FULL = 255


@dataclass(frozen=True, slots=True)
class Fan:
    """Duty 0 to 1 and turns a minute; None is not told."""

    name: str
    duty: float | None
    rpm: float | None


def read_fans(sys: Path) -> list[Fan]:
    """Every fan that says something; empty on a board with none. Never raises."""
    fans: dict[str, Fan] = {}
    for folder in sorted((sys / "class/hwmon").glob("hwmon*")):
        duty = _duty(folder / "pwm1")
        rpm = _number(folder / "fan1_input")
        if rpm is None:
            rpm = _number(folder / "rpm")  # driver pwm_tach of Jetson Linux 34 and later
        if duty is not None or rpm is not None:
            try:
                name = read_text(folder / "name")[:64] or folder.name
            except OSError:
                name = folder.name
            # hwmon numbers change from boot to boot, so they are a last resort to tell namesakes apart.
            fans.setdefault(name if name not in fans else folder.name, Fan(name, duty, rpm))
    old = sys / "devices/pwm-fan"
    if not fans:
        duty, rpm = _duty(old / "cur_pwm"), _number(old / "rpm_measured")
        if duty is not None or rpm is not None:
            fans["pwm-fan"] = Fan("pwm-fan", duty, rpm)
    return [Fan(name, fan.duty, fan.rpm) for name, fan in fans.items()]


def _duty(path: Path) -> float | None:
    value = _number(path)
    return value / FULL if value is not None and value <= FULL else None


def _number(path: Path) -> float | None:
    try:
        value = read_int(path)
    except (OSError, ValueError):
        return None
    return float(value) if value >= 0 else None
