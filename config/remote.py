"""Where the other store is, and what opens its door: URLs, headers and files of ``storage.remote`` put together."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import SplitResult, unquote, urlsplit, urlunsplit

from config.alerting import RemoteSettings
from config.problems import Problem
from config.secrets import Secret, expand, from_file
from config.shape import dotted
from config.yamlfile import Document, Key

PLACE: Key = ("storage", "remote")
_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}")
# RFC 9110 section 5.5, without what only old servers take.
_HEADER_VALUE = re.compile(r"[\x20-\x7e\t]*")
# Written by the protocols themselves, or by username and token_file.
_OUR_HEADERS = frozenset(
    {"authorization", "host", "user-agent", "connection", "accept-encoding", "x-prometheus-remote-write-version"}
    | {"content-length", "content-type", "content-encoding", "transfer-encoding"}
)
_LONGEST_URL = 2000


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An HTTP address without user, password, query and fragment, and the headers that every request to it carries."""

    url: str
    headers: tuple[tuple[str, Secret], ...] = ()
    timeout: float = 30.0
    """Seconds that a whole request may take."""
    ca_file: Path | None = None
    """Whom to trust instead of the system's authorities."""


@dataclass(frozen=True, slots=True)
class Remote:
    """``query``: the base of Prometheus' HTTP API (what stands before /api/v1). ``write``: the whole address that
    remote write posts to. None where nothing was asked for. ``max_lag`` in seconds."""

    query: Endpoint | None = None
    write: Endpoint | None = None
    read_recent: bool = False
    max_lag: float = 6 * 3600.0


def remote_access(
    settings: RemoteSettings, document: Document, environ: Mapping[str, str], directory: Path, problems: list[Problem]
) -> Remote:
    """Secrets filled in from environment and files. What is wrong is added to ``problems``, without any secret."""
    return _Access(settings, document, environ, directory, problems).remote()


def shown_url(text: str) -> str:
    """An address as it may be seen: without user, password and query."""
    try:
        parts = urlsplit(text)
        return _address(parts) if parts.hostname else ""
    except ValueError:
        return ""


def _address(parts: SplitResult) -> str:
    host = parts.hostname or ""
    host = f"[{host}]" if ":" in host else host
    netloc = host if parts.port is None else f"{host}:{parts.port}"
    return urlunsplit((parts.scheme, netloc, parts.path.rstrip("/"), "", ""))


