"""A Jetson's GPU, power, fan, and what tegrastats alone knows.

sysfs answers first, NVML where the kernel has no load file (AGX Thor), tegrastats fills what they lack.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from exporters.catalog import board as names
from exporters.catalog.metric import Metric
from exporters.collector import Collector, CollectorFailed, Family, NoData
from exporters.sources.board import Board, BoardPaths
from exporters.sources.board_sampling import Ticker, WindowReading
from exporters.sources.jetson_fan import read_fans
from exporters.sources.jetson_gpu import GpuSampler
from exporters.sources.jetson_power import RailsUnreadable, read_rails, total_watts
from exporters.sources.jetson_powermode import PowerModeUnreadable, read_power_mode
from exporters.sources.jtop_child import JtopChild
from exporters.sources.nvml import NvmlSampler
from exporters.sources.tegrastats import Clocked, Tegrastats
from exporters.sources.tegrastats_child import TegrastatsChild

SAMPLE_SECONDS = 1.0
WITHOUT_LOAD = frozenset({"tegra264"})  # AGX Thor: the kernel has no load file, and that is no fault
BOOT_SECONDS = 60.0  # the driver of the GPU may come late

Clock = Callable[[], float]


class JetsonSensors:
    """What the collectors of a Jetson share: the GPU's sampler and the tegrastats child. Idle until started."""

    def __init__(
        self,
        board: Board,
        paths: BoardPaths,
        tegrastats: Sequence[str] | None,
        *,
        nvml: NvmlSampler | None = None,
        jtop: Sequence[str] | None = None,
        clock: Clock = time.monotonic,
    ) -> None:
        """``tegrastats``: the program and leading arguments; None when it is not installed. ``nvml``: asked only on
        boards whose kernel has no load file; others get lies from it. ``jtop``: what asks jtop's service, or None."""
        self.board = board
        self.paths = paths
        self.sys = paths.sys
        self.gpu = GpuSampler(self.sys)
        self.child = TegrastatsChild(tegrastats, clock=clock) if tegrastats else None
        self.jtop = JtopChild(jtop, clock=clock) if jtop else None
        self.clock = clock
        self.nvml = nvml or (NvmlSampler() if board.soc in WITHOUT_LOAD else None)
        self._tickers = [Ticker("jetson-gpu", SAMPLE_SECONDS, self.gpu.tick)]
        if self.nvml is not None:
            self._tickers.append(Ticker("jetson-nvml", SAMPLE_SECONDS, self.nvml.tick))

    def start(self, *names: str) -> None:
        """Starts what these collectors read from; of all of them when none is named. Nothing on another board."""
        if self.board.family != "jetson":
            return
        if not names or "jetson_gpu" in names:
            for ticker in self._tickers:
                ticker.start()
        if self.child is not None and (not names or "jetson_tegrastats" in names):
            self.child.start()
        if self.jtop is not None and (not names or "jetson_jtop" in names):
            self.jtop.start()

    def stop(self) -> None:
        """Ends the sampling threads and the children, and lets go of the driver, which keeps what hangs in it."""
        ended = [ticker.stop() for ticker in self._tickers]
        if self.jtop is not None:
            self.jtop.stop()
        if self.nvml is not None and all(ended):
            self.nvml.close()
        if self.child is not None:
            self.child.stop()

    def collectors(self) -> dict[str, Collector]:
        """Every collector of this file by name."""
        return {
            "jetson_gpu": JetsonGpu(self),
            "jetson_jtop": JetsonJtop(self),
            "jetson_power": JetsonPower(self),
            "jetson_power_mode": JetsonPowerMode(self),
            "jetson_fan": JetsonFan(self),
            "jetson_tegrastats": JetsonTegrastats(self),
            "jetson_sources": JetsonSources(self),
        }

    def now_on_jetson(self) -> float:
        """Monotonic seconds. Raises NoData on another board."""
        if self.board.family != "jetson":
            raise NoData("this is no Jetson")
        return self.clock()

    def line(self, now: float) -> Tegrastats | None:
        """What tegrastats said last, if that is recent."""
        return self.child.latest(now) if self.child is not None else None

    def nvml_load(self, now: float) -> WindowReading | None:
        """The load since the last read as NVML tells it, and starts anew."""
        gpus = self.nvml.gpus(now) if self.nvml is not None else ()
        return gpus[0].load.take(now) if gpus else None

    def has_thermal_zones(self) -> bool:
        """Whether the kernel shows temperatures, which are exported under node_exporter's names elsewhere."""
        return any(True for _ in (self.sys / "class/thermal").glob("thermal_zone*/temp"))

    def has_cpu_clocks(self) -> bool:
        """Whether the kernel shows the cores' clocks, which are exported under node_exporter's names elsewhere."""
        return any(True for _ in (self.sys / "devices/system/cpu").glob("cpu*/cpufreq/scaling_cur_freq"))

    def rails(self, now: float) -> tuple[str, dict[str, float]]:
        """Source and watts by rail; raises CollectorFailed when monitors are there and nobody can read them."""
        line = self.line(now)
        try:
            rails = read_rails(self.sys)
        except RailsUnreadable as error:
            if line is None or not line.rails:
                raise CollectorFailed(str(error)) from error
            rails = {}
        if rails:
            return "sysfs", rails
        return "tegrastats", line.rails if line is not None else {}


