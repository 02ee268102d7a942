"""Debian's exporters, each on a free port of loopback, to be read beside ours."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tests.support import real_services
from tests.support.peers import need
from tests.support.ports import free_port


@contextmanager
def peer_exporter(
    folder: Path, program: str, *options: str, environment: Mapping[str, str] | None = None
) -> Iterator[str]:
    """``HOST:PORT`` of a running one that listens. ``folder`` gets one of its name, for its log; ``environment``: what
    it is told beside this process' own."""
    address = f"127.0.0.1:{(port := free_port())}"
    place = folder / program
    place.mkdir()
    command = (need(program), f"--web.listen-address={address}", *options)
    with real_services.process(command, place, environment=environment) as started:
        real_services.within(10, lambda: real_services.accepts(port) or started.poll() is not None, program)
        assert started.poll() is None, (place / "output.log").read_text(errors="replace")
        yield address
