"""promtool's own lint of the board's metrics: names, units, types, help."""

from __future__ import annotations

import subprocess

from exporters.catalog.board import BOARD_METRICS
from exporters.collector import Family
from exporters.exposition import Renderer
from tests.support.peers import need


def test_promtool_has_nothing_to_say() -> None:
    page = Renderer().render(Family(metric, [(tuple("x" for _ in metric.labels), 1.0)]) for metric in BOARD_METRICS)
    assert page.count(b"# TYPE ") == len(BOARD_METRICS)
    done = subprocess.run(
        [need("promtool"), "check", "metrics"], input=page, capture_output=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
