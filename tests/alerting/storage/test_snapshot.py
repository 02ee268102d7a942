"""A store's file read beside its writer."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from alerting.model.labels import Labels
from alerting.model.matcher import Matcher
from alerting.model.series import STALE
from alerting.storage import snapshot as module
from alerting.storage.ports import StorageError
from alerting.storage.snapshot import Snapshot
from alerting.storage.store import Store, StoreOptions
from tests.alerting.storage.model import answer, bits

NOW = 1_700_000_000_000
OPTIONS = StoreOptions(seal_after_ms=60_000, keep_ms=20_000, block_ms=600_000, long_block_ms=1_800_000)


def fill(store: Store, first: int, count: int) -> None:
    for source in ("a", "b"):
        writer = store.source(source)
        columns = [writer.column(Labels.of({"__name__": f"m{n}", "source": source})) for n in range(3)]
        for number in range(first, first + count):
            row = np.zeros(writer.width)
            row[columns] = [number, number * 0.5, STALE if number % 7 == 0 else 1.0]
            assert writer.append(NOW + number * 5000, row)


def test_it_has_what_was_flushed_when_it_was_opened_and_nothing_later(tmp_path: Path) -> None:
    path = tmp_path / "metrics.db"
    store = Store.open(path, OPTIONS, NOW)
    fill(store, 0, 40)
    for number in range(40):
        assert store.flush(NOW + number * 5000)  # seals some of it
    wanted = answer(store.select([], NOW, NOW + 10**7))
    fill(store, 40, 5)  # not flushed
    with Snapshot.open(path, NOW) as snapshot:
        assert answer(snapshot.select([], NOW, NOW + 10**7)) == wanted
        for number in range(40, 200):
            fill(store, number + 5, 1)
            assert store.flush(NOW + number * 5000)  # seals, merges, deletes what was merged
        assert answer(snapshot.select([], NOW, NOW + 10**7)) == wanted
        assert snapshot.names() == ["m0", "m1", "m2"]
        assert snapshot.series([[Matcher("source", "=", "a")]], NOW, NOW + 10**7) == [
            Labels.of({"__name__": f"m{n}", "source": "a"}) for n in range(3)
        ]
    store.close()


def test_everything_comes_in_pieces_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "metrics.db"
    store = Store.open(path, OPTIONS, NOW)
    fill(store, 0, 40)
    for number in range(40):
        assert store.flush(NOW + number * 5000)
    wanted = answer(store.select([], NOW, NOW + 10**7))
    store.close()
    monkeypatch.setattr(module, "BATCH_CELLS", 1)
    with Snapshot.open(path, NOW) as snapshot:
        pieces = list(snapshot.everything([], NOW, NOW + 10**7))
        assert len(pieces) == 6
        assert answer([data for piece in pieces for data in piece]) == wanted
        chosen = snapshot.everything([[Matcher("__name__", "=", "m1")]], NOW, NOW + 9999)
        assert [[len(data.times) for data in piece] for piece in chosen] == [[2], [2]]
        assert snapshot.cells() >= 2 * 3 * 30
    assert bits(STALE) in {value for samples in wanted.values() for _, value in samples}


def test_a_folder_without_a_store_is_told(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="no such file; --data must name the folder"):
        Snapshot.open(tmp_path / "metrics.db", NOW)
    assert not list(tmp_path.iterdir())
    (tmp_path / "metrics.db").write_bytes(b"no database at all" * 100)
    with pytest.raises(StorageError, match="metrics"):
        Snapshot.open(tmp_path / "metrics.db", NOW)
