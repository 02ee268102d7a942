"""A start that is given up leaves nothing behind, at whichever moment."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from alerting.app import App, Options
from alerting.storage.store import Store, StoreOptions
from tests.support.aggregator import write_config


@pytest.mark.parametrize("asked", [1, 2])
async def test_a_start_that_is_given_up(tmp_path: Path, asked: int) -> None:
    write_config(tmp_path / "config", node_port=9, url="json://127.0.0.1:9")
    data = tmp_path / "data"
    app = App(Options(tmp_path / "config", data, ("127.0.0.1", 0)))
    answers = iter([False, True][-asked:])
    await app.start(lambda: next(answers))
    assert next(answers, None) is None, "it went on"
    with pytest.raises(RuntimeError, match="not listening"):
        assert app.address
    await app.stop()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("remote")]
    assert data.exists() == (asked == 2)
    if data.exists():
        store = Store.open(data / "metrics.db", StoreOptions(), 0)
        assert store.stats().series == 0, "something ran"
        store.close()

    again = App(Options(tmp_path / "config", data, ("127.0.0.1", 0)))  # the folder and the port are free
    await again.start()
    assert again.address[1]
    await again.stop()
