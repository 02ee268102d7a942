from __future__ import annotations

from pathlib import Path

import pytest

from exporters.sources.board import Board, BoardPaths, identify, read_int, read_text

FIXTURES = Path(__file__).parents[2] / "fixtures/boards"


def recorded(kind: str) -> list[str]:
    rows = (line.split("\t") for line in (FIXTURES / "boards.tsv").read_text(encoding="utf-8").splitlines()[1:])
    return [row[2] for row in rows if row[1].startswith(kind)]


def tree(root: Path, *, model: str = "", compatible: str = "", release: str = "", dpkg: str = "") -> BoardPaths:
    """A board's identification files below ``root``."""
    files = {
        "proc/device-tree/model": model and model + "\0",
        "proc/device-tree/compatible": compatible,
        "etc/nv_tegra_release": release,
        "var/lib/dpkg/status": dpkg,
    }
    for name, text in files.items():
        if text:
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text(text)
    return BoardPaths.below(root)


def test_a_jetson(tmp_path: Path) -> None:
    paths = tree(
        tmp_path,
        model="NVIDIA Jetson AGX Orin Developer Kit",
        compatible="nvidia,p3737-0000+p3701-0005\0nvidia,p3701-0005\0nvidia,tegra234\0nvidia,tegra23x\0",
        release="# R36 (release), REVISION: 4.7, GCID: 42132812, BOARD: generic\n# KERNEL_VARIANT: oot\n",
    )
    assert identify(paths) == Board("jetson", "NVIDIA Jetson AGX Orin Developer Kit", "tegra234", "36.4.7")


@pytest.mark.parametrize("release", recorded("nv_tegra_release"))
def test_recorded_releases(tmp_path: Path, release: str) -> None:
    board = identify(tree(tmp_path, release=release + "\n"))
    assert board.family == "jetson"
    major, _, revision = board.l4t.partition(".")
    assert f"R{major} (release), REVISION: {revision}," in release


@pytest.mark.parametrize("compatible", recorded("device-tree/compatible"))
def test_recorded_compatibles_tell_the_chip(tmp_path: Path, compatible: str) -> None:
    soc = identify(tree(tmp_path, compatible=compatible)).soc
    assert soc in ("tegra210", "tegra234", "tegra264")
    assert f"nvidia,{soc}" in compatible


@pytest.mark.parametrize("model", [model for model in recorded("device-tree/model") if model.startswith("Raspberry")])
def test_recorded_pis(tmp_path: Path, model: str) -> None:
    compatible = "raspberrypi,5-model-b\0brcm,bcm2712\0"
    assert identify(tree(tmp_path, model=model, compatible=compatible)) == Board("raspberrypi", model, "bcm2712")


@pytest.mark.parametrize("model", ["NVIDIA Jetson Nano Developer Kit", "NVIDIA Orin Nano Developer Kit"])
def test_a_jetson_by_its_name_alone(tmp_path: Path, model: str) -> None:
    assert identify(tree(tmp_path, model=model)) == Board("jetson", model)


def test_an_image_without_release_file_is_asked_through_its_package(tmp_path: Path) -> None:
    dpkg = (
        "Package: nvidia-l4t-cuda\nVersion: 1.0\n\n"
        "Package: nvidia-l4t-core\nStatus: install ok installed\nVersion: 35.4.1-20230801124926\n\n"
        "Package: zlib\nVersion: 9.9\n"
    )
    assert identify(tree(tmp_path, compatible="nvidia,tegra194\0", dpkg=dpkg)).l4t == "35.4.1"
    other = tree(tmp_path / "b", compatible="nvidia,tegra194\0", dpkg="Package: nvidia-l4t-core\n\nVersion: 35.4.1\n")
    assert identify(other).l4t == ""


def test_another_place_of_the_device_tree(tmp_path: Path) -> None:
    base = tmp_path / "sys/firmware/devicetree/base"
    base.mkdir(parents=True)
    (base / "compatible").write_bytes(b"nvidia,tegra210\0")
    assert identify(BoardPaths.below(tmp_path)).soc == "tegra210"


def test_a_machine_that_is_no_board(tmp_path: Path) -> None:
    assert identify(BoardPaths.below(tmp_path)) == Board("other")
    assert identify(tree(tmp_path, model="Acme\n\x07 Board" + "x" * 300)).model.startswith("Acme Board")
    assert len(identify(BoardPaths.below(tmp_path)).model) == 128


def test_reads_are_bounded(tmp_path: Path) -> None:
    path = tmp_path / "value"
    path.write_text("7" * 10_000)
    assert len(read_text(path)) == 4096
    with pytest.raises(ValueError, match="expected one number"):
        read_int(path)
    path.write_text(" 42 \n")
    assert read_int(path) == 42
