"""The own store as a ``Querier``; the remote ones are asked the same in tests/acceptance/test_remote_querier.py."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pytest

from alerting.model.series import ABSENT
from alerting.storage.ports import Querier
from alerting.storage.store import Store, StoreOptions
from tests.alerting.remote.conformance import CHECKS, DATA, END_MS, START_MS


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """Each series as a source, part of it sealed into blocks."""
    opened = Store.open(tmp_path_factory.mktemp("store") / "metrics.db", StoreOptions(), START_MS)
    for number, one in enumerate(DATA):
        writer = opened.source(str(number))
        column = writer.column(one.labels)
        for at, value in zip(one.times.tolist(), one.values.tolist(), strict=True):
            row = np.full(writer.width, ABSENT)
            row[column] = value
            assert writer.append(at, row)
            if at % 45_000 == 0:
                opened.flush(at + 8_000)
    for later in range(20):
        opened.flush(END_MS + 3_600_000 + later * 10_000)
    yield opened
    opened.close()


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_the_own_store(store: Store, check: Callable[[Querier], None]) -> None:
    check(store)
