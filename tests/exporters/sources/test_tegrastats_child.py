from __future__ import annotations

from exporters.sources.board_sampling import WindowReading
from exporters.sources.tegrastats_child import TegrastatsChild

LINE = "RAM 1000/3964MB (lfb 98x4MB) CPU [16%@204] GR3D_FREQ {}% cpu@36C"


def child() -> TegrastatsChild:
    return TegrastatsChild(["tegrastats"])


def test_a_line_is_believed_for_three_intervals() -> None:
    tegrastats = child()
    assert tegrastats.latest(0) is None
    assert not tegrastats.has_spoken
    assert tegrastats.take_line(LINE.format(10), 100)
    found = tegrastats.latest(103)
    assert found is not None
    assert found.temperatures == {"cpu": 36}
    assert tegrastats.latest(103.1) is None
    assert tegrastats.has_spoken


def test_gpu_load_of_all_lines_since_the_last_read() -> None:
    tegrastats = child()
    for now, percent in enumerate((0, 100, 50)):
        tegrastats.take_line(LINE.format(percent), now)
    assert tegrastats.gpu.take(2) == WindowReading(0.5, 1.0, 3, 1.5)


def test_a_line_without_gpu_load_adds_none() -> None:
    tegrastats = child()
    assert tegrastats.take_line("RAM 1/2MB GR3D_FREQ @[314,314,314] cpu@36C", 0)
    assert tegrastats.gpu.take(0) is None


def test_a_message_is_no_line() -> None:
    tegrastats = child()
    assert not tegrastats.take_line("tegrastats: error opening /sys/kernel/debug: Permission denied", 0)
    assert tegrastats.latest(0) is None
