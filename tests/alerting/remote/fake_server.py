"""A small server that speaks Prometheus' HTTP API over given samples and takes remote write; it can misbehave."""

from __future__ import annotations

import gzip
import json
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.support.ports import free_port

Answer = tuple[int, dict[str, str], bytes]
Behaviour = Callable[[str, dict[str, list[str]], bytes], Answer]


def success(data: Any, **more: Any) -> Answer:
    return 200, {"Content-Type": "application/json"}, json.dumps({"status": "success", "data": data, **more}).encode()


def failure(status: int, error: str) -> Answer:
    body = json.dumps({"status": "error", "errorType": "execution", "error": error}).encode()
    return status, {"Content-Type": "application/json"}, body


def matrix(*series: tuple[dict[str, str], list[tuple[float, str]]]) -> Answer:
    return success({"resultType": "matrix", "result": [{"metric": m, "values": v} for m, v in series]})


class FakeServer:
    """``behaviour`` gets path, form and body of each request and gives the answer. Listens from ``up`` to ``down`` on
    one port. Use as a context manager."""

    def __init__(self, behaviour: Behaviour) -> None:
        self.behaviour = behaviour
        self.asked: list[tuple[str, dict[str, list[str]], dict[str, str]]] = []
        self.connections = 0
        self.hang_s = 0.0
        self.cut_off = False
        self.port = free_port()  # one that is still free after ``down``
        self._server: ThreadingHTTPServer | None = None
        self._thread: threading.Thread | None = None
        self._connections: list[socket.socket] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def up(self) -> None:
        fake = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def do_POST(self) -> None:
                fake._handle(self)

            def do_GET(self) -> None:
                fake._handle(self)

            def log_message(self, *_: Any) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def process_request(self, request: Any, client_address: Any) -> None:
                fake._connections.append(request)
                fake.connections += 1
                super().process_request(request, client_address)

            def handle_error(self, request: Any, client_address: Any) -> None:
                pass  # the other side gave up

        self._server = Server(("127.0.0.1", self.port), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})
        self._thread.start()

    def down(self) -> None:
        if self._server is not None and self._thread is not None:
            self._server.shutdown()
            self._server.server_close()
            self._thread.join()
        for connection in self._connections:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        self._connections.clear()
        self._server = None

    def __enter__(self) -> FakeServer:
        self.up()
        return self

    def __exit__(self, *_: object) -> None:
        self.down()

    def _handle(self, handler: BaseHTTPRequestHandler) -> None:
        body = handler.rfile.read(int(handler.headers.get("Content-Length", "0")))
        parts = urlsplit(handler.path)
        is_form = "form" in handler.headers.get("Content-Type", "")
        form = parse_qs(body.decode() if is_form and body else parts.query)
        self.asked.append((parts.path, form, dict(handler.headers.items())))
        if self.hang_s:
            time.sleep(self.hang_s)
        status, headers, text = self.behaviour(parts.path, form, body)
        if "gzip" in handler.headers.get("Accept-Encoding", "") and len(text) > 100:
            text, headers = gzip.compress(text), {**headers, "Content-Encoding": "gzip"}
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name, value)
        handler.send_header("Content-Length", str(len(text)))
        handler.end_headers()
        handler.wfile.write(text[: len(text) // 2] if self.cut_off else text)
        if self.cut_off:
            handler.close_connection = True
