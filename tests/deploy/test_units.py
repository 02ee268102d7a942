"""The systemd units, judged by systemd's own tools and by the programs that they start."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.peers import need

ROOT = Path(__file__).resolve().parents[2]
UNITS = sorted((ROOT / "deploy" / "systemd").glob("*.service"))
INSTALLED = Path("/opt/tierwatch")

# Targets that the units' default dependencies name; with these a tree needs nothing of the machine it is checked on.
TARGETS = ("sysinit", "basic", "shutdown", "network-online", "time-sync", "multi-user")


def settings(unit: Path) -> list[tuple[str, str]]:
    """``(key, value)`` of every line of the unit, in order."""
    lines = [line for line in unit.read_text().splitlines() if line and line[0] not in "#["]
    return [(key.strip(), value.strip()) for key, _, value in (line.partition("=") for line in lines)]


def values(unit: Path, key: str) -> list[str]:
    return [value for name, value in settings(unit) if name == key]


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A small host as the README installs it."""
    units = tmp_path / "etc" / "systemd" / "system"
    units.mkdir(parents=True)
    for unit in UNITS:
        (units / unit.name).write_text(unit.read_text())
    for target in TARGETS:
        (units / f"{target}.target").write_text("[Unit]\n")
    for program in ("opt/tierwatch/.venv/bin/tierwatch", "bin/sh"):
        path = tmp_path / program
        path.parent.mkdir(parents=True)
        path.write_text("#!/bin/sh\n")
        path.chmod(0o755)
    return tmp_path


def verify(tree: Path, unit: str) -> tuple[int, str]:
    """Exit status and words of ``systemd-analyze verify`` for a unit of a tree."""
    command = [need("systemd-analyze"), "verify", f"--root={tree}", "--man=no", unit]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    return done.returncode, done.stdout + done.stderr


def test_both_units_are_there() -> None:
    assert [unit.stem for unit in UNITS] == ["tierwatch-aggregator", "tierwatch-exporter"]


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
def test_systemd_has_nothing_to_say(unit: Path, tree: Path) -> None:
    assert verify(tree, unit.name) == (0, "")


def test_systemd_would_say_it(tree: Path) -> None:
    """The tree does not hide faults: a misspelt key and a missing program are told."""
    unit = tree / "etc" / "systemd" / "system" / UNITS[0].name
    unit.write_text(unit.read_text().replace("MemoryMax=", "MemoryMost="))
    assert "MemoryMost" in verify(tree, unit.name)[1]
    (tree / "bin" / "sh").unlink()
    assert "/bin/sh is not executable" in verify(tree, unit.name)[1]


@pytest.mark.parametrize(
    ("name", "most"), [("tierwatch-exporter", 3.0), ("tierwatch-aggregator", 1.5)], ids=["exporter", "aggregator"]
)
def test_exposure(name: str, most: float) -> None:
    """``systemd-analyze security``: 0 is closed, 10 is open, below 3.2 it says OK."""
    unit = ROOT / "deploy" / "systemd" / f"{name}.service"
    command = [need("systemd-analyze"), "security", "--offline=true", "--no-pager", str(unit)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    found = re.search(r"Overall exposure level for \S+: ([0-9.]+)", done.stdout)
    assert found is not None, done.stdout
    assert float(found[1]) <= most


def test_the_drop_in_for_docker_grants_one_group_and_no_more(tree: Path) -> None:
    """Installed by hand alone: who is in that group owns the machine."""
    drop_in = ROOT / "deploy" / "systemd" / "tierwatch-exporter-docker.conf"
    unit = tree / "etc" / "systemd" / "system" / "tierwatch-exporter.service"
    alone = verify(tree, unit.name)
    place = unit.with_name("tierwatch-exporter.service.d") / "docker.conf"
    place.parent.mkdir()
    place.write_text(drop_in.read_text())
    assert verify(tree, unit.name) == alone == (0, "")
    assert settings(drop_in) == [("After", "docker.socket"), ("SupplementaryGroups", "docker")]
    assert "docker" not in values(unit, "SupplementaryGroups")
    command = [need("systemd-analyze"), "security", "--offline=true", "--no-pager", f"--root={tree}", unit.name]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    found = re.search(r"Overall exposure level for \S+: ([0-9.]+)", done.stdout)
    assert found is not None, done.stdout
    assert float(found[1]) <= 3.0


def test_the_drop_in_for_the_kernels_log_grants_one_capability_and_no_more(tree: Path) -> None:
    drop_in = ROOT / "deploy" / "systemd" / "tierwatch-exporter-kernel-log.conf"
    unit = tree / "etc" / "systemd" / "system" / "tierwatch-exporter.service"
    place = unit.with_name("tierwatch-exporter.service.d") / "kernel-log.conf"
    place.parent.mkdir()
    place.write_text(drop_in.read_text())
    assert verify(tree, unit.name) == (0, "")
    assert settings(drop_in) == [("CapabilityBoundingSet", "CAP_SYSLOG"), ("AmbientCapabilities", "CAP_SYSLOG")]
    assert "/dev/kmsg r" in values(unit, "DeviceAllow")
    command = [need("systemd-analyze"), "security", "--offline=true", "--no-pager", f"--root={tree}", unit.name]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    found = re.search(r"Overall exposure level for \S+: ([0-9.]+)", done.stdout)
    assert found is not None, done.stdout
    assert float(found[1]) <= 3.0


def test_devices_that_are_asked_may_be_opened() -> None:
    """vcgencmd's, the kernel's log, and NVML's (``nvidia``, ``nvidiactl``, ``nvidia-frontend`` in /proc/devices)."""
    unit = ROOT / "deploy" / "systemd" / "tierwatch-exporter.service"
    wanted = ["/dev/vcio rw", "/dev/vcio_gencmd rw", "/dev/kmsg r", "char-nvidia* rw"]
    assert values(unit, "DeviceAllow") == wanted


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
def test_the_program_takes_the_options_it_is_started_with(unit: Path) -> None:
    (start,) = values(unit, "ExecStart")
    program, verb, *words = shlex.split(start)
    assert program == f"{INSTALLED}/.venv/bin/tierwatch"
    command = [sys.executable, str(ROOT / "tierwatch.py"), verb, "--help"]
    told = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True, cwd=ROOT).stdout
    known = set(re.findall(r"--[a-z][a-z.-]*", told))
    asked = [word for word in words if word.startswith("--")]
    assert asked
    assert set(asked) <= known


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
def test_documentation_leads_to_a_file_of_the_clone(unit: Path) -> None:
    (url,) = values(unit, "Documentation")
    path = Path(url.removeprefix("file://"))
    assert url.startswith("file:///")
    assert (ROOT / path.relative_to(INSTALLED)).is_file()


