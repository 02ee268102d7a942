from __future__ import annotations

from pathlib import Path

import pytest

from exporters.sources.jetson_powermode import PowerMode, PowerModeUnreadable, read_power_mode

CONF = """\
# < POWER_MODEL ID=9 NAME=NOT_THIS >
< PARAM TYPE=FILE NAME=CPU_ONLINE >
< POWER_MODEL ID=0 NAME=MAXN >
CPU_ONLINE CORE_0 1
< POWER_MODEL ID=2 NAME=MODE_30W >
CPU_ONLINE CORE_0 1
< PM_CONFIG DEFAULT=2 >
"""


@pytest.mark.parametrize(
    ("status", "conf", "mode"),
    [
        ("pmode:0002\n", CONF, PowerMode(2, "MODE_30W")),
        ("pmode:0000 fmode:quiet\n", CONF, PowerMode(0, "MAXN")),
        ("pmode:0007\n", CONF, PowerMode(7, "")),
        ("pmode:0009\n", CONF, PowerMode(9, "")),
        ("pmode:0002\n", None, PowerMode(2, "")),
        (None, CONF, PowerMode(2, "MODE_30W")),  # nobody ever chose: the board runs the default
        (None, CONF.replace("PM_CONFIG", "OTHER"), None),
        (None, None, None),
    ],
)
def test_what_nvpmodel_would_say(tmp_path: Path, status: str | None, conf: str | None, mode: PowerMode | None) -> None:
    for name, text in (("status", status), ("conf", conf)):
        if text is not None:
            (tmp_path / name).write_text(text)
    assert read_power_mode(tmp_path / "status", tmp_path / "conf") == mode


@pytest.mark.parametrize("status", ["", "pmode:\n", "pmode:12345\n", "mode 2\n", "\0\xff"])
def test_a_status_without_a_mode_is_loud(tmp_path: Path, status: str) -> None:
    (tmp_path / "status").write_text(status)
    (tmp_path / "conf").write_text(CONF)
    with pytest.raises(PowerModeUnreadable, match=r"status: expected pmode:NUMBER"):
        read_power_mode(tmp_path / "status", tmp_path / "conf")


def test_a_status_that_is_no_file_is_loud(tmp_path: Path) -> None:
    (tmp_path / "status").mkdir()
    with pytest.raises(PowerModeUnreadable, match="status: "):
        read_power_mode(tmp_path / "status", tmp_path / "conf")
