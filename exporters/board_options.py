"""Options that replay a recorded board: its trees, and programs in place of the board's own."""

from __future__ import annotations

import argparse
import shlex
from pathlib import Path

from exporters.collectors.board import BoardSensors
from exporters.sources.board import BoardPaths
from exporters.sources.files import Roots


def add(parser: argparse.ArgumentParser) -> None:
    """Adds ``--path.board``, ``--tegrastats``, ``--jtop`` and ``--vcgencmd``."""
    replay = parser.add_argument_group(
        "replay", "With any of these the page says tierwatch_exporter_replay_info: hardware is replayed, not read."
    )
    replay.add_argument(
        "--path.board",
        dest="board_root",
        type=folder,
        metavar="DIR",
        help="recorded proc/device-tree, etc and sys of a board; temperatures and hwmon come from there too",
    )
    replay.add_argument("--tegrastats", type=command, metavar="CMD", help="run this in place of tegrastats")
    replay.add_argument("--jtop", type=command, metavar="CMD", help="run this in place of the reader of jtop's service")
    replay.add_argument("--vcgencmd", type=command, metavar="CMD", help="run this in place of vcgencmd")


def sensors(options: argparse.Namespace, roots: Roots) -> BoardSensors:
    """What the options ask for; without them the board of ``roots``."""
    root: Path | None = options.board_root
    paths = BoardPaths.below(root) if root is not None else live_paths(roots)
    return BoardSensors(
        paths, replayed=root is not None, tegrastats=options.tegrastats, vcgencmd=options.vcgencmd, jtop=options.jtop
    )


def live_paths(roots: Roots) -> BoardPaths:
    """The board's files of this machine, wherever its trees are mounted."""
    return BoardPaths(
        sys=Path(roots.sysfs),
        device_tree=Path(roots.proc("device-tree")),
        tegra_release=Path(roots.root("etc/nv_tegra_release")),
        dpkg_status=Path(roots.root("var/lib/dpkg/status")),
        nvpmodel_status=Path(roots.root("var/lib/nvpmodel/status")),
        nvpmodel_conf=Path(roots.root("etc/nvpmodel.conf")),
        nvidia_driver=Path(roots.proc("driver/nvidia/gpus")),
    )


def folder(text: str) -> Path:
    """A folder that is there."""
    path = Path(text)
    if not path.is_dir():
        raise argparse.ArgumentTypeError(f"{text!r} is no folder")
    return path


def command(text: str) -> list[str]:
    """A program and its arguments, quoted as in a shell; no shell runs it."""
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r}: {error}") from error
    if not words:
        raise argparse.ArgumentTypeError("expected a program, such as /usr/bin/tegrastats")
    return words
