"""Asking an aggregator, or anything else that speaks Prometheus' HTTP API."""

from __future__ import annotations

import base64
import http.client
import json
import re
from typing import Any
from urllib.parse import SplitResult, unquote, urlencode, urlsplit

from alerting.query.answer import Answer, AskError, Question

CONNECT_SECONDS = 5.0
ANSWER_SECONDS = 150.0  # longer than servers let a query take
MOST_BYTES = 512 << 20
_POSITION = re.compile(r"(?:^|: )(\d+):(\d+): ")
_PREFIX = re.compile(r'^invalid parameter "query": ')
_HTTP = {"http": http.client.HTTPConnection, "https": http.client.HTTPSConnection}


def ask(question: Question, url: str) -> Answer:
    """Raises AskError."""
    form = {"query": question.expr}
    if question.step_ms is None:
        path = "query"
        form["time"] = _seconds(question.start_ms)
    else:
        path = "query_range"
        form |= {
            "start": _seconds(question.start_ms),
            "end": _seconds(question.end_ms),
            "step": _seconds(question.step_ms),
        }
    status, body = _post(_server(url), f"/api/v1/{path}", form)
    try:
        found: Any = json.loads(body)
    except ValueError:
        found = None
    if not isinstance(found, dict) or found.get("status") not in ("success", "error"):
        text = " ".join(body[:200].decode("utf-8", "replace").split())
        raise AskError(
            f"{shown(url)}: no Prometheus API there (status {status}: {text})",
            advice="--url must name an aggregator, such as http://hub:9190",
        )
    if found["status"] == "error":
        raise _refused(str(found.get("error", "")))
    if not isinstance(found.get("data"), dict):
        raise AskError(f"{shown(url)}: an answer without data")
    return Answer(found["data"], (*map(str, found.get("warnings") or ()), *map(str, found.get("infos") or ())))


def shown(url: str) -> str:
    """A URL without its user and password."""
    return re.sub(r"//[^/@]*@", "//", url)


def _server(url: str) -> SplitResult:
    parts = urlsplit(url if "://" in url else f"http://{url}")
    try:
        _ = parts.port
    except ValueError as error:
        raise AskError(f"{shown(url)}: {error}") from error
    if parts.scheme not in _HTTP or not parts.hostname:
        raise AskError(f"{shown(url)}: expected a URL such as http://hub:9190")
    return parts


def _post(server: SplitResult, path: str, form: dict[str, str]) -> tuple[int, bytes]:
    headers = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"}
    if server.username is not None:
        pair = f"{unquote(server.username)}:{unquote(server.password or '')}"
        headers["Authorization"] = "Basic " + base64.b64encode(pair.encode()).decode()
    place = f"{server.hostname}:{server.port or (443 if server.scheme == 'https' else 80)}"
    connection = _HTTP[server.scheme](str(server.hostname), server.port, timeout=CONNECT_SECONDS)
    try:
        connection.connect()
        connection.sock.settimeout(ANSWER_SECONDS)
        connection.request("POST", server.path.rstrip("/") + path, urlencode(form), headers)
        response = connection.getresponse()
        body = response.read(MOST_BYTES + 1)
    except ConnectionRefusedError as error:
        raise AskError(
            f"{place}: connection refused: nothing listens there",
            advice="is the aggregator running (systemctl status tierwatch-aggregator)? --url or TIERWATCH_URL names "
            "another address, --data asks a data folder without one",
        ) from error
    except TimeoutError as error:
        raise AskError(f"{place}: no answer in time", advice="--url names another address") from error
    except (OSError, http.client.HTTPException) as error:
        raise AskError(f"{place}: {getattr(error, 'strerror', None) or str(error) or type(error).__name__}") from error
    finally:
        connection.close()
    if len(body) > MOST_BYTES:
        raise AskError("the answer is too large; ask for fewer series, a shorter time or a longer step")
    return response.status, body


def _refused(message: str) -> AskError:
    found = _POSITION.search(message)
    if found is None:
        return AskError(_PREFIX.sub("", message))
    text = _PREFIX.sub("", message.replace(f"{found[1]}:{found[2]}: ", "", 1))
    return AskError(text, (int(found[1]), int(found[2])))


def _seconds(time_ms: int) -> str:
    return f"{time_ms / 1000:.3f}".rstrip("0").rstrip(".")
