"""The sampler over a fake library; the binding over a library built for the test, with NVIDIA's own symbols."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from exporters.sources.nvml import RETRY_SECONDS, GpuReading, NvmlFailed, NvmlSampler
from tests.support.peers import need

LIBRARY = r"""
#include <string.h>
typedef struct { unsigned gpu, memory; } utilization;
typedef struct { unsigned long long total, free, used; } memory;
static int handles[2];
int nvmlInitWithFlags(unsigned flags) { (void)flags; return FAIL_INIT; }
int nvmlShutdown(void) { return 0; }
int nvmlDeviceGetCount_v2(unsigned *count) { *count = 2; return 0; }
int nvmlDeviceGetHandleByIndex_v2(unsigned index, void **handle) { *handle = &handles[index]; return 0; }
int nvmlDeviceGetName(void *handle, char *name, unsigned size) {
    (void)size; strcpy(name, handle == &handles[0] ? "NVIDIA Thor" : "Card"); return 0; }
int nvmlDeviceGetUtilizationRates(void *handle, utilization *rates) {
    if (handle == &handles[1]) return 4; /* no permission */
    rates->gpu = 42; rates->memory = 7; return 0; }
int nvmlDeviceGetMemoryInfo(void *handle, memory *info) {
    if (handle == &handles[0]) return 3;
    info->total = 8589934592ULL; info->used = 1073741824ULL; info->free = info->total - info->used; return 0; }
int nvmlDeviceGetTemperature(void *handle, int sensor, unsigned *celsius) {
    (void)handle; (void)sensor; *celsius = 61; return 0; }
int nvmlDeviceGetPowerUsage(void *handle, unsigned *milliwatts) { (void)handle; *milliwatts = 25500; return LATE; }
const char *nvmlErrorString(int code) { return code == 9 ? "Driver Not Loaded" : "GPU is lost"; }
"""
PROGRAM = """
import json
from dataclasses import asdict
from exporters.sources.nvml import Nvml, NvmlFailed
try:
    library = Nvml()
    print(json.dumps([asdict(gpu) for gpu in library.read()]))
    library.close()
except NvmlFailed as error:
    print(json.dumps(str(error)))
"""


def ask_library(folder: Path, *flags: str) -> object:
    """What a program reads through the real binding from a library compiled with ``flags``."""
    (folder / "nvml.c").write_text(LIBRARY)
    built = folder / "libnvidia-ml.so.1"
    defaults = {"FAIL_INIT": "0", "LATE": "0", **dict(flag.split("=") for flag in flags)}
    defines = [f"-D{name}={value}" for name, value in defaults.items()]
    subprocess.run([need("cc"), "-shared", "-fPIC", *defines, "-o", built, folder / "nvml.c"], check=True)
    told = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env={**os.environ, "LD_LIBRARY_PATH": str(folder)},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return json.loads(told.stdout)


def test_what_the_binding_reads_and_what_a_gpu_does_not_know(tmp_path: Path) -> None:
    thor = {"name": "NVIDIA Thor", "load": 0.42, "memory_used": None, "memory_size": None}
    card = {"name": "Card", "load": None, "memory_used": 1 << 30, "memory_size": 8 << 30}
    both = {"temperature": 61, "power": 25.5, "clock": None}  # the library is too old to have clocks
    assert ask_library(tmp_path) == [{**thor, **both}, {**card, **both}]


def test_a_driver_that_is_not_loaded_or_lost_is_said_in_its_words(tmp_path: Path) -> None:
    assert ask_library(tmp_path, "FAIL_INIT=9") == "NVML: Driver Not Loaded"
    assert ask_library(tmp_path, "LATE=15") == "NVML: GPU is lost"


def test_no_library_is_said() -> None:
    told = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True, timeout=60)
    if not json.loads(told.stdout) or isinstance(json.loads(told.stdout), list):
        pytest.skip("this machine has the library")
    assert json.loads(told.stdout).startswith("NVML: ")


class Library:
    """Answers in order; a text is a failure."""

    def __init__(self, *answers: Sequence[GpuReading] | str) -> None:
        self.answers = list(answers)
        self.closed = 0

    def read(self) -> Sequence[GpuReading]:
        answer = self.answers.pop(0)
        if isinstance(answer, str):
            raise NvmlFailed(answer)
        return answer

    def close(self) -> None:
        self.closed += 1


def test_load_is_folded_over_the_time_since_the_last_read() -> None:
    library = Library(*[[GpuReading("a", load=share)] for share in (0.2, 0.8, 0.5)])
    sampler = NvmlSampler(lambda: library)
    assert sampler.gpus(0) == ()
    sampler.tick(1)
    sampler.tick(2)
    window = sampler.gpus(2)[0].load.take(2)
    assert window is not None
    assert (window.mean, window.maximum) == (0.5, 0.8)
    sampler.tick(3)
    window = sampler.gpus(3)[0].load.take(3)
    assert window is not None
    assert (window.mean, window.maximum) == (0.5, 0.5)
    assert sampler.gpus(6) != ()
    assert sampler.gpus(6.6) == (), "what is old does not speak for the present"


def test_a_failure_is_told_and_tried_again_after_a_while() -> None:
    first, second = Library([GpuReading("a", load=1.0)], "GPU is lost"), Library([GpuReading("a", load=0.5)])
    libraries = [first, second]
    sampler = NvmlSampler(lambda: libraries.pop(0))
    sampler.tick(0)
    sampler.tick(1)
    assert sampler.fault == "GPU is lost"
    assert first.closed == 1
    sampler.tick(2)
    assert libraries == [second], "not at once"
    sampler.tick(1 + RETRY_SECONDS)
    assert sampler.fault == ""
    assert sampler.gpus(1 + RETRY_SECONDS)[0].reading.load == 0.5


def test_a_library_that_cannot_be_opened() -> None:
    def missing() -> Library:
        raise NvmlFailed("nvidia-ml-py is not installed")

    sampler = NvmlSampler(missing)
    sampler.tick(0)
    assert sampler.fault == "nvidia-ml-py is not installed"
    sampler.close()
