"""Real servers for tests: Redis, PostgreSQL, nginx, dnsmasq; each with its own folder, on loopback, on a free port."""

from __future__ import annotations

import atexit
import copy
import os
import pwd
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import mkdtemp

from tests.support import ports
from tests.support.machine import PATIENCE
from tests.support.peers import need

free_port = ports.free_port


def accepts(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=0.5).close()
    except OSError:
        return False
    return True


def within(seconds: float, condition: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + seconds * PATIENCE
    while not condition():
        assert time.monotonic() < end, f"{what} did not come within {seconds * PATIENCE:g} s"
        time.sleep(0.05)


@contextmanager
def process(
    command: Sequence[str], folder: Path, *, user: str = "", environment: Mapping[str, str] | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """A server in the foreground, ended with SIGTERM, or killed when that does not help.

    ``environment``: beside ours."""
    identity = pwd.getpwnam(user) if user and os.getuid() == 0 else None
    with (folder / "output.log").open("wb") as log:
        started = subprocess.Popen(
            list(command),
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env={**os.environ, **(environment or {})},
            process_group=0,
            user=identity.pw_uid if identity else None,
            group=identity.pw_gid if identity else None,
            extra_groups=[] if identity else None,
        )
    try:
        yield started
    finally:
        if started.poll() is None:
            started.send_signal(signal.SIGINT if "postgres" in command[0] else signal.SIGTERM)
            try:
                started.wait(10 * PATIENCE)
            except subprocess.TimeoutExpired:
                os.killpg(started.pid, signal.SIGKILL)
                started.wait(10 * PATIENCE)


@contextmanager
def redis(folder: Path, *options: str, port: int = 0) -> Iterator[tuple[int, subprocess.Popen[bytes]]]:
    program = need("redis-server")
    port = port or free_port()
    command = (program, "--port", str(port), "--bind", "127.0.0.1", "--dir", str(folder), "--save", "", *options)
    with process(command, folder) as started:
        within(10, lambda: accepts(port), "redis")
        yield port, started


@contextmanager
def nginx(folder: Path, server: str) -> Iterator[tuple[int, subprocess.Popen[bytes]]]:
    """``server``: what stands in the server block."""
    program = need("nginx")
    port = free_port()
    (folder / "nginx.conf").write_text(
        f"daemon off; master_process off; pid {folder}/nginx.pid; error_log {folder}/error.log;\n"
        "events { worker_connections 64; }\n"
        f"http {{ access_log off; client_body_temp_path {folder}/a; proxy_temp_path {folder}/b;\n"
        f" fastcgi_temp_path {folder}/c; uwsgi_temp_path {folder}/d; scgi_temp_path {folder}/e;\n"
        f" server {{ listen 127.0.0.1:{port}; {server} }} }}\n"
    )
    with process((program, "-p", str(folder), "-c", str(folder / "nginx.conf")), folder) as started:
        within(10, lambda: accepts(port), "nginx")
        yield port, started


@contextmanager
def dnsmasq(folder: Path, *options: str) -> Iterator[int]:
    program = need("dnsmasq")
    port = free_port()
    command = [program, "--keep-in-foreground", f"--port={port}", "--listen-address=127.0.0.1", "--bind-interfaces"]
    command += ["--no-resolv", "--no-hosts", "--conf-file=/dev/null", "--pid-file", f"--user={user_name()}", *options]
    with process(command, folder) as started:
        within(10, lambda: accepts(port) and started.poll() is None, "dnsmasq")
        yield port


@contextmanager
def jupyterhub(folder: Path) -> Iterator[tuple[int, subprocess.Popen[bytes], int]]:
    """(port of the proxy, the hub, process of the proxy); the proxy outlives a hub that is killed, until the end."""
    program = need("jupyterhub")
    proxy, hub, api = free_port(), free_port(), free_port()
    (folder / "config.py").write_text(
        f"c.JupyterHub.bind_url = 'http://127.0.0.1:{proxy}'\nc.JupyterHub.hub_port = {hub}\n"
        f"c.ConfigurableHTTPProxy.api_url = 'http://127.0.0.1:{api}'\n"
        f"c.ConfigurableHTTPProxy.command = ['{Path(program).with_name('configurable-http-proxy')}']\n"
        "c.JupyterHub.authenticator_class = 'dummy'\nc.JupyterHub.db_url = 'sqlite://'\n"
    )
    number = folder / "jupyterhub-proxy.pid"
    try:
        with process((program, "-f", str(folder / "config.py")), folder) as started:
            within(60, lambda: number.exists() and accepts(proxy) and accepts(hub), "jupyterhub")
            yield proxy, started, int(number.read_text())
    finally:
        if number.exists():
            with suppress(ProcessLookupError):
                os.kill(int(number.read_text()), signal.SIGTERM)


def user_name() -> str:
    return pwd.getpwuid(os.getuid()).pw_name


class Postgres:
    """A cluster with a database "postgres"; superuser "owner" over the socket in ``folder``."""

    def __init__(self, folder: Path) -> None:
        self.bin = Path(need("postgres")).resolve().parent
        # postgres refuses to run as root, and its user cannot pass through folders of root's.
        self.user = "postgres" if os.getuid() == 0 else ""
        if self.user:
            folder = Path(mkdtemp(prefix="tierwatch-pg"))
            atexit.register(shutil.rmtree, folder, ignore_errors=True)
            shutil.chown(folder, self.user)
        self.folder = folder
        self.data = folder / "data"
        self.port = free_port()
        self._run("initdb", "-D", str(self.data), "-U", "owner", "--auth=trust", "--no-sync", "--no-locale")

    def _run(self, program: str, *options: str) -> str:
        identity = pwd.getpwnam(self.user) if self.user else None
        done = subprocess.run(
            [str(self.bin / program), *options],
            check=False,
            capture_output=True,
            text=True,
            cwd=self.folder,
            user=identity.pw_uid if identity else None,
            group=identity.pw_gid if identity else None,
            extra_groups=[] if identity else None,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def access(self, *lines: str) -> None:
        """Who may connect how over TCP (pg_hba.conf)."""
        text = "local all all trust\nlocal replication all trust\n" + "\n".join(lines) + "\n"
        (self.data / "pg_hba.conf").write_text(text)

    def standby(self) -> Postgres:
        """A copy of this one, which runs, that follows it."""
        other = copy.copy(self)
        other.data, other.port = self.folder / "standby", free_port()
        source = ("-h", str(self.folder), "-p", str(self.port), "-U", "owner")
        self._run("pg_basebackup", "-D", str(other.data), *source, "-R", "-c", "fast", "--no-sync")
        return other

    def psql(self, sql: str) -> str:
        options = ("-h", str(self.folder), "-p", str(self.port), "-U", "owner", "-d", "postgres", "-qAtc", sql)
        return self._run("psql", *options)

    def _is_ready(self) -> bool:
        """It takes connections before it answers them."""
        try:
            return self.psql("SELECT 1").strip() == "1"
        except AssertionError:
            return False

    @contextmanager
    def running(self, *settings: str) -> Iterator[subprocess.Popen[bytes]]:
        command = [str(self.bin / "postgres"), "-D", str(self.data), "-p", str(self.port), "-h", "127.0.0.1"]
        command += ["-k", str(self.folder), "-c", "fsync=off", "-c", "jit=off"]
        command += [part for setting in settings for part in ("-c", setting)]
        with process(command, self.folder, user=self.user) as started:
            within(20, lambda: accepts(self.port) and self._is_ready(), "postgres")
            yield started
