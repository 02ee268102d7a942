"""The runner of the scripts must notice every kind of difference."""

from __future__ import annotations

from pathlib import Path

import pytest

from alerting.model.labels import Labels
from tests.promqltest.__main__ import main
from tests.promqltest.notation import ScriptError, duration_ms, samples, series
from tests.promqltest.run import equal, run_file
from tests.promqltest.script import read

DATA = """
load 1m
  metric{a="x"} 1 2 3
  metric{a="y"} 4 5 _
"""

QUANTILE = "eval instant at 1m quantile(2, metric)\n"
TWO = "PromQL warning: quantile value should be between 0 and 1, got 2"

RIGHT = [
    'eval instant at 1m metric\n metric{a="x"} 2\n metric{a="y"} 5',
    'eval instant at 1m sort_desc(metric)\n expect ordered\n metric{a="y"} 5\n metric{a="x"} 2',
    'eval range from 0 to 2m step 1m sum by (a) (metric offset 1m)\n {a="x"} _ 1 2\n {a="y"} _ 4 5',
    "eval instant at 1m scalar(metric)\n NaN",
    'eval instant at 0 "a"\n expect string `a`',
    "eval instant at 0 rate(\n expect fail",
    "eval_fail instant at 0 rate(",
    "eval instant at 0 nonexistent",
    'eval instant at 2m metric{a="x"}[2m]\n expect range vector from 1m to 2m step 1m\n metric{a="x"} 2 3',
    "eval instant at 1m quantile(2, metric)\n expect warn regex: got 2\n {} Inf",
    "eval instant at 1m sum(metric)\n expect no_warn\n expect no_info\n {} 7",
    # The position of an annotation may be told, and need not be.
    "eval instant at 1m quantile(2, metric)\n expect warn regex: got 2 \\(1:10\\)$\n {} Inf",
    "eval instant at 1m quantile(2, metric)\n expect warn regex: got 2$\n {} Inf",
    f"{QUANTILE} expect warn msg: {TWO} (1:10)\n {{}} Inf",
    f"{QUANTILE} expect warn msg: {TWO}\n {{}} Inf",
    "eval instant at 1m quantile(2, metric)\n expect warn\n {} Inf",
    "eval_warn instant at 1m quantile(2, metric)\n {} Inf",
    "eval_info instant at 2m rate(metric[5m]) > 100",
    'eval_ordered instant at 1m sort(metric)\n metric{a="x"} 2\n metric{a="y"} 5',
    'eval instant at 1m metric == 0 or {__name__="metric", a="x"} * on () group_left () vector(1)\n {a="x"} 2',
    "EVAL instant at 1m metric * on () metric\n expect fail regex: found duplicate series for the match group \\{\\}",
    "eval_fail instant at 1m metric * on () metric\n expected_fail_regexp duplicate series",
    "eval instant at 1m vector(scalar(metric))\n {} NaN",
    "eval instant at 1m Inf\n +Inf",
    'eval instant at 1m metric{a="x"} @ end()\n metric{a="x"} 2',
    'eval instant at 1m sum_over_time(metric{a="x"}[2m:1m] @ start())\n {a="x"} 3',
    'eval range from 0 to 2m step 2m metric\n {"metric", "a"="x"} 1 3\n {__name__="metric",a=`y`} 4 5',
]

WRONG = [
    'eval instant at 1m metric\n metric{a="x"} 2',  # an additional series
    'eval instant at 1m metric{a="x"}\n metric{a="x"} 2\n metric{a="y"} 5',  # a missing series
    'eval instant at 1m metric{a="x"}\n metric{a="x"} 2.1',
    'eval instant at 1m metric{a="x"}\n {a="x"} 2',  # the metric name counts
    'eval instant at 1m metric{a="x"}',
    'eval instant at 1m sort_desc(metric)\n expect ordered\n metric{a="x"} 2\n metric{a="y"} 5',
    'eval range from 0 to 2m step 1m metric{a="x"}\n metric{a="x"} 1 2',  # an additional point
    'eval range from 0 to 2m step 1m metric{a="x"}\n metric{a="x"} 1 _ 3',
    'eval range from 0 to 3m step 1m metric{a="x"} offset 2m\n metric{a="x"} 1 2',  # points at other times
    "eval instant at 1m 2\n {} 2",  # a scalar is not a vector
    "eval instant at 1m vector(2)\n 2",
    "eval instant at 1m 2\n 3",
    'eval instant at 0 "a"\n expect string `b`',
    "eval instant at 0 metric\n expect fail",
    "eval instant at 0 rate(",
    "eval instant at 0 rate(\n expect fail msg: something else",
    'eval instant at 2m metric{a="x"}[2m]\n expect range vector from 1m to 2m step 1m\n metric{a="x"} 1 2',
    "eval instant at 1m quantile(2, metric)\n expect warn msg: PromQL warning: other\n {} Inf",
    "eval instant at 1m quantile(2, metric)\n expect no_warn\n {} Inf",
    "eval instant at 1m sum(metric)\n expect warn\n {} 7",
    "eval instant at 1m rate(metric[5m])\n expect no_info",
    f"{QUANTILE} expect warn msg: {TWO} (1:11)\n {{}} Inf",
    "eval instant at 1m quantile(2, metric)\n expect warn regex: got 2 \\(2:10\\)\n {} Inf",
    # Every warning must be one that is expected.
    "eval instant at 1m quantile(2, metric) + on () quantile(3, metric)\n expect warn regex: got 2\n {} Inf",
    'eval range from 0 to 2m step 1m sort(metric)\n expect no_warn\n metric{a="x"} 1 2 3\n metric{a="y"} 4 5',
    "eval_warn instant at 1m sum(metric)\n {} 7",
    "eval_info instant at 1m sum(metric)\n {} 7",
    'eval_ordered instant at 1m sort(metric)\n metric{a="y"} 5\n metric{a="x"} 2',
    "eval_fail instant at 1m metric * on () metric\n expected_fail_message something else",
    "eval_fail instant at 1m metric * on () metric\n expected_fail_regexp ^duplicate series",
    'eval instant at 1m metric{a="x"}\n metric{a="x"} NaN',
    'eval instant at 1m metric{a="x"}\n metric{a="x"} Inf',
    'eval instant at 1m metric{a="x"}\n metric{a="x"} stale',
    'eval instant at 2m metric{a="x"}[2m]\n expect range vector from 1m to 3m step 1m\n metric{a="x"} 2 3',
    'eval range from 0 to 2m step 1m metric{a="x"}\n metric{a="x"} 1 2 _',  # a missing point
]

