"""Records what the seven exporters of the demo answer: ``python -m tests.bench.record_pages``.

Each file of ``pages/`` is two answers of one node, some seconds apart, one after the other; ``bench_aggregator`` plays
them back. What names the machine they were recorded on is replaced.
"""

from __future__ import annotations

import gzip
import platform
import re
import subprocess
import tempfile
import time
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

from deploy.demo.plan import make_plan, write_config

PAGES = Path(__file__).parent / "pages"
APART_S = 10.0
START_S = 30.0


def fetch(address: tuple[str, int]) -> str:
    deadline = time.monotonic() + START_S
    while True:
        try:
            with urlopen(f"http://{address[0]}:{address[1]}/metrics", timeout=10) as answer:
                return str(answer.read().decode())
        except URLError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)


def anonymous(text: str, name: str) -> str:
    """The page without the names of the machine and its kernel."""
    text = text.replace(platform.node(), name.lower()).replace(platform.release(), "6.6.0")
    text = re.sub(r'(version|machine_id|boot_id)="#[^"]*"', r'\1="#1 SMP"', text)
    # A board has no mounts below /mnt; what a development machine has there is its own affair.
    return re.sub(r"^[^#\n]*mountpoint=\"/mnt/.*\n", "", text, flags=re.MULTILINE)


def main() -> None:
    PAGES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        cluster = write_config(folder / "config", ("127.0.0.1", 9))
        plan = make_plan(cluster, folder, ("127.0.0.1", 9))
        running = [
            subprocess.Popen(program.command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            for program in plan.exporters.values()
        ]
        try:
            first = {node: fetch(program.listen) for node, program in plan.exporters.items()}
            time.sleep(APART_S)
            first = {node: fetch(program.listen) for node, program in plan.exporters.items()}
            time.sleep(APART_S)
            for node, program in plan.exporters.items():
                both = anonymous(first[node], node) + "\f" + anonymous(fetch(program.listen), node)
                (PAGES / f"{node}.gz").write_bytes(gzip.compress(both.encode(), mtime=0))
        finally:
            for process in running:
                process.terminate()
            for process in running:
                process.wait(10)


if __name__ == "__main__":
    main()
