"""A Raspberry Pi's supply and throttling."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path

from exporters.catalog import board as names
from exporters.collector import Collector, CollectorFailed, Family, NoData
from exporters.sources.board import Board
from exporters.sources.board_sampling import Ticker
from exporters.sources.raspberrypi import ALARM_PERIOD_SECONDS, UndervoltageWatch
from exporters.sources.raspberrypi_vcgencmd import PERIOD_SECONDS, ThrottleWatch, Vcgencmd


class PiSensors:
    """What the collectors of a Raspberry Pi share: the two watches. Idle until started.

    Two threads, because a question to the firmware may take seconds and the alarm must be read each second.
    """

    def __init__(
        self,
        board: Board,
        sys: Path,
        vcgencmd: Sequence[str] | None,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """``vcgencmd``: the program and leading arguments; None when it is not installed."""
        self.board = board
        self.clock = clock
        self.voltage = UndervoltageWatch(sys)
        self.throttle = ThrottleWatch(sys, Vcgencmd(vcgencmd) if vcgencmd else None)
        self._tickers = {
            "pi_voltage": Ticker("pi-voltage", ALARM_PERIOD_SECONDS, self.voltage.tick),
            "pi_throttle": Ticker("pi-throttle", PERIOD_SECONDS, self.throttle.tick),
        }

    def start(self, *names: str) -> None:
        """Starts what these collectors read from; of all of them when none is named. Nothing on another board."""
        if self.board.family != "raspberrypi":
            return
        for name in names or self._tickers:
            if name in self._tickers:
                self._tickers[name].start()

    def stop(self) -> None:
        """Ends both threads."""
        for ticker in self._tickers.values():
            ticker.stop()

    def collectors(self) -> dict[str, Collector]:
        """Every collector of this file by name."""
        return {"pi_voltage": PiVoltage(self), "pi_throttle": PiThrottle(self)}

    def now_on_pi(self) -> float:
        """Monotonic seconds. Raises NoData on another board."""
        if self.board.family != "raspberrypi":
            raise NoData("this is no Raspberry Pi")
        return self.clock()


class PiVoltage:
    """The under-voltage alarm, and how often it rose."""

    def __init__(self, sensors: PiSensors) -> None:
        self._sensors = sensors

    def collect(self) -> Sequence[Family]:
        now = self._sensors.now_on_pi()
        watch = self._sensors.voltage
        alarm = watch.alarm(now)
        if alarm is None:
            if watch.fault:
                raise CollectorFailed(f"under-voltage alarm: {watch.fault}")
            if watch.seen:
                raise CollectorFailed("under-voltage alarm: not read for seconds")
            raise NoData("the kernel has no under-voltage alarm")
        return [
            Family(names.PI_UNDERVOLTAGE, [((), float(alarm))]),
            Family(names.PI_UNDERVOLTAGE_EVENTS, [((), float(watch.events))]),
        ]


class PiThrottle:
    """What limits the board now and has limited it since boot, and the ARM clock."""

    def __init__(self, sensors: PiSensors) -> None:
        self._sensors = sensors

    def collect(self) -> Sequence[Family]:
        now = self._sensors.now_on_pi()
        watch = self._sensors.throttle
        throttling, hertz = watch.throttling(now), watch.arm_hertz(now)
        families: list[Family] = []
        if throttling is not None:
            families += [
                Family(names.PI_THROTTLE_STATE, [((reason,), float(on)) for reason, on in throttling.now.items()]),
                Family(
                    names.PI_THROTTLE_SINCE_BOOT,
                    [((reason,), float(on)) for reason, on in throttling.since_boot.items()],
                ),
            ]
        if hertz is not None:
            families.append(Family(names.PI_ARM_FREQUENCY, [((), hertz)]))
        if families:
            return families
        if watch.fault:
            raise CollectorFailed(watch.fault)
        raise NoData("the firmware has not been asked yet, or this board has no vcgencmd")