class JetsonGpu:
    """Mean and maximum load since the last read, and the clock."""

    def __init__(self, sensors: JetsonSensors) -> None:
        self._sensors = sensors

    def collect(self) -> Sequence[Family]:
        sensors = self._sensors
        now = sensors.now_on_jetson()
        # All are taken each time: what stands in one day must not speak for all the time before.
        stand_in = sensors.child.gpu.take(now) if sensors.child is not None else None
        last = sensors.jtop.gpu.take(now) if sensors.jtop is not None else None
        load = sensors.gpu.window.take(now) or sensors.nvml_load(now) or stand_in or last
        if load is None and sensors.gpu.fault:
            raise CollectorFailed(f"GPU load: {sensors.gpu.fault}")
        if load is None and sensors.nvml is not None and sensors.nvml.fault:
            raise CollectorFailed(f"GPU load: {sensors.nvml.fault}")
        if load is None and sensors.board.soc not in WITHOUT_LOAD and sensors.gpu.missing_seconds(now) > BOOT_SECONDS:
            raise CollectorFailed("GPU load: no device of class devfreq has one and tegrastats does not tell it")
        families: list[Family] = []
        if load is not None:
            families += [
                one(names.JETSON_GPU_UTILIZATION, load.mean),
                one(names.JETSON_GPU_UTILIZATION_MAX, load.maximum),
                one(names.JETSON_GPU_BUSY, load.area),
            ]
        hertz = gpu_hertz(sensors, now)[1]
        if hertz is not None:
            families.append(one(names.JETSON_GPU_FREQUENCY, hertz))
        if not families:
            raise NoData("no GPU load or clock found yet")
        return families


class JetsonPower:
    """Watts by rail, and the total where the board measures it."""

    def __init__(self, sensors: JetsonSensors) -> None:
        self._sensors = sensors

    def collect(self) -> Sequence[Family]:
        _, rails = self._sensors.rails(self._sensors.now_on_jetson())
        if not rails:
            raise NoData("this board measures no power")
        families = [Family(names.JETSON_POWER, [((rail,), watts) for rail, watts in rails.items()])]
        total = total_watts(rails)
        if total is not None:
            families.append(one(names.JETSON_POWER_TOTAL, total))
        return families


class JetsonPowerMode:
    """The mode ``nvpmodel`` has set: what the board may draw, and which cores and clocks it has."""

    def __init__(self, sensors: JetsonSensors) -> None:
        self._sensors = sensors

    def collect(self) -> Sequence[Family]:
        self._sensors.now_on_jetson()
        paths = self._sensors.paths
        try:
            mode = read_power_mode(paths.nvpmodel_status, paths.nvpmodel_conf)
        except PowerModeUnreadable as error:
            raise CollectorFailed(str(error)) from error
        if mode is None:
            raise NoData("no power mode is set and none is the default")
        return [Family(names.JETSON_POWER_MODE_INFO, [((str(mode.number), mode.name), 1.0)])]


class JetsonFan:
    """Duty cycle and speed."""

    def __init__(self, sensors: JetsonSensors) -> None:
        self._sensors = sensors

    def collect(self) -> Sequence[Family]:
        self._sensors.now_on_jetson()
        fans = read_fans(self._sensors.sys)
        if not fans:
            raise NoData("no fan")
        return filled(
            Family(names.JETSON_FAN_DUTY, [((fan.name,), fan.duty) for fan in fans if fan.duty is not None]),
            Family(names.JETSON_FAN_RPM, [((fan.name,), fan.rpm) for fan in fans if fan.rpm is not None]),
        )


class JetsonTegrastats:
    """Memory, memory controller, engines, cores online, and temperatures where the kernel has no thermal zones."""

    def __init__(self, sensors: JetsonSensors) -> None:
        self._sensors = sensors

    def collect(self) -> Sequence[Family]:
        sensors = self._sensors
        now = sensors.now_on_jetson()
        if sensors.child is None:
            raise NoData("tegrastats is not installed")
        line = sensors.child.latest(now)
        if line is None:
            if sensors.child.fault:
                raise CollectorFailed(sensors.child.fault)
            if sensors.child.has_spoken:
                raise CollectorFailed("tegrastats: its newest line is older than three intervals")
            raise NoData("tegrastats has not said anything yet")
        families = line_families(line)
        if line.temperatures and not sensors.has_thermal_zones():
            families.append(Family(names.JETSON_TEMPERATURE, [((name,), t) for name, t in line.temperatures.items()]))
        if not sensors.has_cpu_clocks():
            clocks = [((str(cpu),), core.hertz) for cpu, core in enumerate(line.cores) if core.hertz is not None]
            families.append(Family(names.JETSON_CPU_FREQUENCY, clocks))
        families.append(one(names.JETSON_TEGRASTATS_RESTARTS, sensors.child.restarts))
        return filled(*families)


