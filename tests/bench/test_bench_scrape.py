"""The budget of reading pages; generous, for a machine that does other things too."""

from __future__ import annotations

import pytest

from tests.bench.bench_scrape import measure


@pytest.mark.bench
def test_a_known_page_costs_a_fraction_of_the_client_librarys_parser() -> None:
    result = measure(40)
    assert result.same_layout < 2.0
    assert result.same_layout * 10 < result.client_library
    assert result.other_layout * 4 < result.client_library
