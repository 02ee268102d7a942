from __future__ import annotations

import shutil
from pathlib import Path
from typing import ClassVar

import pytest

from exporters.sources.board_sampling import WindowReading
from exporters.sources.jetson_gpu import REPROBE_SECONDS, GpuFiles, GpuSampler, find_gpu


def devfreq(sys: Path, entry: str, *, node: str | None, load: int | None, hertz: int = 306_000_000) -> Path:
    """A devfreq entry as the kernel has it: links into the device's own folder."""
    device = sys / "devices/platform" / entry
    device.mkdir(parents=True)
    if load is not None:
        (device / "load").write_text(f"{load}\n")
    if node is not None:
        (device / "of_node").mkdir()
        (device / "of_node/name").write_bytes(node.encode() + b"\0")
    own = device / "devfreq" / entry
    own.mkdir(parents=True)
    (own / "device").symlink_to("../..")
    (own / "cur_freq").write_text(f"{hertz}\n")
    (sys / "class/devfreq").mkdir(parents=True, exist_ok=True)
    (sys / "class/devfreq" / entry).symlink_to(own)
    return device


@pytest.mark.parametrize("node", ["gpu", "gp10b", "gv11b", "ga10b", "gb10b"])
def test_found_by_the_name_of_its_node(tmp_path: Path, node: str) -> None:
    devfreq(tmp_path, "15340000.vic", node="vic", load=900)
    device = devfreq(tmp_path, "17000000.thing", node=node, load=123)
    found = find_gpu(tmp_path)
    assert found.load is not None
    assert found.load.resolve() == (device / "load").resolve()
    assert found.clock == tmp_path / "class/devfreq/17000000.thing/cur_freq"


def test_thor_has_a_clock_and_no_load(tmp_path: Path) -> None:
    devfreq(tmp_path, "gpu-nvd-0", node=None, load=None, hertz=1)
    devfreq(tmp_path, "gpu-gpc-0", node=None, load=None, hertz=314_000_000)
    assert find_gpu(tmp_path) == GpuFiles(None, tmp_path / "class/devfreq/gpu-gpc-0/cur_freq")
    sampler = GpuSampler(tmp_path)
    sampler.tick(0)
    assert sampler.clock_hertz() == 314e6
    assert sampler.window.take(0) is None
    sampler.tick(50)
    assert sampler.missing_seconds(70) == 70
    assert sampler.fault == ""


def test_the_fixed_place_of_older_releases(tmp_path: Path) -> None:
    device = tmp_path / "devices/gpu.0"
    (device / "devfreq/57000000.gpu").mkdir(parents=True)
    (device / "devfreq/57000000.gpu/cur_freq").write_text("76800000\n")
    (device / "load").write_text("250\n")
    assert find_gpu(tmp_path) == GpuFiles(device / "load", device / "devfreq/57000000.gpu/cur_freq")


def test_samples_are_shares_of_a_thousand(tmp_path: Path) -> None:
    device = devfreq(tmp_path, "17000000.gpu", node="gpu", load=0)
    sampler = GpuSampler(tmp_path)
    for now, load in enumerate((100, 1000, 400)):
        (device / "load").write_text(f"{load}\n")
        sampler.tick(now)
    reading = sampler.window.take(2)
    assert reading is not None
    assert (reading.mean, reading.maximum, reading.samples) == (0.5, 1.0, 3)


@pytest.mark.parametrize("nonsense", ["1001", "-1", "", "busy"])
def test_nonsense_is_no_sample(tmp_path: Path, nonsense: str) -> None:
    device = devfreq(tmp_path, "17000000.gpu", node="gpu", load=0)
    (device / "load").write_text(nonsense)
    sampler = GpuSampler(tmp_path)
    sampler.tick(0)
    assert sampler.window.take(0) is None
    assert str(device / "load") in sampler.fault
    (device / "load").write_text("10")
    sampler.tick(1)
    assert sampler.fault == ""
    assert sampler.window.take(1) == WindowReading(0.01, 0.01, 1, 0)


def test_searched_again_until_found_and_when_lost(tmp_path: Path) -> None:
    sampler = GpuSampler(tmp_path)
    sampler.tick(0)
    device = devfreq(tmp_path, "17000000.gpu", node="gpu", load=500)
    sampler.tick(REPROBE_SECONDS / 2)
    assert sampler.window.take(REPROBE_SECONDS / 2) is None
    sampler.tick(REPROBE_SECONDS)
    assert sampler.window.fresh(REPROBE_SECONDS)
    shutil.rmtree(device)
    (tmp_path / "class/devfreq/17000000.gpu").unlink()
    sampler.tick(REPROBE_SECONDS + 1)
    assert "load" in sampler.fault
    devfreq(tmp_path, "18000000.gpu", node="gpu", load=700)
    sampler.tick(2 * REPROBE_SECONDS + 1)
    assert sampler.fault == ""
    reading = sampler.window.take(2 * REPROBE_SECONDS + 1)
    assert reading is not None
    assert (reading.maximum, reading.samples) == (0.7, 2)


def test_a_load_file_that_comes_while_its_absence_is_asked_for(tmp_path: Path) -> None:
    class Meanwhile(GpuSampler):
        """Its load file comes right after somebody looked whether it is missing."""

        asked: ClassVar = [None, 3.0]

        @property
        def _missing_since(self) -> float | None:
            return self.asked.pop()

        @_missing_since.setter
        def _missing_since(self, _: float | None) -> None: ...

    assert Meanwhile(tmp_path).missing_seconds(5.0) == 2.0