class JetsonJtop:
    """Engines and memory controller where tegrastats does not tell them: without root it knows neither."""

    def __init__(self, sensors: JetsonSensors) -> None:
        self._sensors = sensors

    def collect(self) -> Sequence[Family]:
        sensors = self._sensors
        now = sensors.now_on_jetson()
        if sensors.jtop is None:
            raise NoData("jetson-stats is not installed")
        found = sensors.jtop.latest(now)
        if found is None:
            if sensors.jtop.fault:
                raise CollectorFailed(sensors.jtop.fault)
            raise NoData("jtop has not said anything yet")
        line = sensors.line(now)
        families = engine_families({} if line is not None and line.engines else found.engines)
        if line is None or line.emc is None:
            families += emc_families(found.emc)
        return filled(*families, one(names.JETSON_JTOP_RESTARTS, sensors.jtop.restarts))


class JetsonSources:
    """Which source answers for what at the moment."""

    def __init__(self, sensors: JetsonSensors) -> None:
        self._sensors = sensors

    def collect(self) -> Sequence[Family]:
        sensors = self._sensors
        now = sensors.now_on_jetson()
        sources: dict[str, str] = {}
        source, hertz = gpu_hertz(sensors, now)
        if hertz is not None:
            sources["gpu_frequency"] = source
        try:
            source, rails = sensors.rails(now)
        except CollectorFailed:
            rails = {}  # told by the collector of the rails
        if rails:
            sources["power"] = source
        if sensors.has_thermal_zones():
            sources["temperature"] = "sysfs"
        for source, readings in answering(sensors, now):
            for reading in readings:
                sources.setdefault(reading, source)
        if not sources:
            raise NoData("no source has answered yet")
        return [Family(names.JETSON_SOURCE_INFO, [(item, 1.0) for item in sources.items()])]


def answering(sensors: JetsonSensors, now: float) -> Iterator[tuple[str, Iterable[str]]]:
    """Sources in the order in which they are believed, each with the readings it tells at the moment."""
    load = "gpu_utilization"
    if sensors.gpu.window.fresh(now):
        yield "sysfs", [load]
    if sensors.nvml is not None and any(gpu.load.fresh(now) for gpu in sensors.nvml.gpus(now)):
        yield "nvml", [load]
    line = sensors.line(now)
    if sensors.child is not None and line is not None:
        told: dict[str, object] = {load: sensors.child.gpu.fresh(now), "temperature": line.temperatures}
        told |= {"memory": line.ram, "emc": line.emc, "engines": line.engines}
        yield "tegrastats", [reading for reading, value in told.items() if value]
    sample = sensors.jtop.latest(now) if sensors.jtop is not None else None
    if sensors.jtop is not None and sample is not None:
        last = {"emc": sample.emc, "engines": sample.engines, load: sensors.jtop.gpu.fresh(now)}
        yield "jtop", [reading for reading, value in last.items() if value]


def gpu_hertz(sensors: JetsonSensors, now: float) -> tuple[str, float | None]:
    """Source and clock of the GPU."""
    hertz = sensors.gpu.clock_hertz()
    if hertz is not None:
        return "sysfs", hertz
    line = sensors.line(now)
    return "tegrastats", line.gpu.hertz if line is not None and line.gpu is not None else None


def line_families(line: Tegrastats) -> list[Family]:
    """What only tegrastats tells; families may be empty."""
    families = engine_families(line.engines) + emc_families(line.emc)
    if line.ram is not None:
        families += [one(names.JETSON_MEMORY_USED, line.ram.used), one(names.JETSON_MEMORY_SIZE, line.ram.size)]
    if line.largest_free_block is not None:
        families.append(one(names.JETSON_MEMORY_LFB, line.largest_free_block))
    if line.cores:
        families.append(one(names.JETSON_CPUS_ONLINE, sum(core.active for core in line.cores)))
    return families


def engine_families(engines: Mapping[str, Clocked]) -> list[Family]:
    """Media and inference engines; families may be empty."""
    return [
        Family(names.JETSON_ENGINE_ACTIVE, [((name,), float(unit.active)) for name, unit in engines.items()]),
        Family(
            names.JETSON_ENGINE_UTILIZATION,
            [((name,), unit.ratio) for name, unit in engines.items() if unit.ratio is not None],
        ),
        Family(
            names.JETSON_ENGINE_FREQUENCY,
            [((name,), unit.hertz) for name, unit in engines.items() if unit.hertz is not None],
        ),
    ]


def emc_families(emc: Clocked | None) -> list[Family]:
    """The memory controller, as far as it is known."""
    readings = ((names.JETSON_EMC_UTILIZATION, emc.ratio), (names.JETSON_EMC_FREQUENCY, emc.hertz)) if emc else ()
    return [one(metric, value) for metric, value in readings if value is not None]


def one(metric: Metric, value: float) -> Family:
    """A family of one row without labels."""
    return Family(metric, [((), float(value))])


def filled(*families: Family) -> list[Family]:
    """The families that have rows."""
    return [family for family in families if family.rows]
