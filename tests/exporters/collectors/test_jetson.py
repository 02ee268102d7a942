from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from exporters.collector import Collector, CollectorFailed, Family, NoData
from exporters.collectors.jetson import JetsonSensors
from exporters.sources.board import Board, BoardPaths
from exporters.sources.jtop_child import JtopChild
from exporters.sources.nvml import GpuReading, NvmlSampler
from tests.exporters.sources.test_nvml import Library

ROOT_LINE = (  # AGX Orin 64GB, release 36, as root (Abdel-E/tegrastats_parser)
    "10-26-2025 05:10:55 RAM 6873/62841MB (lfb 3x4MB) SWAP 0/31421MB (cached 0MB) "
    "CPU [13%@729,9%@729,7%@729,7%@729,5%@729,1%@729,15%@729,3%@729,3%@729,13%@729,3%@729,9%@729] EMC_FREQ 1%@2133 "
    "GR3D_FREQ 40%@[305,305] NVENC off NVDEC off NVJPG off NVJPG1 off VIC off OFA off NVDLA0 off NVDLA1 off "
    "PVA0_FREQ off APE 174 cpu@47.906C tboard@36.75C soc2@44.468C tdiode@37.5C soc0@45.781C gpu@43.437C tj@47.968C "
    "soc1@45.156C VDD_GPU_SOC 3201mW/2934mW VDD_CPU_CV 800mW/533mW VIN_SYS_5V0 4737mW/4636mW "
    "VDDQ_VDD2_1V8AO 705mW/637mW"
)
NANO_2GB = (  # release 32, no root: a constant EMC of 0 %, no rails
    "RAM 1889/1980MB (lfb 16x256kB) SWAP 683/8192MB (cached 58MB) CPU [6%@102,5%@102,15%@102,12%@102] EMC_FREQ 0% "
    "GR3D_FREQ 0% PLL@27C CPU@28C PMIC@50C GPU@29C AO@36.5C thermal@28.5C"
)
ORIN_NANO = (
    "RAM 3452/7620MB (lfb 25x4MB) CPU [1%@1420,off] GR3D_FREQ 7% cpu@50.031C VDD_IN 4824mW/4824mW "
    "VDD_CPU_GPU_CV 518mW/518mW VDD_SOC 1475mW/1475mW"
)


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Rig:
    """The sensors of a Jetson whose time and tegrastats lines the test decides. No thread, no child."""

    def __init__(self, root: Path, soc: str = "tegra234", *, tegrastats: bool = True, family: str = "jetson") -> None:
        self.sys = root / "sys"
        self.clock = Clock()
        board = Board("jetson" if family == "jetson" else "raspberrypi", soc=soc)
        paths = BoardPaths.below(root)
        self.sensors = JetsonSensors(board, paths, ["tegrastats"] if tegrastats else None, clock=self.clock)
        self.collectors: dict[str, Collector] = self.sensors.collectors()

    def second(self, line: str = "") -> None:
        """A second passes: the GPU is sampled, a line may come."""
        self.clock.now += 1
        self.sensors.gpu.tick(self.clock.now)
        if line:
            assert self.sensors.child is not None
            assert self.sensors.child.take_line(line, self.clock.now)

    def read(self, name: str) -> dict[str, dict[tuple[str, ...], float]]:
        return by_name(self.collectors[name].collect())

    def gpu(self, load: int) -> None:
        device = self.sys / "class/devfreq/17000000.gpu/device"
        (device / "of_node").mkdir(parents=True, exist_ok=True)
        (device / "of_node/name").write_bytes(b"gpu\0")
        (device / "load").write_text(f"{load}\n")
        (device.parent / "cur_freq").write_text("621000000\n")

    def rail(self, channel: int, label: str, millivolts: int, milliamps: object) -> None:
        chip = self.sys / "bus/i2c/devices/1-0040"
        monitor = chip / "hwmon/hwmon3"
        monitor.mkdir(parents=True, exist_ok=True)
        (chip / "name").write_text("ina3221\n")
        (monitor / f"in{channel}_label").write_text(label + "\n")
        (monitor / f"in{channel}_input").write_text(f"{millivolts}\n")
        (monitor / f"curr{channel}_input").write_text(f"{milliamps}\n")


def by_name(families: Sequence[Family]) -> dict[str, dict[tuple[str, ...], float]]:
    assert all(family.rows for family in families), "a family without rows is none"
    assert all(len(row[0]) == len(family.metric.labels) for family in families for row in family.rows)
    named = {family.metric.name: dict(family.rows) for family in families}
    assert len(named) == len(families)
    return named


