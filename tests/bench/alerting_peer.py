"""Debian's Prometheus and Alertmanager beside us, as fast as their configuration lets them be: everything each second,
nothing gathered, no ``for``."""

from __future__ import annotations

import json
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from config.yamlfile import dump
from tests.bench.prometheus_peer import available, program, prometheus, wait_ready
from tests.support import real_services
from tests.support.ports import free_port
from tests.support.receiver import HttpReceiver

WHO = "Prometheus and Alertmanager, each second"
MISSING = "prometheus and prometheus-alertmanager are not on this machine (sh tests/support/fetch_peers.sh)"
ALERTMANAGER = """\
route: {{receiver: hook, group_by: ["..."], group_wait: 0s, group_interval: 1s}}
receivers: [{{name: hook, webhook_configs: [{{url: "http://127.0.0.1:{port}/hook"}}]}}]
"""


def can_tell() -> bool:
    return available() and program("prometheus-alertmanager") is not None


@contextmanager
def telling(folder: Path, pages: Sequence[str], expression: str, hook: HttpReceiver) -> Iterator[None]:
    """They read the metrics ``pages`` (HOST:PORT) and tell the hook whenever ``expression`` has a value; running, all
    pages read. ``folder`` is to be made."""
    folder.mkdir()
    port = free_port()
    rules = {"groups": [{"name": "bench", "rules": [{"alert": "Broken", "expr": expression}]}]}
    (folder / "rules.yml").write_text(dump(rules))
    (folder / "alertmanager.yml").write_text(ALERTMANAGER.format(port=hook.port))
    command = (
        str(program("prometheus-alertmanager")),
        f"--config.file={folder}/alertmanager.yml",
        f"--storage.path={folder}/alertmanager",
        f"--web.listen-address=127.0.0.1:{port}",
        "--cluster.listen-address=",
    )
    with real_services.process(command, folder) as manager:
        wait_ready(manager, f"http://127.0.0.1:{port}", folder / "output.log")
        with prometheus(folder / "data", _prometheus_yml(folder, pages, port)) as running:
            _until_read(running.base, len(pages))
            yield


def _prometheus_yml(folder: Path, pages: Sequence[str], alertmanager: int) -> str:
    names = ("scrape_interval", "scrape_timeout", "evaluation_interval")
    managers = [{"static_configs": [{"targets": [f"127.0.0.1:{alertmanager}"]}]}]
    return dump(
        {
            "global": dict.fromkeys(names, "1s"),
            "rule_files": [f"{folder}/rules.yml"],
            "alerting": {"alertmanagers": managers},
            "scrape_configs": [{"job_name": "node", "static_configs": [{"targets": list(pages)}]}],
        }
    )


def _until_read(base: str, pages: int) -> None:
    query = urllib.parse.urlencode({"query": "count(up == 1)"})
    end = time.monotonic() + 30
    while time.monotonic() < end:
        with urllib.request.urlopen(f"{base}/api/v1/query?{query}", timeout=5) as answer:
            found = json.load(answer)["data"]["result"]
        if found and float(found[0]["value"][1]) == pages:
            return
        time.sleep(0.1)
    raise SystemExit(f"{base} does not read its {pages} pages")