BROKEN = [
    "eval instant at 1m",
    "eval instant at soon metric",
    "load 1m\n metric 1 two",
    "load 1m\n metric{a=b} 1",
    "eval range from 0 to 1m step 1m metric\n metric 1 2 3",  # more items than steps
    "eval instant at 1m metric\n metric 1 2",
    "eval instant at 1m metric\n expect nothing",
    "frobnicate",
    "load 1m\n metric {{schema:0 count:1}}",
    "load 1m\n metric 1 {{}}x3",
    "load_with_nhcb 1m\n metric 1",
    "load 1m\n metric@st 0s\n metric 1",
    "eval instant at 1m metric\n metric {{count:1}}",
    "eval instant at 1m metric\n expect fail\n expect fail msg: x",
    "eval instant at 1m metric\n expect warn\n expect no_warn",
    "eval instant at 1m metric\n expect fail regex: (",
    "eval range from 0 to 1m step 1m metric\n expect ordered\n metric 1",
    "eval range from 1m to 0 step 1m metric",
]


def script(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "case.test"
    path.write_text(DATA + "\n" + text + "\n", encoding="utf-8")
    return path


@pytest.mark.parametrize("text", RIGHT)
def test_a_right_expectation_passes(tmp_path: Path, text: str) -> None:
    outcome = run_file(script(tmp_path, text))
    assert (outcome.passed, outcome.failures) == (1, [])


@pytest.mark.parametrize("text", WRONG)
def test_a_wrong_expectation_fails(tmp_path: Path, text: str) -> None:
    outcome = run_file(script(tmp_path, text))
    assert outcome.passed == 0
    assert len(outcome.failures) == 1


@pytest.mark.parametrize("text", BROKEN)
def test_a_broken_script_is_an_error(tmp_path: Path, text: str) -> None:
    with pytest.raises(ScriptError, match=r"case\.test"):
        run_file(script(tmp_path, text))


def test_status_and_last_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    good = script(tmp_path, RIGHT[0])
    assert main([str(good)]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "1 passed, 0 failed"
    bad = tmp_path / "bad.test"
    bad.write_text(DATA + "\n" + WRONG[0] + "\n\n" + RIGHT[0] + "\n", encoding="utf-8")
    assert main([str(good), str(bad)]) == 1
    out = capsys.readouterr().out
    assert out.splitlines()[-1] == "2 passed, 1 failed"
    assert f"{bad}:6: metric" in out


def test_an_unreadable_file_is_never_a_pass(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path / "missing.test")]) != 0
    assert "missing.test" in capsys.readouterr().err


def test_loads_add_up_and_clear_removes(tmp_path: Path) -> None:
    path = tmp_path / "case.test"
    path.write_text(
        "eval instant at 0 a\n\nload 1m\n a 1\n\neval instant at 0 a\n a 1\n\nload 1m\n a 2\n b 3\n\n"
        'eval instant at 0 {__name__=~"a|b"}\n a 2\n b 3\n\nclear\n\neval instant at 0 a\n',
        encoding="utf-8",
    )
    assert run_file(path).failures == []
    assert len(read(path)) == 7


def test_notation() -> None:
    assert series('a{b="x\\"y\\u00e9", c=`\\n`,} 1') == (Labels.of({"__name__": "a", "b": 'x"yé', "c": "\\n"}), "1")
    assert series("{} 1") == (Labels(), "1")
    assert samples("1+1x3 _ 0x1 -2-1x1 _x2 1.5") == [1, 2, 3, 4, None, 0, 0, -2, -3, None, None, 1.5]
    assert duration_ms("1m500ms") == 60_500
    for bad in ("1s1m", "5", "m", "1x"):
        with pytest.raises(ScriptError):
            duration_ms(bad)


def test_tolerance() -> None:
    inf, nan = float("inf"), float("nan")
    assert equal(1.0000001, 1.0)
    assert not equal(1.00001, 1.0)
    assert equal(nan, nan)
    assert not equal(nan, 0.0)
    assert equal(inf, inf)
    assert not equal(inf, -inf)
    assert not equal(inf, 1e308)
    assert not equal(1e-20, 0.0)
    assert equal(0.0, -0.0)
