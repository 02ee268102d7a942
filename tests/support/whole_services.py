"""Services of every kind that a probe knows, on one machine: real ones (nginx, Redis, PostgreSQL, dnsmasq) where there
are some, the others by what nginx answers in their place, from recorded payloads where such are at hand."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support import real_services
from tests.support.peers import need

RECORDED = Path(__file__).resolve().parents[1] / "fixtures" / "services"
Inventory = dict[str, dict[str, Any]]

# Path -> recorded file, or the body.
_PAGES: dict[str, str | Path] = {
    "/status/ready": '{"message": "ready"}',
    "/status": RECORDED / "kong_status.json",
    "/-/ready": RECORDED / "prometheus_ready.txt",
    "/api/v1/status/runtimeinfo": RECORDED / "prometheus_runtimeinfo.json",
    "/api/health": RECORDED / "grafana_api_health.json",
    "/api/version": RECORDED / "ollama_api_version.json",
    "/api/ps": RECORDED / "ollama_api_ps.json",
    "/api/tags": '{"models": [{"name": "mistral:latest"}, {"name": "llama3.2:latest"}, {"name": "codellama:7b"}]}',
    "/prompt": RECORDED / "comfyui_prompt.json",
    "/system_stats": RECORDED / "comfyui_system_stats_cuda_idle.json",
    "/api/system/status": RECORDED / "sonarqube_system_status.json",
    "/hub/api": '{"version": "5.2.1"}',
    "/upstreams": '{"data": [{"name": "llm"}, {"name": "images"}]}',
    "/upstreams/llm/health": '{"data": [{"target": "192.0.2.1:11434", "health": "HEALTHY"}]}',
    "/upstreams/images/health": '{"data": [{"target": "192.0.2.2:7860", "health": "HEALTHY"}]}',
    "/minio/health/live": "",
    "/minio/health/cluster": "",
    "/page": "all is well",
}
# In place of which nginx answers, each on a port of its own.
_WEB = ("kong", "prometheus", "grafana", "ollama", "comfyui", "sonarqube", "jupyterhub", "minio", "tierwatch")


@dataclass
class Everything:
    """``inventory``: the services of ``cluster.yaml``; ``folder``: theirs."""

    inventory: Inventory
    folder: Path
    session_port: int
    _sessions: ExitStack

    def restart_sessions(self) -> None:
        """The second Redis stops; a new one takes its port."""
        self._sessions.close()
        self.start_sessions()

    def start_sessions(self) -> None:
        place = self.folder / "sessions"
        place.mkdir(exist_ok=True)
        self._sessions.enter_context(real_services.redis(place, port=self.session_port))

    def leave_files(self) -> None:
        """What a backup and a run of configuration management leave."""
        (self.folder / "run" / "last").write_text("done\n")
        (self.folder / "backup" / "today.dump").write_bytes(b"x" * 2000)


@contextmanager
def everything(folder: Path) -> Iterator[Everything]:
    """All of them, until the block ends; 23 services of 22 kinds."""
    with ExitStack() as stack:
        web = {name: real_services.free_port() for name in (*_WEB, "page", "fallback", "tls")}
        inventory: Inventory = {name: {"kind": name, "port": web[name]} for name in _WEB}
        inventory["ollama"]["expect"] = {"models": 3, "present": ["mistral", "codellama"]}
        inventory["kong"] = {"kind": "kong", "ports": {"status": web["kong"], "admin": real_services.free_port()}}
        web["admin"] = inventory["kong"]["ports"]["admin"]
        inventory["page"] = {"kind": "http", "port": web["page"], "probe": {"path": "/page", "body": "well"}}
        inventory["fallback"] = {"kind": "offline-fallback", "port": web["fallback"], "probe": {"path": "/page"}}
        inventory["certificate"] = {"kind": "tls", "port": web["tls"]}
        port = _nginx(stack, folder, web)
        inventory["nginx"] = {"kind": "nginx", "port": port, "probe": {"path": "/nginx_status"}}
        inventory.update(_databases(stack, folder))
        inventory.update(_files(folder))
        inventory["plain"] = {"kind": "tcp", "probe": {"port": port}}
        inventory["near"] = {"kind": "ping", "probe": {"hosts": {"here": "127.0.0.1", "there": "127.0.0.2"}}}
        hosts = {f"h{number}": f"127.0.0.{number}" for number in range(2, 7)}
        inventory["network"] = {"kind": "network-utilities", "probe": {"hosts": hosts}}
        session_port = real_services.free_port()
        inventory["sessions"] = {"kind": "redis", "port": session_port}
        made = Everything(inventory, folder, session_port, stack.enter_context(ExitStack()))
        made.start_sessions()
        made.leave_files()
        yield made


def _nginx(stack: ExitStack, folder: Path, web: dict[str, int]) -> int:
    """The port of its own; it answers on those of ``web`` too."""
    place = folder / "nginx"
    place.mkdir()
    lines = [f"listen 127.0.0.1:{port}{' ssl' if name == 'tls' else ''};" for name, port in web.items()]
    key, certificate = place / "key.pem", place / "certificate.pem"
    make = (need("openssl"), "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=it", "-days", "90")
    subprocess.run([*make, "-keyout", str(key), "-out", str(certificate)], check=True, capture_output=True)
    lines += [f"ssl_certificate {certificate}; ssl_certificate_key {key};"]
    lines.append("location = /nginx_status { stub_status; }")
    for path, source in _PAGES.items():
        body = source.read_text() if isinstance(source, Path) else source
        # Quoted as nginx wants it; no body has a dollar, which would be a variable.
        lines.append(f"location = {path} {{ return 200 {json.dumps(_one_line(body))}; }}")
    port, _ = stack.enter_context(real_services.nginx(place, "\n ".join(lines)))
    return port


def _one_line(body: str) -> str:
    return json.dumps(json.loads(body)) if body.startswith("{") else body


def _databases(stack: ExitStack, folder: Path) -> Inventory:
    cache, names, data = folder / "cache", folder / "names", folder / "postgres"
    for place in (cache, names, data):
        place.mkdir()
    redis, _ = stack.enter_context(real_services.redis(cache, "--maxmemory", "50mb"))
    dns = stack.enter_context(real_services.dnsmasq(names, "--address=/router.lan/192.0.2.1"))
    cluster = real_services.Postgres(data)
    cluster.access("host all monitor 127.0.0.1/32 trust")
    stack.enter_context(cluster.running())
    real_services.within(30, lambda: _speaks(cluster), "postgres' readiness")
    cluster.psql("CREATE ROLE monitor LOGIN; GRANT pg_monitor TO monitor")
    return {
        "redis": {"kind": "redis", "port": redis},
        "names": {"kind": "dns", "port": dns, "probe": {"query": "router.lan"}},
        "postgresql": {"kind": "postgresql", "port": cluster.port, "probe": {"user": "monitor"}},
    }


def _speaks(cluster: real_services.Postgres) -> bool:
    """It takes connections before it is ready for them."""
    try:
        return cluster.psql("SELECT 1").strip() == "1"
    except AssertionError:
        return False


def _files(folder: Path) -> Inventory:
    for name in ("backup", "run"):
        (folder / name).mkdir()
    for number in range(5):
        old = folder / "backup" / f"{number}.dump"
        old.write_bytes(b"x" * 2000)
        os.utime(old, (old.stat().st_mtime - 86400 * (number + 1),) * 2)
    (folder / "run" / "drift").write_text("# nothing\n")
    run = {"files": [f"{folder}/run/last"], "max_age": "2h", "drift": f"{folder}/run/drift"}
    backup = {"files": [f"{folder}/backup/*.dump"], "max_age": "36h", "min_size": "1KiB"}
    return {
        "configuration": {"kind": "configuration-management", "probe": run},
        "backup": {"kind": "backup-coordination", "probe": backup},
    }
