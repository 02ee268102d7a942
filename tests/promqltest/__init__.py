"""Runs PromQL test scripts: ``python -m tests.promqltest FILE...``. The language is described in
``tests/promql/README.md``."""
