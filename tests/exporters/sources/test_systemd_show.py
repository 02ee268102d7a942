"""systemctl's answers, recorded, and a systemctl that misbehaves."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporters.sources import systemd_show
from exporters.sources.systemd import SystemdError, unit_name
from exporters.sources.systemd_show import blocks, number, read, systemctl

RECORDED = Path(__file__).resolve().parents[2] / "fixtures" / "systemd"
BOOT = 1_795_000_000.0


def recorded(words: Sequence[str]) -> str:
    if "--type=timer" in words:
        return (RECORDED / "list_timers.txt").read_text()
    if words[0] == "list-units":
        return (RECORDED / "list_troubled.txt").read_text()
    return (RECORDED / ("show.txt" if "--" in words else "manager.txt")).read_text()


def test_a_reading() -> None:
    found = read(["good.service", "nothere.service"], BOOT + 20_000, 20_000, recorded)
    assert [(unit.name, unit.load, unit.active, unit.sub) for unit in found.units] == [
        ("good.service", "loaded", "active", "running"),
        ("nothere.service", "not-found", "inactive", "dead"),
        ("bad.service", "loaded", "failed", "failed"),
        ("loop.service", "loaded", "activating", "auto-restart"),
    ]
    good, _, bad, loop = (unit.details for unit in found.units)
    assert (good.type, good.result, good.restarts, good.memory, good.tasks) == ("simple", "success", 0, None, None)
    assert good.started == pytest.approx(BOOT + 15321.472593)
    assert (bad.result, loop.restarts) == ("exit-code", 1)
    assert (found.running, found.failed, found.version, found.source) == (
        "degraded", 1, "252.39-1~deb12u2", "systemctl",
    )  # fmt: skip
    assert found.timers == ()  # none has run since the boot


def test_a_timer_that_ran() -> None:
    text = "LastTriggerUSecMonotonic=5000000\nId=a.timer\nLoadState=loaded\nActiveState=active\nSubState=waiting\n"
    [timer] = blocks(text, BOOT)
    assert timer.details.triggered == BOOT + 5


@pytest.mark.parametrize("text", ["[not set]", "18446744073709551615", "infinity", "", "n/a", "-1", "٣"])
def test_what_systemd_does_not_know_is_unknown(text: str) -> None:
    assert number(text) is None


@given(st.text())
def test_any_text_is_units_or_none(text: str) -> None:
    assert all(unit.name or True for unit in blocks(text, BOOT))


def test_names_are_completed_as_systemctl_does() -> None:
    assert [unit_name(name) for name in ("nginx", "a.timer", "x.y", "z.automount")] == [
        "nginx.service", "a.timer", "x.y.service", "z.automount",
    ]  # fmt: skip


def program(folder: Path, body: str) -> None:
    path = folder / "systemctl"
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)


def test_a_system_that_was_not_booted_with_systemd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    program(tmp_path, "echo 'System has not been booted with systemd as init system (PID 1).' >&2; exit 1")
    with pytest.raises(SystemdError, match=r"systemctl: System has not been booted with systemd as init"):
        systemctl(["show"])
    program(tmp_path, "exit 4")
    with pytest.raises(SystemdError, match="ended with status 4"):
        systemctl(["show"])
    monkeypatch.setattr(systemd_show, "CALL_SECONDS", 0.2)
    program(tmp_path, "exec sleep 20")
    with pytest.raises(SystemdError, match="timed out"):
        systemctl(["show"])
    program(tmp_path, "echo a=b; exit 3")  # as with a unit that is not active: the answer counts
    assert systemctl(["show"]) == "a=b\n"
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    with pytest.raises(SystemdError, match="systemctl"):
        systemctl(["show"])
