"""How far a long work is: a bar on a terminal, else a line each few seconds."""

from __future__ import annotations

import shutil
import time
from typing import TextIO

LINE_SECONDS = 5.0
BAR_SECONDS = 0.1


class Progress:
    """Writes to ``stream``; nothing for work that is done within the first moments, unless it is a terminal."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._bar = stream.isatty()
        self._began = self._said = time.monotonic()
        self._shown = False

    def phase(self) -> None:
        """Another work begins: the time it takes is told anew."""
        self._began = time.monotonic()

    def say(self, what: str, done: float | None, detail: str = "") -> None:
        """``done``: the share from 0 to 1, None where the whole is not known."""
        now = time.monotonic()
        if now - self._said < (BAR_SECONDS if self._bar else LINE_SECONDS):
            return
        self._said = now
        share = "" if done is None else f"{min(done, 1.0):4.0%}"
        left = ""
        if done is not None and 0.01 < done < 1 and now - self._began > 2:
            left = f", {_time((now - self._began) / done * (1 - done))} left"
        text = f"{what} {share}  {detail}{left}".rstrip()
        if not self._bar:
            self._stream.write(f"{text}\n")
        else:
            width = shutil.get_terminal_size().columns - 1
            room = min(width - len(text) - 2, 40)
            if done is not None and room >= 8:
                full = round(min(done, 1.0) * (room - 2))
                text = f"[{'#' * full}{'.' * (room - 2 - full)}] {text}"
            self._stream.write(f"\r{text[:width]:<{width}}")
            self._shown = True
        self._stream.flush()

    def end(self) -> None:
        """The bar goes."""
        if self._shown:
            self._stream.write("\r" + " " * (shutil.get_terminal_size().columns - 1) + "\r")
            self._stream.flush()
            self._shown = False


def _time(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"
