"""``tierwatch query`` as somebody types it."""

from __future__ import annotations

import http.server
import json
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest

from alerting.clock import SystemClock
from alerting.model.labels import Labels
from alerting.query import cli, remote
from tests.alerting.transfer.files import load, text_of
from tests.support.aggregator import write_config


@pytest.fixture(scope="module")
def start() -> int:
    """Ten minutes before these tests began: the whole suite may have run for long by then."""
    return SystemClock().now_ms() // 1000 * 1000 - 600_000


@pytest.fixture(scope="module")
def data(start: int, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    series = {
        Labels.of({"__name__": "c_total", "n": str(n)}): [(start + i * 15_000, float(i * n)) for i in range(40)]
        for n in range(2)
    }
    load(folder, text_of(series), now_ms=start + 600_000)
    return folder


class Server(http.server.BaseHTTPRequestHandler):
    """Answers what it is told; remembers what it was asked."""

    answer: tuple[int, bytes] = (200, b"{}")
    asked: tuple[str, dict[str, list[str]], str | None] | None = None

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        Server.asked = (self.path, parse_qs(body.decode()), self.headers.get("Authorization"))
        status, content = Server.answer
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the library's name
        """Quiet."""


@pytest.fixture
def server() -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server) as found:
        thread = threading.Thread(target=found.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield f"127.0.0.1:{found.server_address[1]}"
        found.shutdown()
        thread.join()


def answers(status: int, content: object) -> None:
    Server.answer = (status, content if isinstance(content, bytes) else json.dumps(content).encode())


def test_a_data_folder_answers(start: int, data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    at = str((start + 15_000 * 20) / 1000)
    assert cli.main(["c_total", "--data", str(data), "--at", at]) == 0
    assert capsys.readouterr().out == "METRIC   n  VALUE\nc_total  0      0\nc_total  1     20\n"
    assert cli.main(["sum(c_total)", "--data", str(data), "--at", at, "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out) == {
        "resultType": "vector",
        "result": [{"metric": {}, "value": [float(at), "20"]}],
    }
    words = ["--range", "now-10m", "now", "--step", "1m"]
    assert cli.main(["c_total", "--data", str(data), *words, "--format", "json"]) == 0
    matrix = json.loads(capsys.readouterr().out)
    assert [len(one["values"]) for one in matrix["result"]] == [11, 11]
    assert cli.main(["c_total", "--data", str(data), *words]) == 0
    assert 'a value each 1m\n\nc_total\n* {n="0"}' in capsys.readouterr().out
    assert cli.main(["c_total[1m]", "--data", str(data), "--at", at, "--format", "graph"]) == 0
    assert "└" in capsys.readouterr().out


def test_an_empty_answer_is_no_error(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for words in ([], ["--range", "now-1h", "now"]):
        assert cli.main(["nothing_here", "--data", str(data), *words]) == 0
        assert capsys.readouterr() == ("", "no series\n")


def test_warnings_are_told_beside_the_answer(start: int, data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    at = str((start + 300_000) / 1000)
    assert cli.main(["quantile(2, c_total)", "--data", str(data), "--at", at]) == 0
    out, err = capsys.readouterr()
    assert "+Inf" in out
    assert "quantile value should be between 0 and 1" in err


def test_an_error_shows_the_place(data: Path, server: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["1 +\n  sum(up", "--data", str(data)]) == 1
    assert (
        capsys.readouterr().err == "tierwatch query: parse error: unclosed left parenthesis\n    sum(up\n          ^\n"
    )
    said = 'invalid parameter "query": 2:6: parse error: unclosed left parenthesis'
    answers(400, {"status": "error", "errorType": "bad_data", "error": said})
    assert cli.main(["1 +\n  sum(up", "--url", server]) == 1
    wanted = "tierwatch query: parse error: unclosed left parenthesis\n    sum(up\n       ^\n"
    assert capsys.readouterr().err == wanted


@pytest.mark.parametrize(
    "words",
    [
        ["--at", "yesterday"],
        ["--range", "now", "now-1h"],
        ["--range", "now-1h", "now", "--step", "0"],
        ["--range", "now-10d", "now", "--step", "1s"],
        ["--step", "1m"],
        ["--at", "now", "--range", "now-1h", "now"],
        ["--url", "http://x", "--data", "y"],
    ],
)
def test_options_that_make_no_sense(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(["up", *words])
    assert ended.value.code == 2
    assert "error: " in capsys.readouterr().err


def test_what_a_server_is_asked(server: str, capsys: pytest.CaptureFixture[str]) -> None:
    answers(200, {"status": "success", "data": {"resultType": "scalar", "result": [1, "7"]}, "warnings": ["w\x1b"]})
    assert cli.main(["1 + 6", "--url", f"http://me:p%40ss@{server}/prom/", "--at", "1700000000.5"]) == 0
    assert capsys.readouterr() == ("7\n", "w\\x1b\n")
    assert Server.asked == (
        "/prom/api/v1/query",
        {"query": ["1 + 6"], "time": ["1700000000.5"]},
        "Basic bWU6cEBzcw==",
    )
    answers(200, {"status": "success", "data": {"resultType": "matrix", "result": []}})
    words = ["--range", "1700000000", "1700003600", "--step", "30s"]
    assert cli.main(["up", "--url", server, *words]) == 0
    assert Server.asked is not None
    assert Server.asked[1] == {"query": ["up"], "start": ["1700000000"], "end": ["1700003600"], "step": ["30"]}


def test_no_answer_says_what_to_do(server: str, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        assert cli.main(["up", "--url", f"127.0.0.1:{nobody.getsockname()[1]}"]) == 1
    said = capsys.readouterr().err
    assert "connection refused: nothing listens there" in said
    assert "systemctl status tierwatch-aggregator" in said
    answers(404, b"<html>not here</html>")
    assert cli.main(["up", "--url", f"http://u:secret@{server}"]) == 1
    said = capsys.readouterr().err
    assert "no Prometheus API there (status 404: <html>not here</html>)" in said
    assert "secret" not in said
    for url in ("ftp://x", "http://", "http://x:99999"):
        assert cli.main(["up", "--url", url]) == 1
    answers(200, {"status": "success"})
    assert cli.main(["up", "--url", server]) == 1
    assert cli.main(["up", "--data", "/nowhere"]) == 1
    assert cli.main(["1", "--url", server, "--format", "graph"]) == 1


def test_a_server_that_is_slow_is_not_waited_for_for_ever(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote, "ANSWER_SECONDS", 0.1)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        assert cli.main(["up", "--url", f"127.0.0.1:{silent.getsockname()[1]}"]) == 1
    assert "no answer in time" in capsys.readouterr().err


def test_where_is_asked_by_default(tmp_path: Path) -> None:
    assert cli.default_url({"TIERWATCH_URL": "http://hub:1"}) == "http://hub:1"
    assert cli.default_url({"TIERWATCH_CONFIG": str(tmp_path)}) == cli.DEFAULT_URL
    write_config(tmp_path, node_port=9191, url="json://127.0.0.1:1/")
    assert cli.default_url({"TIERWATCH_CONFIG": str(tmp_path)}) == cli.DEFAULT_URL  # it has no hub
    shipped = Path(__file__).parents[3] / "config"
    assert cli.default_url({"TIERWATCH_CONFIG": str(shipped)}) == "http://192.168.1.204:9190"


def test_a_terminal_of_another_alphabet_gets_plain_letters(data: Path) -> None:
    import os

    command = [sys.executable, "-m", "tierwatch", "query", "--data", str(data), "--range", "now-10m", "now", "c_total"]
    environment = {**os.environ, "PYTHONIOENCODING": "ascii", "COLUMNS": "80"}
    done = subprocess.run(command, capture_output=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    rows = done.stdout.decode("ascii").splitlines()
    assert max(map(len, rows)) == 80
    assert any(row.endswith("+") or "+--" in row for row in rows)
