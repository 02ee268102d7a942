"""What the board is, and the one door to everything of this board's kind: ``board_sensors``."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from exporters.catalog import board as names
from exporters.collector import Collector, Family, NoData
from exporters.collectors.jetson import JetsonSensors
from exporters.collectors.raspberrypi import PiSensors
from exporters.sources.board import Board, BoardPaths, identify


class BoardInfo:
    """What the device tree and the Jetson Linux release say."""

    def __init__(self, board: Board) -> None:
        self._board = board

    def collect(self) -> Sequence[Family]:
        board = self._board
        if board.family == "other" and not board.model:
            raise NoData("no device tree: this is no single-board computer")
        return [Family(names.BOARD_INFO, [((board.model, board.soc, board.l4t, board.family), 1.0)])]


class ReplayInfo:
    """Says that board readings come from a recording, so that nobody takes a demonstration for his cluster."""

    def collect(self) -> Sequence[Family]:
        return [Family(names.REPLAY_INFO, [(("board",), 1.0)])]


@dataclass(frozen=True, slots=True)
class BoardSensors:
    """The collectors of the board by name, and the threads and children behind them."""

    board: Board
    collectors: Mapping[str, Collector]
    _parts: tuple[JetsonSensors | PiSensors, ...]

    def start(self) -> None:
        """Starts sampling in the background; a second call does nothing."""
        for part in self._parts:
            part.start()

    def stop(self) -> None:
        """Ends every thread and child; blocks for a few seconds at most."""
        for part in self._parts:
            part.stop()


def board_sensors(
    *,
    root: Path | None = None,
    tegrastats: Sequence[str] | None = None,
    vcgencmd: Sequence[str] | None = None,
) -> BoardSensors:
    """Everything of the board, not yet started.

    ``root``: a recorded tree instead of ``/``. ``tegrastats``, ``vcgencmd``: commands instead of the installed
    programs. When any is given the readings count as replayed and say so; a program that is not given is then not
    looked for, so a replayed board never mixes with the machine it is replayed on.
    """
    replayed = not (root is None and tegrastats is None and vcgencmd is None)
    if not replayed:
        tegrastats, vcgencmd = _installed("tegrastats"), _installed("vcgencmd")
    paths = BoardPaths.below(root or Path("/"))
    board = identify(paths)
    jetson = JetsonSensors(board, paths.sys, tegrastats)
    pi = PiSensors(board, paths.sys, vcgencmd)
    collectors: dict[str, Collector] = {"board": BoardInfo(board), **jetson.collectors(), **pi.collectors()}
    if replayed:
        collectors["replay"] = ReplayInfo()
    return BoardSensors(board, collectors, (jetson, pi))


def _installed(program: str) -> list[str] | None:
    path = shutil.which(program)
    return [path] if path else None
