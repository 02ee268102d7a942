"""A wheel brings what the programs read beside their code: the demo and an example are there without a clone."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
# What setuptools puts beside the modules, by its own account; building would take ten times as long.
LIST = """
from setuptools import Distribution
found = Distribution()
found.parse_config_files(["pyproject.toml"])
command = found.get_command_obj("build_py")
command.ensure_finalized()
for _, folder, _, names in command.data_files:
    for name in names:
        print(f"{folder}/{name}")
"""
READ = (
    "config/*.yaml",
    "config/rules/*.yml",
    "dashboards/generated/*.json",
    "alerting/page/static/*",
    "deploy/demo/boards/*/tegrastats.txt",
)


def test_a_wheel_holds_the_shipped_configuration_rules_dashboards_page_and_recordings() -> None:
    done = subprocess.run([sys.executable, "-c", LIST], cwd=ROOT, capture_output=True, text=True, check=True)
    brought = set(done.stdout.split())
    for pattern in READ:
        needed = {str(path.relative_to(ROOT)) for path in ROOT.glob(pattern)}
        assert needed, pattern
        assert needed <= brought
