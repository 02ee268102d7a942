from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporters.sources.raspberrypi import (
    ALARM_MAX_AGE_SECONDS,
    REASONS,
    UndervoltageWatch,
    cpu_clock,
    parse_clock,
    parse_throttled,
    throttling_of,
    throttling_of_sysfs,
)

FIXTURES = Path(__file__).parents[2] / "fixtures/boards"


def recorded(kind: str) -> list[str]:
    rows = (line.split("\t") for line in (FIXTURES / "boards.tsv").read_text(encoding="utf-8").splitlines()[1:])
    return [row[2] for row in rows if row[1].startswith(kind)]


@pytest.mark.parametrize(
    ("answer", "now", "since_boot"),
    [
        ("throttled=0x0", [], []),
        ("throttled=0x50000", [], ["under_voltage", "throttled"]),
        ("throttled=0x50005", ["under_voltage", "throttled"], ["under_voltage", "throttled"]),
        ("throttled=0x80008", ["soft_temperature_limit"], ["soft_temperature_limit"]),
        (
            "throttled=0xe0008",
            ["soft_temperature_limit"],
            ["frequency_capped", "throttled", "soft_temperature_limit"],
        ),
    ],
)
def test_recorded_words(answer: str, now: list[str], since_boot: list[str]) -> None:
    assert answer in recorded("vcgencmd get_throttled")
    throttling = parse_throttled(answer + "\n")
    assert throttling is not None
    assert [reason for reason, on in throttling.now.items() if on] == now
    assert [reason for reason, on in throttling.since_boot.items() if on] == since_boot


@pytest.mark.parametrize(
    "answer", [*recorded("vcgencmd std"), "", "throttled=", "throttled=0x", "throttled=0x123456789"]
)
def test_an_error_text_is_no_answer(answer: str) -> None:
    assert parse_throttled(answer) is None


@given(st.integers(0, 0xFFFFFFFF))
def test_every_bit_has_its_place(bits: int) -> None:
    throttling = throttling_of(bits)
    low = sum(on << place for place, on in enumerate(throttling.now[reason] for reason in REASONS))
    high = sum(on << place for place, on in enumerate(throttling.since_boot[reason] for reason in REASONS))
    assert low | high << 16 == bits & 0x000F000F
    assert parse_throttled(f"throttled={bits:#x}") == throttling


def test_clock() -> None:
    assert parse_clock("frequency(48)=1677427712\n") == 1_677_427_712
    assert parse_clock("frequency(48)=0") is None
    assert parse_clock('error=1 error_msg="Command not registered"') is None


def test_clock_of_the_kernel(tmp_path: Path) -> None:
    assert cpu_clock(tmp_path) is None
    folder = tmp_path / "devices/system/cpu/cpu0/cpufreq"
    folder.mkdir(parents=True)
    (folder / "scaling_cur_freq").write_text("1500000\n")
    assert cpu_clock(tmp_path) == 1.5e9


@pytest.mark.parametrize(("text", "known"), [("0", False), ("50005", True), ("", False), ("0x5", False), ("zz", False)])
def test_the_deprecated_attribute_is_never_believed_a_zero(tmp_path: Path, text: str, known: bool) -> None:
    path = tmp_path / "devices/platform/soc/soc:firmware/get_throttled"
    assert throttling_of_sysfs(tmp_path) is None
    path.parent.mkdir(parents=True)
    path.write_text(text + "\n")
    assert throttling_of_sysfs(tmp_path) == (throttling_of(0x50005) if known else None)


def alarm_file(sys: Path, number: int = 1) -> Path:
    other = sys / "class/hwmon/hwmon0"
    other.mkdir(parents=True, exist_ok=True)
    (other / "name").write_text("cpu_thermal\n")
    (other / "in0_lcrit_alarm").write_text("1\n")
    folder = sys / f"class/hwmon/hwmon{number}"
    folder.mkdir(parents=True)
    (folder / "name").write_text("rpi_volt\n")
    (folder / "in0_lcrit_alarm").write_text("0\n")
    return folder / "in0_lcrit_alarm"


def test_each_rise_of_the_alarm_is_counted_once(tmp_path: Path) -> None:
    path = alarm_file(tmp_path)
    watch = UndervoltageWatch(tmp_path)
    states = []
    for now, text in enumerate("0011010011"):
        path.write_text(text + "\n")
        watch.tick(now)
        states.append(watch.alarm(now))
    assert states == [text == "1" for text in "0011010011"]
    assert watch.events == 3


def test_an_alarm_that_is_on_at_the_start_is_a_state_and_no_event(tmp_path: Path) -> None:
    path = alarm_file(tmp_path)
    path.write_text("1\n")
    watch = UndervoltageWatch(tmp_path)
    watch.tick(0)
    assert watch.alarm(0) is True
    assert watch.events == 0


def test_an_alarm_that_cannot_be_read_gets_old(tmp_path: Path) -> None:
    path = alarm_file(tmp_path)
    watch = UndervoltageWatch(tmp_path)
    watch.tick(0)
    path.write_text("?\n")
    watch.tick(1)
    assert str(path) in watch.fault
    assert watch.alarm(ALARM_MAX_AGE_SECONDS) is False
    assert watch.alarm(ALARM_MAX_AGE_SECONDS + 0.1) is None
    assert watch.seen
    path.write_text("1\n")
    watch.tick(10)
    assert (watch.alarm(10), watch.fault, watch.events) == (True, "", 1)


def test_no_such_driver(tmp_path: Path) -> None:
    watch = UndervoltageWatch(tmp_path)
    watch.tick(0)
    assert (watch.alarm(0), watch.fault, watch.seen) == (None, "", False)
