"""What the board is, and the one door to everything of this board's kind: ``BoardSensors``."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Protocol

from exporters.catalog import board as names
from exporters.collector import Collector, Family, NoData
from exporters.sources.board import Board, BoardFamily, BoardPaths, identify

COLLECTORS: dict[str, BoardFamily | None] = {
    "board": None,
    "jetson_fan": "jetson",
    "jetson_gpu": "jetson",
    "jetson_jtop": "jetson",
    "jetson_power": "jetson",
    "jetson_power_mode": "jetson",
    "jetson_sources": "jetson",
    "jetson_tegrastats": "jetson",
    "nvidia_gpu": "other",
    "pi_throttle": "raspberrypi",
    "pi_voltage": "raspberrypi",
    "replay": None,
}
"""Every collector of a board, and the family of boards that has it (None: all)."""


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


class FamilySensors(Protocol):
    """What the collectors of one family of boards share: threads and children."""

    def collectors(self) -> dict[str, Collector]:
        """Every collector of the family by name."""

    def start(self, *names: str) -> None:
        """Starts what these collectors read from; of all of them when none is named. Again does nothing."""

    def stop(self) -> None:
        """Ends every thread and child; blocks for a few seconds at most."""


class BoardSensors:
    """The board, its collectors, and what samples in the background for them.

    Nothing is read before it is asked for, nothing runs before ``start``; code for other families is never loaded.
    """

    def __init__(
        self,
        paths: BoardPaths | None = None,
        *,
        replayed: bool = False,
        tegrastats: Sequence[str] | None = None,
        vcgencmd: Sequence[str] | None = None,
        jtop: Sequence[str] | None = None,
    ) -> None:
        """``paths``: where the board's trees are, default this machine's. ``replayed``: they are a recording.

        ``tegrastats``, ``vcgencmd``, ``jtop``: commands instead of the installed programs. One given counts as replayed
        too. When anything is replayed, installed programs are not looked for: a recorded board never mixes with the
        machine it is replayed on.
        """
        self._paths = paths or BoardPaths.below()
        self._commands = {"tegrastats": tegrastats, "vcgencmd": vcgencmd, "jtop": jtop}
        self.replayed = replayed or any(command is not None for command in self._commands.values())

    @property
    def sys(self) -> Path:
        """The tree of sysfs that belongs to the board."""
        return self._paths.sys

    @cached_property
    def board(self) -> Board:
        """What the board says of itself, read once."""
        return identify(self._paths)

    def has(self, name: str) -> bool:
        """Whether a collector of ``COLLECTORS`` makes sense here."""
        if name == "replay":
            return self.replayed
        if name == "nvidia_gpu" and not self._paths.nvidia_driver.is_dir():
            return False
        return COLLECTORS[name] in (None, self.board.family)

    def collector(self, name: str) -> Collector:
        """A collector that ``has`` confirms; always the same one. Raises KeyError for any other."""
        return self._collectors[name]

    def start(self, *wanted: str) -> None:
        """Starts what these collectors read from; of all of them when none is named. Again does nothing."""
        if self._family is not None:
            self._family.start(*wanted)

    def stop(self) -> None:
        """Ends every thread and child; blocks for a few seconds at most."""
        if self._family is not None:
            self._family.stop()

    def started(self, name: str, on_stop: Callable[[Callable[[], None]], None]) -> Collector:
        """A collector with its sampling begun; ``on_stop`` is given what ends it."""
        collector = self.collector(name)
        on_stop(self.stop)
        self.start(name)
        return collector

    @cached_property
    def _collectors(self) -> dict[str, Collector]:
        found: dict[str, Collector] = {"board": BoardInfo(self.board)}
        if self.replayed:
            found["replay"] = ReplayInfo()
        if self._family is not None:
            found.update(self._family.collectors())
        return found

    @cached_property
    def _family(self) -> FamilySensors | None:
        if self.board.family == "jetson":
            from exporters.collectors.jetson import JetsonSensors

            return JetsonSensors(self.board, self._paths, self._command("tegrastats"), jtop=self._jtop())
        if self.board.family == "raspberrypi":
            from exporters.collectors.raspberrypi import PiSensors

            return PiSensors(self.board, self.sys, self._command("vcgencmd"))
        if self.has("nvidia_gpu"):
            from exporters.collectors.nvidia import NvidiaSensors

            return NvidiaSensors()
        return None

    def _jtop(self) -> Sequence[str] | None:
        from exporters.sources.jtop_child import reader_command

        return self._commands["jtop"] if self.replayed else reader_command()

    def _command(self, program: str) -> Sequence[str] | None:
        if self.replayed:
            return self._commands[program]
        path = shutil.which(program)
        return [path] if path else None
