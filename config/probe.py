"""How a service is asked how it is, beyond what its kind and port say: its ``probe`` in ``cluster.yaml``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Final

from msgspec import Meta, Struct

Name = Annotated[str, Meta(extra={"kind": "name"})]
Address = Annotated[str, Meta(extra={"kind": "address"})]
Bytes = Annotated[int, Meta(extra={"kind": "size"})]
Duration = Annotated[float, Meta(extra={"kind": "duration"})]
Port = Annotated[int, Meta(ge=1, le=65535)]
Status = Annotated[int, Meta(ge=100, le=599)]
Text = Annotated[str, Meta(min_length=1)]


class Probe(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """All of it is optional. Passwords are named, never written here: ``password_file`` (relative to this folder,
    readable by the user tierwatch) or ``password_env`` (a variable of the exporter's environment).

    ``address``: asked there instead of at the node's address and then 127.0.0.1. ``path``: nginx: its stub_status page;
    http: the page; the others: what they lie behind. ``host``: the name for TLS and the Host header. ``status``,
    ``body``: what the page must answer and hold. ``query``: the name a DNS server must know. ``files``: patterns of
    what a run leaves behind, at most ``max_age`` old and at least ``min_size`` large. ``drift``: a file that lists what
    configuration management found different. ``hosts``: who is pinged. ``grace``: how long it may be away, for a
    restart, before it is called down; a minute where the inventory names its container or unit.
    """

    address: Address | None = None
    port: Port | None = None
    path: str = ""
    host: str = ""
    tls: bool = False
    user: str = ""
    password_file: str = ""
    password_env: str = ""
    database: str = ""
    status: tuple[Status, ...] = ()
    body: str = ""
    query: str = ""
    files: tuple[Text, ...] = ()
    drift: str = ""
    max_age: Duration | None = None
    min_size: Bytes | None = None
    hosts: dict[Name, Address] = {}
    interval: Duration | None = None
    timeout: Duration | None = None
    grace: Duration | None = None


_TIMES = ("address", "interval", "timeout", "grace")
_WEB = ("port", "path", "host", "tls")
_PASSWORD = ("password_file", "password_env")
_LOGIN = ("user", *_PASSWORD)
_FILES = ("files", "max_age", "min_size")
_ANY = (*_WEB, *_LOGIN, "status", "body", *_FILES)

# Kind -> what its probe knows of; a key that would be passed over in silence is a mistake.
KEYS: Final[Mapping[str, tuple[str, ...]]] = {
    "nginx": _WEB,
    "kong": (*_WEB, *_LOGIN),
    "prometheus": (*_WEB, *_LOGIN),
    "grafana": (*_WEB, *_LOGIN),
    "redis": ("port", "host", "tls", *_LOGIN),
    "ollama": (*_WEB, *_LOGIN),
    "comfyui": (*_WEB, *_LOGIN, "max_age"),
    "sonarqube": (*_WEB, *_PASSWORD),
    "jupyterhub": _WEB,
    "postgresql": ("port", *_LOGIN, "database"),
    "minio": _WEB,
    "tierwatch": _WEB,
    "log-collection": _ANY,
    "edge-models": _ANY,
    "edge-cache": _ANY,
    "offline-fallback": _ANY,
    "edge-processing": _ANY,
    "configuration-management": (*_FILES, "drift"),
    "backup-coordination": _FILES,
    "network-utilities": ("hosts",),
    "http": (*_WEB, *_LOGIN, "status", "body"),
    "tcp": ("port", "host", "tls"),
    "tls": ("port", "host"),
    "dns": ("port", "query"),
    "ping": ("hosts",),
    "process": (),
}


def known_keys(kind: str) -> tuple[str, ...]:
    """The keys of a probe of this kind."""
    return (*KEYS[kind], *_TIMES)