def test_gpu_from_sysfs_covers_the_time_since_the_last_read(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    for load in (200, 800):
        rig.gpu(load)
        rig.second("RAM 1/2MB GR3D_FREQ 99%@[305]")
    assert rig.read("jetson_gpu") == {
        "tierwatch_jetson_gpu_utilization_ratio": {(): 0.5},
        "tierwatch_jetson_gpu_utilization_max_ratio": {(): 0.8},
        "tierwatch_jetson_gpu_busy_seconds_total": {(): 0.8},
        "tierwatch_jetson_gpu_frequency_hertz": {(): 621e6},
    }
    rig.gpu(100)
    rig.second()
    assert rig.read("jetson_gpu")["tierwatch_jetson_gpu_utilization_max_ratio"] == {(): 0.1}
    assert rig.read("jetson_sources")["tierwatch_jetson_source_info"] == {
        ("gpu_utilization", "sysfs"): 1,
        ("gpu_frequency", "sysfs"): 1,
        ("memory", "tegrastats"): 1,
    }


def test_gpu_from_tegrastats_when_sysfs_has_no_load(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    rig.second(ROOT_LINE)
    assert rig.read("jetson_gpu") == {
        "tierwatch_jetson_gpu_utilization_ratio": {(): 0.4},
        "tierwatch_jetson_gpu_utilization_max_ratio": {(): 0.4},
        "tierwatch_jetson_gpu_busy_seconds_total": {(): 0},
        "tierwatch_jetson_gpu_frequency_hertz": {(): 305e6},
    }
    assert ("gpu_utilization", "tegrastats") in rig.read("jetson_sources")["tierwatch_jetson_source_info"]


def test_gpu_load_that_cannot_be_read_is_loud_unless_tegrastats_has_it(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    rig.gpu(5000)
    rig.second()
    with pytest.raises(CollectorFailed, match="5000 is not a share of 1000"):
        rig.collectors["jetson_gpu"].collect()
    rig.second(ORIN_NANO)
    assert rig.read("jetson_gpu")["tierwatch_jetson_gpu_utilization_ratio"] == {(): 0.07}


def test_tegrastats_that_stands_in_speaks_for_the_time_since_the_last_read(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    rig.gpu(500)
    for _ in range(5):
        rig.second(ORIN_NANO.replace("7%", "99%", 1))
    assert rig.read("jetson_gpu")["tierwatch_jetson_gpu_utilization_ratio"] == {(): 0.5}
    rig.gpu(5000)
    for _ in range(4):
        rig.second(ORIN_NANO)
    told = rig.read("jetson_gpu")
    assert told["tierwatch_jetson_gpu_utilization_max_ratio"] == {(): 0.07}


def test_a_gpu_nobody_can_read_is_silent_at_boot_then_loud(tmp_path: Path) -> None:
    rig = Rig(tmp_path, tegrastats=False)
    rig.second()
    with pytest.raises(NoData):
        rig.collectors["jetson_gpu"].collect()
    rig.clock.now += 61
    rig.second()
    with pytest.raises(CollectorFailed, match="no device of class devfreq"):
        rig.collectors["jetson_gpu"].collect()


def test_thor_tells_a_clock_and_no_load(tmp_path: Path) -> None:
    rig = Rig(tmp_path, "tegra264")
    rig.second()
    rig.clock.now += 100
    rig.second("RAM 105265/125772MB (lfb 34x4MB) GR3D_FREQ @[314,314,314] cpu@37.343C VIN 19780mW/19780mW")
    assert rig.read("jetson_gpu") == {"tierwatch_jetson_gpu_frequency_hertz": {(): 314e6}}
    assert rig.read("jetson_power")["tierwatch_jetson_power_total_watts"] == {(): 19.78}


def test_power_from_sysfs(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    rig.rail(1, "VDD_IN", 5000, 1500)
    rig.rail(2, "VDD_SOC", 5000, 500)
    rig.second(ORIN_NANO)
    assert rig.read("jetson_power") == {
        "tierwatch_jetson_power_watts": {("VDD_IN",): 7.5, ("VDD_SOC",): 2.5},
        "tierwatch_jetson_power_total_watts": {(): 7.5},
    }
    assert ("power", "sysfs") in rig.read("jetson_sources")["tierwatch_jetson_source_info"]


def test_power_from_tegrastats_has_no_total_on_agx(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    rig.second(ROOT_LINE)
    assert rig.read("jetson_power") == {
        "tierwatch_jetson_power_watts": {
            ("VDD_GPU_SOC",): 3.201,
            ("VDD_CPU_CV",): 0.8,
            ("VIN_SYS_5V0",): 4.737,
            ("VDDQ_VDD2_1V8AO",): 0.705,
        }
    }


def test_broken_monitors_are_loud_unless_tegrastats_has_power(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    rig.rail(1, "VDD_IN", 5000, "")
    with pytest.raises(CollectorFailed, match="none of 1 power rails"):
        rig.collectors["jetson_power"].collect()
    rig.second(ORIN_NANO)
    assert rig.read("jetson_power")["tierwatch_jetson_power_total_watts"] == {(): 4.824}
    assert ("power", "tegrastats") in rig.read("jetson_sources")["tierwatch_jetson_source_info"]


def test_nano_2gb_measures_no_power_and_no_memory_bandwidth(tmp_path: Path) -> None:
    rig = Rig(tmp_path, "tegra210")
    rig.second(NANO_2GB)
    with pytest.raises(NoData):
        rig.collectors["jetson_power"].collect()
    told = rig.read("jetson_tegrastats")
    assert set(told) == {
        "tierwatch_jetson_memory_used_bytes",
        "tierwatch_jetson_memory_size_bytes",
        "tierwatch_jetson_memory_largest_free_block_bytes",
        "tierwatch_jetson_cpu_cores_online",
        "tierwatch_jetson_cpu_frequency_hertz",
        "tierwatch_jetson_temperature_celsius",
        "tierwatch_jetson_tegrastats_restarts_total",
    }
    assert told["tierwatch_jetson_temperature_celsius"] == {
        ("pll",): 27,
        ("cpu",): 28,
        ("gpu",): 29,
        ("ao",): 36.5,
        ("thermal",): 28.5,
    }
    assert told["tierwatch_jetson_memory_largest_free_block_bytes"] == {(): 256 * 1024}


def test_what_tegrastats_alone_knows(tmp_path: Path) -> None:
    zone = tmp_path / "sys/class/thermal/thermal_zone0"
    zone.mkdir(parents=True)
    (zone / "temp").write_text("47906\n")
    rig = Rig(tmp_path)
    rig.second(ROOT_LINE.replace("NVENC off", "NVENC 79%@166"))
    told = rig.read("jetson_tegrastats")
    assert "tierwatch_jetson_temperature_celsius" not in told, "the kernel's zones are exported elsewhere"
    assert told["tierwatch_jetson_emc_utilization_ratio"] == {(): 0.01}
    assert told["tierwatch_jetson_emc_frequency_hertz"] == {(): 2133e6}
    assert told["tierwatch_jetson_cpu_cores_online"] == {(): 12}
    assert told["tierwatch_jetson_cpu_frequency_hertz"][("11",)] == 729e6
    clock = tmp_path / "sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq"
    clock.parent.mkdir(parents=True)
    clock.write_text("729600\n")
    assert "tierwatch_jetson_cpu_frequency_hertz" not in rig.read("jetson_tegrastats"), "the kernel's own are exported"
    assert told["tierwatch_jetson_memory_used_bytes"] == {(): 6873 << 20}
    assert told["tierwatch_jetson_engine_active"][("nvenc",)] == 1
    assert told["tierwatch_jetson_engine_active"][("nvdla1",)] == 0
    assert told["tierwatch_jetson_engine_utilization_ratio"] == {("nvenc",): 0.79}
    assert told["tierwatch_jetson_engine_frequency_hertz"] == {("nvenc",): 166e6, ("ape",): 174e6}
    assert ("temperature", "sysfs") in rig.read("jetson_sources")["tierwatch_jetson_source_info"]


def test_old_lines_are_dropped_and_said(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    with pytest.raises(NoData):
        rig.collectors["jetson_tegrastats"].collect()
    rig.second(ROOT_LINE)
    rig.clock.now += 3
    assert rig.read("jetson_tegrastats")
    rig.clock.now += 0.1
    with pytest.raises(CollectorFailed, match="older than three intervals"):
        rig.collectors["jetson_tegrastats"].collect()
    with pytest.raises(NoData):
        rig.collectors["jetson_power"].collect()
    assert rig.sensors.child is not None
    rig.sensors.child.fault = "tegrastats: ended with status 1"
    with pytest.raises(CollectorFailed, match="ended with status 1"):
        rig.collectors["jetson_tegrastats"].collect()


def test_fan(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    with pytest.raises(NoData):
        rig.collectors["jetson_fan"].collect()
    fan = rig.sys / "class/hwmon/hwmon0"
    fan.mkdir(parents=True)
    (fan / "name").write_text("pwmfan\n")
    (fan / "pwm1").write_text("102\n")
    assert rig.read("jetson_fan") == {"tierwatch_jetson_fan_duty_ratio": {("pwmfan",): 0.4}}


def test_silent_on_another_board(tmp_path: Path) -> None:
    rig = Rig(tmp_path, "bcm2712", family="raspberrypi")
    rig.gpu(100)
    rig.sensors.start()
    try:
        for collector in rig.collectors.values():
            with pytest.raises(NoData):
                collector.collect()
    finally:
        rig.sensors.stop()
    assert not rig.sensors.gpu.window.fresh(rig.clock.now)


def test_the_power_mode(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    with pytest.raises(NoData):
        rig.collectors["jetson_power_mode"].collect()
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/nvpmodel.conf").write_text("< POWER_MODEL ID=1 NAME=5W >\n< PM_CONFIG DEFAULT=0 >\n")
    status = tmp_path / "var/lib/nvpmodel/status"
    status.parent.mkdir(parents=True)
    status.write_text("pmode:0001\n")
    assert rig.read("jetson_power_mode") == {"tierwatch_jetson_power_mode_info": {("1", "5W"): 1}}
    status.write_text("?\n")
    with pytest.raises(CollectorFailed, match="expected pmode"):
        rig.collectors["jetson_power_mode"].collect()


def thor(tmp_path: Path, *answers: list[GpuReading] | str) -> tuple[Rig, NvmlSampler]:
    library = Library(*answers)
    rig = Rig(tmp_path, "tegra264")
    sampler = rig.sensors.nvml = NvmlSampler(lambda: library)
    rig.sensors.gpu.tick(0)
    return rig, sampler


def test_thor_tells_its_load_over_nvml(tmp_path: Path) -> None:
    rig, nvml = thor(tmp_path, [GpuReading("NVIDIA Thor", load=0.2)], [GpuReading("NVIDIA Thor", load=0.6)])
    for second in (1.0, 2.0):
        rig.second()
        nvml.tick(second)
    found = rig.read("jetson_gpu")
    assert found["tierwatch_jetson_gpu_utilization_ratio"] == {(): 0.4}
    assert found["tierwatch_jetson_gpu_utilization_max_ratio"] == {(): 0.6}
    assert rig.read("jetson_sources") == {"tierwatch_jetson_source_info": {("gpu_utilization", "nvml"): 1}}


def test_thor_without_nvml_says_why_unless_tegrastats_knows(tmp_path: Path) -> None:
    rig, nvml = thor(tmp_path, "Driver Not Loaded")
    rig.second()
    nvml.tick(1.0)
    with pytest.raises(CollectorFailed, match="GPU load: Driver Not Loaded"):
        rig.collectors["jetson_gpu"].collect()
    rig.second(ORIN_NANO)
    assert rig.read("jetson_gpu")["tierwatch_jetson_gpu_utilization_ratio"] == {(): 0.07}


def test_nvml_is_never_asked_where_the_kernel_tells_the_load(tmp_path: Path) -> None:
    assert Rig(tmp_path, "tegra234").sensors.nvml is None
    assert Rig(tmp_path, "tegra210").sensors.nvml is None


def test_jtop_tells_what_tegrastats_does_not(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    rig.sensors.jtop = JtopChild(["jtop"], clock=rig.clock)
    sample = '{"gpu": 0.5, "emc": 0.25, "emc_hertz": 2e9, "engines": {"NVENC": {"active": true, "hertz": 4e8}}}'
    with pytest.raises(NoData):
        rig.collectors["jetson_jtop"].collect()
    rig.second()
    rig.sensors.jtop.take_line(sample, rig.clock.now)
    assert rig.read("jetson_jtop") == {
        "tierwatch_jetson_emc_utilization_ratio": {(): 0.25},
        "tierwatch_jetson_emc_frequency_hertz": {(): 2e9},
        "tierwatch_jetson_engine_active": {("NVENC",): 1},
        "tierwatch_jetson_engine_frequency_hertz": {("NVENC",): 4e8},
        "tierwatch_jetson_jtop_restarts_total": {(): 0},
    }
    assert rig.read("jetson_gpu")["tierwatch_jetson_gpu_utilization_ratio"] == {(): 0.5}
    assert rig.read("jetson_sources")["tierwatch_jetson_source_info"] == {
        ("gpu_utilization", "jtop"): 1,
        ("emc", "jtop"): 1,
        ("engines", "jtop"): 1,
    }
    rig.second(ROOT_LINE)  # tegrastats as root tells both: no reading comes twice
    rig.sensors.jtop.take_line(sample, rig.clock.now)
    assert set(rig.read("jetson_jtop")) == {"tierwatch_jetson_jtop_restarts_total"}
    sources = rig.read("jetson_sources")["tierwatch_jetson_source_info"]
    assert ("emc", "tegrastats") in sources
    assert ("emc", "jtop") not in sources


def test_a_jtop_that_cannot_work_is_loud(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    rig.sensors.jtop = JtopChild(["jtop"], clock=rig.clock)
    rig.sensors.jtop.fault = "jtop: the board's jtop service is 4.3.2"
    with pytest.raises(CollectorFailed, match=r"service is 4\.3\.2"):
        rig.collectors["jetson_jtop"].collect()
