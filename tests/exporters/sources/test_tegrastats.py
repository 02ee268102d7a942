from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporters.sources.tegrastats import MAX_LINE, MOST_UNKNOWN, Clocked, Memory, Tegrastats, parse

FIXTURES = Path(__file__).parents[2] / "fixtures/boards"
MIB, KIB = 1 << 20, 1 << 10


def recorded() -> list[tuple[str, str, dict[str, Any]]]:
    rows = (FIXTURES / "tegrastats.tsv").read_text(encoding="utf-8").splitlines()[1:]
    expected = (FIXTURES / "tegrastats_expected.jsonl").read_text(encoding="utf-8").splitlines()
    return [
        (f"{number}-{row.split(chr(9))[0]}", row.split("\t")[3], json.loads(want))
        for number, (row, want) in enumerate(zip(rows, expected, strict=True), 1)
    ]


RECORDED = recorded()


def test_every_recorded_line_is_in_the_table() -> None:
    assert len(RECORDED) == 57


@pytest.mark.parametrize(("line", "want"), [row[1:] for row in RECORDED], ids=[row[0] for row in RECORDED])
def test_recorded_line(line: str, want: dict[str, Any]) -> None:
    assert told(parse(line)) == want


@pytest.mark.parametrize("line", [row[1] for row in RECORDED], ids=[row[0] for row in RECORDED])
def test_no_word_of_a_recorded_line_is_lost(line: str) -> None:
    found = parse(line)
    assert not set(found.unknown) - {"EDP", "limit", "0"}
    clocks = re.search(r"(?i)\bcpu \[(.*?)\](?:@(-?\d+))?", line)
    assert clocks is not None
    words = clocks[1].split(",")
    assert [core.active for core in found.cores] == [word != "off" for word in words]
    wanted = [int(word.partition("@")[2] or clocks[2] or 0) for word in words]
    assert [round((core.hertz or 0) / 1e6) for core in found.cores] == [max(0, clock) for clock in wanted]


@pytest.mark.parametrize(
    ("words", "unknown"),
    [
        ("FAN 120/255", ["FAN", "120/255"]),
        ("MAXN 1/2", ["MAXN", "1/2"]),
        ("VDD_IN N/A cpu@N/AC", ["VDD_IN", "N/A", "cpu@N/AC"]),
        ("GR3D_FREQ N/A", ["GR3D_FREQ", "N/A"]),
        ("VDD_IN 5W/5W", ["VDD_IN", "5W/5W"]),
        ("NVENC 5%@fast", ["NVENC", "5%@fast"]),
        ("NPU0_FREQ 12%@900", ["NPU0_FREQ", "12%@900"]),
    ],
)
def test_nothing_is_made_of_words_never_seen(words: str, unknown: list[str]) -> None:
    found = parse(f"RAM 1/2MB {words}")
    assert found == Tegrastats(ram=Memory(MIB, 2 * MIB), unknown=unknown)


def test_cores() -> None:
    found = parse("RAM 1/2MB CPU [5%@1224,off,N/A,250%@99,@7]")
    online = [Clocked(0.05, 1224e6), Clocked(active=False), Clocked(), Clocked(None, 99e6), Clocked(None, 7e6)]
    assert list(found.cores) == online
    assert parse("cpu [17%,off]@408").cores == (Clocked(0.17, 408e6), Clocked(active=False))