@dataclass(slots=True)
class _Access:
    settings: RemoteSettings
    document: Document
    environ: Mapping[str, str]
    directory: Path
    problems: list[Problem]
    headers: dict[str, Secret] = field(default_factory=dict)

    def remote(self) -> Remote:
        settings = self.settings
        if not self.document.intact(PLACE):
            return Remote()
        if not (settings.query_url or settings.write_url):
            if PLACE in self.document.lines and all(self._intact(name) for name in ("query_url", "write_url")):
                self._bad((), "expected query_url, write_url or both")
            return Remote()
        self._headers()
        self._authorization()
        ca_file = self._ca_file()
        query = self._endpoint("query_url", settings.query_url, settings.query_timeout, ca_file)
        write = self._endpoint("write_url", settings.write_url, settings.write_timeout, ca_file)
        if query is not None and query.url.endswith("/api/v1"):
            self._bad(("query_url",), "expected what stands before /api/v1, such as http://192.168.1.10:9090")
        if write is not None and not urlsplit(write.url).path.strip("/"):
            self._bad(
                ("write_url",),
                "expected the whole address that takes remote write, such as http://192.168.1.10:9090/api/v1/write",
            )
        return Remote(query, write, settings.read_recent, settings.max_lag)

    def _intact(self, *path: str) -> bool:
        return self.document.intact((*PLACE, *path))

    def _bad(self, path: Iterable[str], message: str) -> None:
        place = (*PLACE, *path)
        self.problems.append(self.document.problem(place, f"{dotted(place)}: {message}"))

    def _headers(self) -> None:
        for name, text in self.settings.headers.items():
            if not self._intact("headers", name):
                continue
            if not _HEADER_NAME.fullmatch(name):
                self._bad(("headers",), f'"{name[:100]}" is no name of a header; expected one such as X-Scope-OrgID')
            elif name.lower() in _OUR_HEADERS:
                hint = "; use username and password_file, or token_file" if name.lower() == "authorization" else ""
                self._bad(("headers", name), f"this header is written by the program itself{hint}")
            else:
                self._header(name, text)

    def _header(self, name: str, text: str) -> None:
        try:
            value = expand(text, self.environ).strip()
        except ValueError as error:
            self._bad(("headers", name), str(error))
            return
        if not _HEADER_VALUE.fullmatch(value):
            self._bad(
                ("headers", name), "expected one line of plain ASCII characters (it is not shown, it may be secret)"
            )
            return
        self.headers[name] = Secret(value)

    def _authorization(self) -> None:
        settings = self.settings
        if not all(self._intact(name) for name in ("username", "password_file", "token_file")):
            return
        if settings.token_file and (settings.username or settings.password_file):
            self._bad(("token_file",), "expected either token_file, or username and password_file")
        elif bool(settings.username) is not bool(settings.password_file):
            given, missing = ("username", "password_file") if settings.username else ("password_file", "username")
            self._bad((given,), f'"{missing}" is missing beside it')
        elif settings.token_file:
            token = self._file("token_file", settings.token_file, "a token")
            if token is not None:
                self.headers["Authorization"] = Secret(f"Bearer {token.reveal()}")
        elif settings.username:
            password = self._file("password_file", settings.password_file, "a password")
            if ":" in settings.username:
                self._bad(("username",), "a user's name cannot hold a colon")
            elif password is not None:
                self.headers["Authorization"] = _basic(settings.username, password.reveal())

    def _file(self, name: str, text: str, what: str) -> Secret | None:
        try:
            secret = from_file(self.directory / expand(text, self.environ), what)
        except ValueError as error:
            self._bad((name,), str(error))
            return None
        if not _HEADER_VALUE.fullmatch(secret.reveal()) and what == "a token":
            self._bad((name,), "expected one line of plain ASCII characters in the file")
            return None
        return secret

    def _ca_file(self) -> Path | None:
        text = self.settings.ca_file
        if not text or not self._intact("ca_file"):
            return None
        path = self.directory / text
        if not path.is_file():
            self._bad(("ca_file",), f"{path}: no such file; expected certificates as PEM")
        return path

    def _endpoint(self, name: str, text: str, timeout: float, ca_file: Path | None) -> Endpoint | None:
        if not text or not self._intact(name):
            return None
        try:
            written = expand(text, self.environ).strip()
            parts = urlsplit(written)
            host, user, _ = parts.hostname, parts.username, parts.port
        except ValueError as error:
            # urllib quotes the address in some of its words.
            shown = str(error) if "environment variable" in str(error) or "${" in str(error) else "it is no address"
            self._bad((name,), shown)
            return None
        if not written:
            return None  # a variable that may be missing, and is
        address = parts.geturl()
        plain = len(address) <= _LONGEST_URL and address.isascii() and address.isprintable() and " " not in address
        if parts.scheme not in ("http", "https") or not host or not plain:
            self._bad((name,), "expected an address such as http://192.168.1.10:9090 (what is there is not shown)")
            return None
        if parts.query or parts.fragment:
            self._bad((name,), "expected an address without ? and #; extra headers go into headers")
            return None
        headers = dict(self.headers)
        if user is not None:
            if "Authorization" in headers:
                self._bad((name,), "there is a user in the address and one beside it; expected one")
            headers["Authorization"] = _basic(unquote(user), unquote(parts.password or ""))
        return Endpoint(_address(parts), tuple(sorted(headers.items())), timeout, ca_file)


def _basic(user: str, password: str) -> Secret:
    """RFC 7617."""
    return Secret("Basic " + base64.b64encode(f"{user}:{password}".encode()).decode())
