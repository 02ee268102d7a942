"""NVIDIA's management library, for the GPUs whose load the kernel does not tell: a Jetson AGX Thor and graphics cards.

On Orin and older Jetsons the library answers "success" with zeros for the built-in GPU, so it must not be asked there.
``nvidia-ml-py`` binds it; both are loaded at the first tick, in the sampler's thread, and only where they are wanted:
4 MiB that other boards do not pay. https://docs.nvidia.com/deploy/nvml-api/
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from exporters.sources.board_sampling import Window

MAX_AGE_SECONDS = 3.5
RETRY_SECONDS = 60.0  # a driver that is being replaced, a library that is installed later
MAX_GPUS = 16
PERCENT = 100
MEGA = 1e6
MILLI = 1e-3


class NvmlFailed(Exception):
    """The library cannot be used or did not answer; the message says why and, where known, what to do."""


@dataclass(frozen=True, slots=True)
class GpuReading:
    """What one GPU tells at a moment; None is what it does not know. ``load`` 0 to 1, bytes, Celsius, watts, hertz."""

    name: str
    load: float | None = None
    memory_used: float | None = None
    memory_size: float | None = None
    temperature: float | None = None
    power: float | None = None
    clock: float | None = None


class GpuLibrary(Protocol):
    def read(self) -> Sequence[GpuReading]:
        """Every GPU now, in the library's order. Raises NvmlFailed; may block when the driver hangs."""

    def close(self) -> None:
        """Lets go of the driver."""


class Nvml:
    """The only door to ``pynvml``. Made in the thread that uses it."""

    def __init__(self) -> None:
        """Raises NvmlFailed when there is no binding, no library, or no driver."""
        try:
            import pynvml
        except ImportError as error:
            raise NvmlFailed("nvidia-ml-py is not installed: run make setup-node again") from error
        self._nvml = pynvml
        try:
            pynvml.nvmlInit()
        except pynvml.NVMLError as error:
            raise NvmlFailed(f"NVML: {error}") from error

    def read(self) -> Sequence[GpuReading]:
        nvml = self._nvml
        try:
            count = min(nvml.nvmlDeviceGetCount(), MAX_GPUS)
            return [self._one(nvml.nvmlDeviceGetHandleByIndex(index)) for index in range(count)]
        except nvml.NVMLError as error:
            raise NvmlFailed(f"NVML: {error}") from error

    def close(self) -> None:
        try:
            self._nvml.nvmlShutdown()
        except self._nvml.NVMLError:
            return  # the driver went first

    def _one(self, handle: object) -> GpuReading:
        nvml = self._nvml
        utilization = self._ask(nvml.nvmlDeviceGetUtilizationRates, handle)
        memory = self._ask(nvml.nvmlDeviceGetMemoryInfo, handle)
        celsius = self._ask(nvml.nvmlDeviceGetTemperature, handle, nvml.NVML_TEMPERATURE_GPU)
        milliwatts = self._ask(nvml.nvmlDeviceGetPowerUsage, handle)
        megahertz = self._ask(nvml.nvmlDeviceGetClockInfo, handle, nvml.NVML_CLOCK_GRAPHICS)
        return GpuReading(
            name=_text(self._ask(nvml.nvmlDeviceGetName, handle)),
            load=None if utilization is None or utilization.gpu > PERCENT else utilization.gpu / PERCENT,
            memory_used=None if memory is None else float(memory.used),
            memory_size=None if memory is None else float(memory.total),
            temperature=None if celsius is None else float(celsius),
            power=None if milliwatts is None else milliwatts * MILLI,
            clock=None if megahertz is None else megahertz * MEGA,
        )

    def _ask(self, question: Callable[..., Any], *words: object) -> Any:
        """An answer; None when this GPU has none for us. Anything else is for the caller: the driver is gone."""
        nvml = self._nvml
        try:
            return question(*words)
        except (nvml.NVMLError_NotSupported, nvml.NVMLError_FunctionNotFound, nvml.NVMLError_NoPermission):
            return None


def _text(value: bytes | str | None) -> str:
    text = value.decode("utf-8", "replace") if isinstance(value, bytes) else value or ""
    return "".join(letter for letter in text if letter.isprintable())[:128]


@dataclass(frozen=True, slots=True)
class Gpu:
    """A GPU over time: the newest reading, and its load since the last read."""

    reading: GpuReading
    load: Window


class NvmlSampler:
    """Reads every GPU at each tick. ``open_library`` is called in the ticking thread, and again after a failure."""

    def __init__(self, open_library: Callable[[], GpuLibrary] = Nvml) -> None:
        self._open = open_library
        self._library: GpuLibrary | None = None
        self._failed_at: float | None = None
        self._gpus: tuple[Gpu, ...] = ()
        self._read_at: float | None = None
        self.fault = ""
        """Why there is no reading; empty when all is well."""

    def tick(self, now: float) -> None:
        """One sample. ``now``: monotonic seconds."""
        if self._library is None and self._failed_at is not None and now - self._failed_at < RETRY_SECONDS:
            return
        try:
            if self._library is None:
                self._library = self._open()
            readings = self._library.read()
        except NvmlFailed as error:
            self.fault, self._failed_at = str(error), now
            self.close()
            return
        self.fault, self._failed_at = "", None
        before = {(number, gpu.reading.name): gpu.load for number, gpu in enumerate(self._gpus)}
        gpus = []
        for number, reading in enumerate(readings):
            load = before.get((number, reading.name)) or Window(MAX_AGE_SECONDS)
            if reading.load is not None:
                load.add(reading.load, now)
            gpus.append(Gpu(reading, load))
        self._gpus, self._read_at = tuple(gpus), now

    def gpus(self, now: float) -> tuple[Gpu, ...]:
        """Every GPU of the newest sample; empty when that is too old to speak for the present."""
        if self._read_at is None or now - self._read_at > MAX_AGE_SECONDS:
            return ()
        return self._gpus

    def close(self) -> None:
        """Lets go of the driver. Not while a tick is under way."""
        if self._library is not None:
            self._library.close()
            self._library = None
