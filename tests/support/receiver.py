"""A small HTTP receiver on loopback that remembers what is posted to it, and can misbehave on order."""

from __future__ import annotations

import json
import threading
import time
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal

from tests.support.machine import PATIENCE
from tests.support.ports import free_port

Mode = Literal["ok", "error", "refuse-content", "hang", "slow"]
_MOST_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Post:
    """One accepted post: its path, its JSON, and when it was accepted (``time.monotonic``)."""

    path: str
    json: Any
    at: float


class HttpReceiver:
    """Listens from ``up`` to ``down``; the port stays the same. Use as a context manager.

    ``mode``: ``error`` answers 500, ``refuse-content`` 400, ``hang`` nothing at all, ``slow`` after ``slow_s``.
    Only accepted posts are in ``posts``; ``tries`` counts all.
    """

    def __init__(self) -> None:
        self.mode: Mode = "ok"
        self.slow_s = 0.5
        self.posts: list[Post] = []
        self.tries = 0
        self.port = free_port()  # one that is still free after ``down``
        self._server: ThreadingHTTPServer | None = None
        self._thread: threading.Thread | None = None
        self._released = threading.Event()

    def url(self, path: str = "hook") -> str:
        """The receiver as an Apprise URL."""
        return f"json://127.0.0.1:{self.port}/{path}"

    def titles(self) -> list[str]:
        return [post.json["title"] for post in self.posts]

    def up(self) -> None:
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                receiver._post(self)

            def log_message(self, *_: Any) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, request: Any, client_address: Any) -> None:
                pass  # the other side was killed

        self._released.clear()
        self._server = Server(("127.0.0.1", self.port), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})
        self._thread.start()

    def down(self) -> None:
        """Stop listening: connections are refused."""
        self._released.set()
        if self._server is not None and self._thread is not None:
            self._server.shutdown()
            self._server.server_close()
            self._thread.join()
        self._server = None

    def wait_for(self, count: int, seconds: float) -> None:
        """Until so many posts were accepted; fails the test when they were not. ``seconds``: on an idle machine."""
        deadline = time.monotonic() + seconds * PATIENCE
        while len(self.posts) < count:
            assert time.monotonic() < deadline, f"{len(self.posts)} of {count} posts after {seconds * PATIENCE:g} s"
            time.sleep(0.01)

    def __enter__(self) -> HttpReceiver:
        self.up()
        return self

    def __exit__(self, *_: object) -> None:
        self.down()

    def _post(self, handler: BaseHTTPRequestHandler) -> None:
        self.tries += 1
        body = handler.rfile.read(min(int(handler.headers.get("Content-Length", "0")), _MOST_BYTES))
        mode = self.mode
        if mode == "hang":
            self._released.wait(60)
            handler.close_connection = True
            return
        if mode == "slow":
            time.sleep(self.slow_s)
        status = {"error": 500, "refuse-content": 400}.get(mode, 200)
        if status == 200:
            self.posts.append(Post(handler.path, json.loads(body), time.monotonic()))
        handler.send_response(status)
        handler.send_header("Content-Length", "0")
        handler.end_headers()