def told(found: Tegrastats) -> dict[str, Any]:
    """A parsed line in the units of the table."""
    assert found.ram is not None
    assert found.largest_free_block is not None
    said: dict[str, Any] = {
        "ram_mib": [found.ram.used // MIB, found.ram.size // MIB],
        "lfb_kib": found.largest_free_block // KIB,
        "cores_percent": [None if core.ratio is None else round(core.ratio * 100) for core in found.cores],
        "engines": {name: clocked(unit) if unit.active else "off" for name, unit in found.engines.items()},
        "celsius": found.temperatures,
        "milliwatts": {rail: round(watts * 1000) for rail, watts in found.rails.items()},
    }
    if found.swap is not None:
        said["swap_mib"] = [found.swap.used // MIB, found.swap.size // MIB]
    if found.emc is not None:
        said["emc"] = clocked(found.emc)
    if found.gpu is not None:
        said["gpu"] = clocked(found.gpu)
    return said


def clocked(unit: Clocked) -> list[int | None]:
    return [
        None if unit.ratio is None else round(unit.ratio * 100),
        None if unit.hertz is None else round(unit.hertz / 1e6),
    ]


@pytest.mark.parametrize(
    ("token", "want"),
    [
        ("GR3D_FREQ 99%@1032", Clocked(0.99, 1032e6)),
        ("GR3D_FREQ 4%", Clocked(0.04, None)),
        ("GR3D 39%@76", Clocked(0.39, 76e6)),
        ("GR3D_FREQ 5%@306 GR3D2_FREQ 9%@306", Clocked(0.05, 306e6)),
        ("GR3D_FREQ 0%@[0,0]", Clocked(0.0, None)),
        ("GR3D_FREQ 63%@[621]", Clocked(0.63, 621e6)),
        ("GR3D_FREQ @[314,314,315]", Clocked(None, 315e6)),
        ("GR3D_FREQ 12%@[1300,1300]", Clocked(0.12, 1300e6)),
        ("GR3D_FREQ 250%", Clocked(None, None)),
        ("GR3D_PCI 80%@1000", None),
        ("GR3D_FREQ", None),
        ("GR3D_FREQ ?", None),
    ],
)
def test_gpu_forms(token: str, want: Clocked | None) -> None:
    assert parse(f"RAM 1/2MB {token} cpu@40C").gpu == want


@pytest.mark.parametrize(
    ("token", "want"),
    [
        ("EMC_FREQ 0%", None),
        ("EMC_FREQ 55%", None),
        ("EMC_FREQ 0%@2133", Clocked(0.0, 2133e6)),
        ("EMC 1%@408", Clocked(0.01, 408e6)),
        ("EMC_FREQ @2133", Clocked(None, 2133e6)),
    ],
)
def test_memory_controller_only_with_its_clock(token: str, want: Clocked | None) -> None:
    assert parse(f"RAM 1/2MB {token} GR3D_FREQ 3%").emc == want


@pytest.mark.parametrize(
    ("token", "want"),
    [
        ("NVDEC 716", {"nvdec": Clocked(None, 716e6)}),
        ("VIC_FREQ 0%@140", {"vic": Clocked(0.0, 140e6)}),
        ("NVENC off NVDEC 40%@115", {"nvenc": Clocked(active=False), "nvdec": Clocked(0.4, 115e6)}),
        ("PVA0_FREQ [0%,7%@1215]", {"pva0": Clocked(0.07, 1215e6)}),
        ("NVENC0_FREQ @314 OFA_FREQ @315", {"nvenc0": Clocked(None, 314e6), "ofa": Clocked(None, 315e6)}),
        ("NVDLA0_FREQ @1600", {"nvdla0": Clocked(None, 1600e6)}),
        ("MTS fg 1% bg 8% VDE 0 EDP limit 0", {"vde": Clocked(active=False)}),
        ("MSENC 0", {"msenc": Clocked(active=False)}),
    ],
)
def test_engine_forms(token: str, want: dict[str, Clocked]) -> None:
    assert parse(f"RAM 1/2MB {token} cpu@40C").engines == want


def test_current_value_of_two_and_three() -> None:
    found = parse(
        "RAM 1/2MB cpu@58.25C/61.75C VDD_GPU -392mW/-400mW VDD_IN 37939mW/8660mW/40000mW NC 5mW/5mW NC 0mW/0mW"
    )
    assert found.temperatures == {"cpu": 58.25}
    assert found.rails == {"VDD_GPU": -0.392, "VDD_IN": 37.939}


def test_units_of_memory() -> None:
    found = parse("RAM 1889/1980MB (lfb 16x256kB) SWAP 1/2GB (cached 58MB) IRAM 0/252kB(lfb 252kB)")
    assert found.ram == Memory(1889 * MIB, 1980 * MIB)
    assert found.largest_free_block == 256 * KIB
    assert found.swap == Memory(1 << 30, 2 << 30)


WORDS = """
RAM SWAP IRAM CPU cpu EMC EMC_FREQ GR3D GR3D_FREQ GR3D2_FREQ NVENC NVDEC1 VIC_FREQ PVA0_FREQ APE MTS fg off NC
PMIC PMIC@100C pmic@50C cpu@-256C GPU@-256C/-256C cv0@-256.0C cpu@41.5C/44C GPU VDD_IN 1/2 -3mW/4mW 1/2/3
1179/3983MB (lfb 120x4MB) (cached [1%@102,off] [17%,13%]@408 [] [,] 7% 7%@408 @[1,2] 0%@[0,0] @[] % @ 115 -1
[0%,0%@1215] ٣% ²% 99999999999999999999% CPU@nanC cpu@infC x@1e9C
"""
SOUP = st.lists(st.sampled_from(WORDS.split()) | st.text(max_size=12), max_size=40).map(" ".join)


@settings(max_examples=400, deadline=None)
@given(SOUP | st.text(max_size=200))
def test_no_soup_raises_or_lets_a_placeholder_through(line: str) -> None:
    found = parse(line)
    assert not [name for name in (*found.temperatures, *found.rails) if "pmic" in name.lower()]
    assert all(-55 <= celsius <= 200 for celsius in found.temperatures.values())
    assert "NC" not in found.rails
    units = [*found.engines.values(), *(unit for unit in (found.gpu, found.emc) if unit is not None)]
    units += found.cores
    assert all(unit.ratio is None or 0 <= unit.ratio <= 1 for unit in units)
    assert all(unit.hertz is None or 0 < unit.hertz < 1e13 for unit in units)


@settings(max_examples=100, deadline=None)
@given(st.sampled_from([row[1] for row in RECORDED]), st.data())
def test_a_cut_line_tells_less_but_nothing_else(line: str, data: st.DataObject) -> None:
    """tegrastats may be ended in the middle of a line: what is whole before the cut stays as it was."""
    words = line.split(" ")
    kept = data.draw(st.integers(0, len(words)))
    whole, cut = parse(line), parse(" ".join(words[:kept]))
    assert cut.temperatures.items() <= whole.temperatures.items()
    assert cut.rails.items() <= whole.rails.items()
    assert cut.ram in (None, whole.ram)
    assert cut.gpu in (None, whole.gpu)


def test_an_endless_line_is_cut() -> None:
    line = "RAM 1/2MB " + "x " * MAX_LINE + "cpu@40C"
    found = parse(line)
    assert (found.ram, found.temperatures) == (Memory(MIB, 2 * MIB), {})
    assert len(found.unknown) == MOST_UNKNOWN
