"""One request: within its time and size, over TLS, and cut off when nobody wants it any more."""

from __future__ import annotations

import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from http.client import HTTPConnection
from pathlib import Path

import pytest

from alerting.remote.http import Http, RemoteFailed, TooLarge
from alerting.storage.ports import StorageError
from config.remote import Endpoint
from tests.support.peers import need

MIB = 1 << 20
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@contextmanager
def raw_server(*pieces: bytes, pause: float = 0.0, context: ssl.SSLContext | None = None) -> Iterator[int]:
    """Sends these bytes, with pauses, to whoever connects; then waits for the other side to leave. Its port."""
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:

        def serve() -> None:
            with suppress(OSError):
                while True:
                    answer(listener.accept()[0])

        def answer(connection: socket.socket) -> None:
            with connection, suppress(OSError):
                plain = connection if context is None else context.wrap_socket(connection, server_side=True)
                with plain:
                    plain.recv(65536)
                    for piece in pieces:
                        plain.sendall(piece)
                        time.sleep(pause)
                    plain.settimeout(5)
                    plain.recv(65536)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)
    thread.join(5)


def ask(port: int, timeout: float = 20.0, most: int = MIB) -> bytes:
    with closing(Http(Endpoint(f"http://127.0.0.1:{port}", timeout=timeout), "1")) as http:
        return http.ask("/", b"", {}, most_bytes=most).body


def test_a_body_of_any_framing_is_read() -> None:
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\no\r\n1\r\nk\r\n0\r\n\r\n"
    for answer in (OK, chunked):
        with raw_server(answer) as port:
            assert ask(port) == b"ok"


def test_an_answer_that_trickles_ends_in_time() -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"
    sent = 600  # takes half a minute to send
    began = time.monotonic()
    with raw_server(head, *[b"x"] * sent, pause=0.05) as port, pytest.raises(RemoteFailed, match="in time"):
        ask(port, timeout=0.4)
    assert time.monotonic() - began < 20


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (b"SSH-2.0-OpenSSH_9.2\r\n", "the answer is not HTTP"),
        (b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\nnope", "cannot be read"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "the answer"),
    ],
)
def test_what_is_no_http_is_told(answer: bytes, words: str) -> None:
    with raw_server(answer) as port, pytest.raises(RemoteFailed, match=words):
        ask(port)


def test_a_body_without_end_is_not_kept() -> None:
    endless = b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 100_000
    with raw_server(endless) as port, pytest.raises(TooLarge):
        ask(port, most=50_000)


def test_closing_cuts_off_a_request_under_way() -> None:
    with raw_server() as port:
        http = Http(Endpoint(f"http://127.0.0.1:{port}", timeout=60.0), "1")
        began = time.monotonic()
        timer = threading.Timer(0.1, http.close)
        timer.start()
        with pytest.raises(RemoteFailed):
            http.ask("/", b"", {}, most_bytes=MIB)
        assert time.monotonic() - began < 30
        with pytest.raises(RemoteFailed, match="not asked any more"):
            http.ask("/", b"", {}, most_bytes=MIB)
        timer.join()


def test_closing_ends_a_request_that_is_only_connecting(monkeypatch: pytest.MonkeyPatch) -> None:
    connecting, go = threading.Event(), threading.Event()
    connect = HTTPConnection.connect

    def gated(connection: HTTPConnection) -> None:
        connecting.set()
        assert go.wait(60)
        connect(connection)

    monkeypatch.setattr(HTTPConnection, "connect", gated)
    with socket.create_server(("127.0.0.1", 0)) as listener, ThreadPoolExecutor(1) as threads:
        http = Http(Endpoint(f"http://127.0.0.1:{listener.getsockname()[1]}", timeout=2.0), "1")
        asked = threads.submit(http.ask, "/", b"", {}, most_bytes=MIB)
        assert connecting.wait(60)
        http.close()
        go.set()
        with pytest.raises(RemoteFailed, match="not asked any more"):
            asked.result(60)
        with listener.accept()[0] as peer:
            assert peer.recv(1) == b"", "nothing was sent"
    assert not http._busy


class Ending(HTTPConnection):
    """Its request ends, in another thread, in the moment after somebody looked at its socket."""

    def __init__(self, there: socket.socket) -> None:
        self._left: list[socket.socket | None] = [there]

    @property
    def sock(self) -> socket.socket | None:  # type: ignore[override]
        return self._left.pop() if self._left else None

    def close(self) -> None:
        pass


def test_closing_meets_a_request_that_ends() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        http = Http(Endpoint("http://127.0.0.1:1", timeout=1.0), "1")
        http._busy.add(Ending(ours))
        http.close()
        assert theirs.recv(1) == b""


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A key and a certificate for 127.0.0.1 that no authority knows, in one file."""
    folder = tmp_path_factory.mktemp("tls")
    command = [need("openssl"), "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    command += ["-days", "2", "-subj", "/CN=home", "-addext", "subjectAltName=IP:127.0.0.1"]
    command += ["-keyout", "key.pem", "-out", "cert.pem"]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    return folder


def test_tls_is_checked_and_an_authority_of_one_s_own_is_taken(certificate: Path) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate / "cert.pem", certificate / "key.pem")
    with raw_server(OK, context=context) as port:
        url = f"https://127.0.0.1:{port}"
        with closing(Http(Endpoint(url, timeout=30.0), "1")) as http:
            with pytest.raises(RemoteFailed, match=r"certificate is not trusted: .*ca_file"):
                http.ask("/", b"", {}, most_bytes=MIB)
        with closing(Http(Endpoint(url, timeout=30.0, ca_file=certificate / "cert.pem"), "1")) as http:
            assert http.ask("/", b"", {}, most_bytes=MIB).body == b"ok"
    with pytest.raises(StorageError, match="cannot be used as certificates"):
        Http(Endpoint("https://127.0.0.1", ca_file=certificate / "nothing.pem"), "1")


def test_a_name_that_does_not_resolve_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: object, **__: object) -> object:  # a real resolver may take longer than the request has
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    with closing(Http(Endpoint("http://nowhere.invalid", timeout=60.0), "1")) as http:
        with pytest.raises(RemoteFailed, match=r"http://nowhere\.invalid: its name cannot be resolved"):
            http.ask("/", b"", {}, most_bytes=MIB)
