"""Graphics cards of NVIDIA in a node that is no Jetson: load, memory, temperature, power, clock of each."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence

from exporters.catalog import board as names
from exporters.catalog.metric import Metric
from exporters.collector import Collector, CollectorFailed, Family, NoData
from exporters.collectors.shape import Row, families
from exporters.sources.board_sampling import Ticker
from exporters.sources.nvml import Gpu, NvmlSampler

SAMPLE_SECONDS = 1.0


class NvidiaSensors:
    """The sampler of the cards. Idle until started."""

    def __init__(self, sampler: NvmlSampler | None = None, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.sampler = sampler or NvmlSampler()
        self.clock = clock
        self._ticker = Ticker("nvidia-gpu", SAMPLE_SECONDS, self.sampler.tick)

    def start(self, *_: str) -> None:
        """Begins to sample."""
        self._ticker.start()

    def stop(self) -> None:
        """Ends the sampling thread and lets go of the driver, which keeps what hangs in it."""
        if self._ticker.stop():
            self.sampler.close()

    def collectors(self) -> dict[str, Collector]:
        """Every collector of this file by name."""
        return {"nvidia_gpu": NvidiaGpus(self)}


class NvidiaGpus:
    """Each card; what it does not know is no sample."""

    def __init__(self, sensors: NvidiaSensors) -> None:
        self._sensors = sensors

    def collect(self) -> Sequence[Family]:
        now = self._sensors.clock()
        sampler = self._sensors.sampler
        gpus = sampler.gpus(now)
        if not gpus:
            if sampler.fault:
                raise CollectorFailed(sampler.fault)
            raise NoData("no card has been read yet")
        rows: dict[Metric, list[Row]] = {metric: [] for metric in names.NVIDIA_METRICS}
        for number, gpu in enumerate(gpus):
            rows[names.NVIDIA_GPU_INFO].append(((str(number), gpu.reading.name), 1.0))
            for metric, value in _values(gpu, now):
                if value is not None:
                    rows[metric].append(((str(number),), value))
        return families(rows)


def _values(gpu: Gpu, now: float) -> Iterator[tuple[Metric, float | None]]:
    reading, load = gpu.reading, gpu.load.take(now)
    if load is not None:
        yield names.NVIDIA_GPU_UTILIZATION, load.mean
        yield names.NVIDIA_GPU_UTILIZATION_MAX, load.maximum
        yield names.NVIDIA_GPU_BUSY, load.area
    yield names.NVIDIA_GPU_MEMORY_USED, reading.memory_used
    yield names.NVIDIA_GPU_MEMORY_SIZE, reading.memory_size
    yield names.NVIDIA_GPU_TEMPERATURE, reading.temperature
    yield names.NVIDIA_GPU_POWER, reading.power
    yield names.NVIDIA_GPU_FREQUENCY, reading.clock