def test_no_secret_in_what_everybody_may_read() -> None:
    """Units and their Environment= are world-readable (``systemctl show``): receivers' URLs belong in the file."""
    for unit in UNITS:
        assert values(unit, "EnvironmentFile") == ["-/etc/tierwatch/environment"]
        assert not re.search(r"(?i)password|token|secret|[a-z]+s?://(?!/)", unit.read_text())
        names = {word.partition("=")[0] for line in values(unit, "Environment") for word in shlex.split(line)}
        assert names <= {"PATH", "PYTHONDONTWRITEBYTECODE", "MALLOC_ARENA_MAX"}
    example = (ROOT / "deploy" / "systemd" / "environment.example").read_text()
    assert [line for line in example.splitlines() if line and not line.startswith("#")] == []


def test_both_run_as_a_user_without_rights() -> None:
    made = (ROOT / "deploy" / "systemd" / "tierwatch.sysusers").read_text()
    for unit in UNITS:
        (user,) = values(unit, "User")
        assert re.search(rf"^u {user} ", made, re.MULTILINE)
        assert values(unit, "CapabilityBoundingSet") == values(unit, "AmbientCapabilities") == [""]
        assert values(unit, "NoNewPrivileges") == ["yes"]
        for group in values(unit, "SupplementaryGroups"):
            assert re.search(rf"^g {group} ", made, re.MULTILINE)


def test_a_failed_monitor_is_started_again_for_ever() -> None:
    for unit in UNITS:
        assert values(unit, "Restart") == ["always"]
        assert values(unit, "StartLimitIntervalSec") == ["0"]
        assert values(unit, "Type") == ["notify"]
        assert 0 < int(values(unit, "WatchdogSec")[0]) <= 60


def test_the_exporters_filter_works_with_the_systemd_of_jetpack_4() -> None:
    """systemd 237: an unknown group is ignored, and a list of allowed calls that begins with one allows nothing."""
    known = {"@privileged", "@resources", "@mount", "@swap", "@reboot", "@raw-io", "@module", "@debug", "@obsolete"}
    known |= {"@cpu-emulation", "@keyring", "@clock", "@ipc", "@setuid", "@chown", "@memlock", "@aio", "@timer"}
    lines = values(ROOT / "deploy" / "systemd" / "tierwatch-exporter.service", "SystemCallFilter")
    assert lines[0].startswith("~")
    assert {word.lstrip("~") for line in lines for word in line.split() if "@" in word} <= known


def test_the_aggregators_sandbox_leaves_it_its_own_metrics() -> None:
    aggregator = dict(settings(ROOT / "deploy" / "systemd" / "tierwatch-aggregator.service"))
    assert aggregator.get("ProcSubset", "all") == "all"  # /proc/stat: process_start_time_seconds


def test_the_exporters_sandbox_hides_nothing_that_is_measured() -> None:
    """What each of these took from the page when the unit ran in a booted host; see the unit's comments."""
    exporter = dict(settings(ROOT / "deploy" / "systemd" / "tierwatch-exporter.service"))
    for key in (
        "ProtectClock",
        "ProtectSystem",
        "ProtectHome",
        "ProtectProc",
        "ProcSubset",
        "PrivateUsers",
        "ProtectKernelLogs",
    ):
        assert exporter.get(key, "no") == "no"
    assert exporter.get("PrivateDevices", "no") == exporter.get("PrivateNetwork", "no") == "no"
    assert "adjtimex" in exporter["SystemCallFilter"]
    assert exporter["PrivateTmp"] == "yes"  # or tegrastats meets somebody else's /tmp/.tstats.txt and ends
