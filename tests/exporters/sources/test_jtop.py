from __future__ import annotations

import json
import re

import pytest

from exporters.sources.jtop_child import JtopChild, JtopReading, parse
from exporters.sources.jtop_reader import explained, reading
from exporters.sources.tegrastats import Clocked

# As jetson-stats 7.2 documents them (percent, kHz): a GPU, the memory controller, a group of engines.
GPU = {
    "gpu": {
        "type": "integrated",
        "status": {"load": 45.5, "3d_scaling": True},
        "freq": {"cur": 612000, "GPC": [612000]},
    }
}
MEMORY = {"RAM": {"used": 1, "tot": 2}, "EMC": {"cur": 2133000, "max": 3199000, "val": 7, "override": 0}}
ENGINES = {"NVENC": {"NVENC": {"online": True, "cur": 473600}}, "DLA0": {"DLA0_CORE": {"online": False, "cur": 0}}}


def test_a_sample_in_ratios_and_hertz() -> None:
    assert reading(GPU, MEMORY, ENGINES) == {
        "gpu": 0.455,
        "gpu_hertz": 612e6,
        "emc": 0.07,
        "emc_hertz": 2133e6,
        "engines": {"nvenc": {"active": True, "hertz": 473.6e6}, "dla0_core": {"active": False}},
    }


@pytest.mark.parametrize(
    ("gpu", "memory", "engines"),
    [
        ({}, {}, {}),
        (None, None, None),
        ({"gpu": {"status": {}, "freq": None}}, {"EMC": {}}, {"NVENC": {}}),  # KeyError 'freq' broke other clients
        ({"gpu": {"status": {"load": -1}}}, {"EMC": {"val": 101}}, {"NVENC": {"NVENC": {"online": 1}}}),
        ({"gpu": {"status": {"load": float("nan")}}}, {"EMC": {"val": "7"}}, {"X": {1: {"online": True}}}),
        ({"gpu": 5}, {"EMC": 5}, {"X": 5}),
    ],
)
def test_what_is_missing_or_odd_is_left_out(gpu: object, memory: object, engines: object) -> None:
    assert reading(gpu, memory, engines) == {}


def test_what_the_child_prints_is_what_the_parent_understands() -> None:
    assert parse(json.dumps(reading(GPU, MEMORY, ENGINES))) == JtopReading(
        Clocked(0.455, 612e6),
        Clocked(0.07, 2133e6),
        {"nvenc": Clocked(None, 473.6e6), "dla0_core": Clocked(None, None, False)},
    )
    assert parse("{}") == JtopReading()
    for message in ("jtop: no right", "", "[1]", "5", '"x"', "{", '{"gpu": ', "[" * 50_000):
        assert parse(message) is None
    assert parse('{"gpu": 1' + "0" * 400 + "}") == JtopReading()


@pytest.mark.parametrize("line", ['{"engines": [1]}', '{"gpu": "x", "emc": true}', '{"engines": {"A": 1}}'])
def test_a_line_of_another_shape_holds_nothing(line: str) -> None:
    assert parse(line) == JtopReading()


def test_a_sample_is_believed_for_three_intervals() -> None:
    child = JtopChild(["jtop"])
    assert child.take_line('{"gpu": 0.5}', 10)
    assert not child.take_line("jtop: gone", 10.5)
    assert child.latest(13) == JtopReading(Clocked(0.5))
    assert child.latest(13.1) is None
    window = child.gpu.take(10)
    assert window is not None
    assert window.mean == 0.5


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (
            "Mismatch version jtop service: [4.3.2] and client: [7.2.2]. Please run:\n\nsudo systemctl restart jtop",
            r"jtop service is 4\.3\.2, the library here is 7\.2\.2; update the board's .*'jetson-stats==7\.2\.2'",
        ),
        (
            "Mismatch version jtop service: [7.0.1] and client: [7.2.2]",
            r"service is 7\.0\.1, .* make them alike: .* -m pip install 'jetson-stats~=7\.0\.0'$",
        ),
        ("The jtop.service is not active. Please run:\nsudo jtop --install-service", r"systemctl enable --now jtop$"),
        ("I can't access jtop.service.\nPlease logout or reboot this board.", r"usermod -aG jtop tierwatch"),
        ("Lost connection with\njtop server", "^Lost connection with jtop server$"),
    ],
)
def test_what_is_wrong_is_said_with_what_to_do(said: str, told: str) -> None:
    assert re.search(told, explained(said))
