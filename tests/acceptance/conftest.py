"""A node, a phone and an aggregator that watches the one and tells the other, not yet started."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.aggregator import Aggregator, write_config
from tests.support.node_page import NodePage
from tests.support.receiver import HttpReceiver


@pytest.fixture
def node() -> Iterator[NodePage]:
    with NodePage() as page:
        yield page


@pytest.fixture
def phone() -> Iterator[HttpReceiver]:
    with HttpReceiver() as receiver:
        yield receiver


@pytest.fixture
def aggregator(tmp_path: Path, node: NodePage, phone: HttpReceiver) -> Iterator[Aggregator]:
    with Aggregator(tmp_path) as found:
        write_config(found.config, node_port=node.port, url=phone.url())
        yield found
