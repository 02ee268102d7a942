"""What board this is: the device tree, the Jetson Linux release, and bounded reads of one-value files.

Device tree strings end in NUL, ``compatible`` is a list of them; ``nvidia,tegraNNN`` and ``brcm,bcmNNNN`` in it are
the surest key to the system on chip (a model string may be a carrier vendor's). The Jetson Linux release is the first
line of ``/etc/nv_tegra_release``; images without it still have the version of the package ``nvidia-l4t-core``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

BoardFamily = Literal["jetson", "raspberrypi", "other"]

MAX_BYTES = 4096  # a sysfs attribute is at most one page
MAX_DPKG_LINES = 400_000  # a desktop image has about 60 000

_TEGRA = re.compile(r"nvidia,(tegra\d{3})(?!\d)")
_JETSON = re.compile(r"\b(?:Jetson|Orin Nano)\b")
_BROADCOM = re.compile(r"brcm,(bcm\d{4})(?!\d)")
_RELEASE = re.compile(r"R(\d{1,3}) \(release\), REVISION: (\d{1,3}(?:\.\d{1,3}){0,3})")
_PACKAGE_VERSION = re.compile(r"Version: (\d{1,3}(?:\.\d{1,3}){1,3})")


@dataclass(frozen=True, slots=True)
class BoardPaths:
    """Where the trees of a board are: a live system's, or a recorded one below another root."""

    sys: Path
    device_tree: Path
    tegra_release: Path
    dpkg_status: Path
    nvpmodel_status: Path
    nvpmodel_conf: Path
    nvidia_driver: Path

    @classmethod
    def below(cls, root: Path = Path("/")) -> BoardPaths:
        """The usual places below ``root``."""
        return cls(
            sys=root / "sys",
            device_tree=root / "proc/device-tree",
            tegra_release=root / "etc/nv_tegra_release",
            dpkg_status=root / "var/lib/dpkg/status",
            nvpmodel_status=root / "var/lib/nvpmodel/status",
            nvpmodel_conf=root / "etc/nvpmodel.conf",
            nvidia_driver=root / "proc/driver/nvidia/gpus",
        )


@dataclass(frozen=True, slots=True)
class Board:
    """What is known of the board; an empty string is unknown. ``l4t`` is like ``36.4.7``, ``soc`` like ``tegra234``."""

    family: BoardFamily
    model: str = ""
    soc: str = ""
    l4t: str = ""


def identify(paths: BoardPaths) -> Board:
    """Reads what the board says of itself. Never raises: what cannot be read is unknown."""
    tree = paths.device_tree if paths.device_tree.is_dir() else paths.sys / "firmware/devicetree/base"
    model = _clean(_text_or_empty(tree / "model"))
    compatible = _text_or_empty(tree / "compatible")
    if tegra := _TEGRA.search(compatible):
        return Board("jetson", model, tegra[1], _l4t(paths))
    chip = _BROADCOM.search(compatible)
    if "raspberrypi," in compatible or model.startswith("Raspberry Pi"):
        return Board("raspberrypi", model, chip[1] if chip else "")
    if (l4t := _l4t_of_release(paths.tegra_release)) or _JETSON.search(model):
        return Board("jetson", model, "", l4t)
    return Board("other", model)


def read_text(path: Path) -> str:
    """The first page of a file, without NUL and blanks at its ends. Raises OSError (a gated sensor: EAGAIN, ENODEV)."""
    with path.open("rb", buffering=0) as file:
        return (file.read(MAX_BYTES) or b"").decode("utf-8", "replace").strip(" \t\r\n\0")


def read_int(path: Path) -> int:
    """The one decimal number of a file. Raises OSError, ValueError."""
    text = read_text(path)
    if len(text) > 20:
        raise ValueError(f"{path}: expected one number, found {text[:40]!r}")
    return int(text)


def _l4t(paths: BoardPaths) -> str:
    return _l4t_of_release(paths.tegra_release) or _l4t_of_package(paths.dpkg_status)


def _l4t_of_release(path: Path) -> str:
    first = _text_or_empty(path).partition("\n")[0]
    match = _RELEASE.search(first)
    return f"{match[1]}.{match[2]}" if match else ""


def _l4t_of_package(path: Path) -> str:
    """The version of nvidia-l4t-core: a stanza is ended by an empty line, its version is like 36.4.7-20250918154033."""
    inside = False
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            for number, line in enumerate(file):
                if number > MAX_DPKG_LINES:
                    break
                if line == "Package: nvidia-l4t-core\n":
                    inside = True
                elif inside and (match := _PACKAGE_VERSION.match(line)):
                    return match[1]
                elif inside and line == "\n":
                    break
    except OSError:
        return ""
    return ""


def _text_or_empty(path: Path) -> str:
    try:
        return read_text(path)
    except OSError:
        return ""


def _clean(text: str) -> str:
    return "".join(letter for letter in text if letter.isprintable())[:128]
