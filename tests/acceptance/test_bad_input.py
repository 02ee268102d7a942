"""The real aggregator against everything that goes wrong around it: nodes, pages, labels, disks, edits, browsers."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import time
import urllib.parse
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from tests.acceptance.exporter_process import exporter
from tests.support import hostile_server as hs
from tests.support.aggregator import Aggregator, write_config
from tests.support.browser import browser
from tests.support.machine import PATIENCE, slack
from tests.support.node_page import PAGE, NodePage
from tests.support.peers import lacking
from tests.support.receiver import HttpReceiver

pytestmark = pytest.mark.acceptance

ODD = 'say "hi"\\back\nnext <img src=x onerror=alert(1)> &amp; ä→🔥 {{ $x }}'
# One series each; the label's value is written as the exposition format wants it.
ODD_WRITTEN = ODD.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')
MEBIBYTE = 2**20

THING = """\
groups:
  - name: test
    rules:
      - alert: Thing
        expr: thing == 1
        labels: {severity: warning}
        annotations: {summary: "{{ $labels.what }} is wrong"}
"""


@pytest.fixture
def phone() -> Iterator[HttpReceiver]:
    with HttpReceiver() as receiver:
        yield receiver


@pytest.fixture
def aggregator(tmp_path: Path) -> Iterator[Aggregator]:
    with Aggregator(tmp_path) as found:
        yield found


def add_nodes(config: Path, places: dict[str, tuple[str, int]]) -> None:
    """More nodes beside ONE, each with its address and port."""
    path = config / "cluster.yaml"
    head, flows, tail = path.read_text().partition("flows:")
    for name, (host, port) in places.items():
        where = f"address: {host}, exporter_port: {port}"
        head += f"  {name}: {{{where}, tier: 1, board: generic, memory: 8GiB, disk: 1TB}}\n"
    path.write_text(head + flows + tail)


def until(true: Callable[[], bool], seconds: float = 15.0) -> None:
    deadline = time.monotonic() + seconds * PATIENCE
    while not true():
        assert time.monotonic() < deadline, "did not happen in time"
        time.sleep(0.05)


def value(aggregator: Aggregator, query: str) -> dict[str, float]:
    """node -> value."""
    answer = aggregator.get(f"/api/v1/query?query={urllib.parse.quote(query)}")
    return {found["metric"].get("node", ""): float(found["value"][1]) for found in answer["data"]["result"]}


def errors_of(aggregator: Aggregator) -> dict[str, str]:
    targets = aggregator.get("/api/v1/targets")["data"]["activeTargets"]
    return {target["labels"]["node"]: target["lastError"] for target in targets}


def memory(aggregator: Aggregator, field: str) -> int:
    """``VmRSS`` or ``VmHWM`` (the most since the last ``forget_most``) in bytes."""
    text = Path(f"/proc/{aggregator.process.pid}/status").read_text()
    found = re.search(rf"^{field}:\s+(\d+) kB$", text, re.MULTILINE)
    assert found
    return int(found[1]) * 1024


def forget_most(aggregator: Aggregator) -> None:
    Path(f"/proc/{aggregator.process.pid}/clear_refs").write_text("5")


@contextlib.contextmanager
def black_hole(host: str) -> Iterator[tuple[str, int]]:
    """A place whose connections are never answered: its queue is full, so the kernel drops what comes."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind((host, 0))
        listener.listen(0)
        for _ in range(4):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
        yield listener.getsockname()


async def test_nodes_that_misbehave_cost_themselves_only(aggregator: Aggregator, phone: HttpReceiver) -> None:
    good = hs.answer(PAGE.encode())
    bomb = hs.bomb(100 * MEBIBYTE)
    counted: list[int] = []
    bad = {
        "GARBAGE": (hs.garbage_bytes, "the answer is not HTTP"),
        "NOPAGE": (hs.answer(b"<html>hello</html>\n"), "line 1: "),
        "CUT": (hs.answer(PAGE.encode()[:-20], length=len(PAGE)), "in the middle of the page"),
        "CHUNKS": (hs.cut_chunks, "the connection "),
        "HANGS": (hs.hang, "no complete answer within 1s"),
        "DRIPS": (hs.slow_drip, "no complete answer within 1s"),
        "HUGE": (hs.endless(100 * MEBIBYTE, counted), "larger than 10485760 bytes"),
        "BOMB": (hs.answer(bomb, headers="Content-Encoding: gzip\r\n"), "larger than 10485760 bytes"),
        "GONE": (hs.hang_up, "closed the connection without an answer"),
    }
    async with AsyncExitStack() as stack:
        one = stack.enter_context(NodePage())
        hosts = {name: f"127.0.0.{number}" for number, name in enumerate(bad, 11)}
        servers = {name: await stack.enter_async_context(hs.hostile(good, host)) for name, host in hosts.items()}
        places = {name: (hosts[name], server.port) for name, server in servers.items()}
        places |= {"HOLE": stack.enter_context(black_hole("127.0.0.9")), "SHUT": ("127.0.0.8", 9)}
        await asyncio.to_thread(write_config, aggregator.config, node_port=one.port, url=phone.url())
        add_nodes(aggregator.config, places)
        await asyncio.to_thread(aggregator.start)
        await asyncio.sleep(3)
        forget_most(aggregator)
        before = memory(aggregator, "VmRSS")

        for name, (behaviour, _) in bad.items():
            servers[name].behaviour = behaviour
        await asyncio.sleep(10)
        up = {"ONE": 1, **dict.fromkeys([*bad, "HOLE", "SHUT"], 0)}
        await asyncio.to_thread(until, lambda: value(aggregator, 'up{job="node"}') == up)
        said = await asyncio.to_thread(errors_of, aggregator)
        for name, (_, words) in bad.items():
            assert words in said[name], name
        assert said["SHUT"] == "cannot connect to 127.0.0.8:9: Connection refused"
        assert said["HOLE"] == "no complete answer within 1s"
        # The good one was not late once: ten frames in ten seconds.
        frames = await asyncio.to_thread(value, aggregator, 'count_over_time(up{node="ONE"}[9s])')
        assert frames["ONE"] >= 8 - await asyncio.to_thread(slack)
        assert (await asyncio.to_thread(value, aggregator, 'min_over_time(up{node="ONE"}[10s])'))["ONE"] == 1
        assert counted[0] < 40 * MEBIBYTE  # what fits into socket buffers is sent, the rest is never read
        # Two pages of at most 10 MiB at a time, and both are let go of again.
        assert memory(aggregator, "VmHWM") - before < 45 * MEBIBYTE
        assert memory(aggregator, "VmRSS") - before < 30 * MEBIBYTE

        for server in servers.values():
            server.behaviour = good
        await asyncio.to_thread(until, lambda: value(aggregator, 'sum(up{job="node"})') == {"": 1 + len(bad)})
        assert await asyncio.to_thread(aggregator.stop) == 0


def test_an_exporter_that_is_stopped_or_restarted(aggregator: Aggregator, phone: HttpReceiver) -> None:
    with NodePage() as one, exporter("--listen", "127.0.0.2:0") as real:
        write_config(aggregator.config, node_port=one.port, url=phone.url())
        add_nodes(aggregator.config, {"REAL": ("127.0.0.2", int(real.url.rpartition(":")[2]))})
        aggregator.start()
        until(lambda: value(aggregator, "up") == {"ONE": 1, "REAL": 1})
        real.process.send_signal(signal.SIGSTOP)
        began = time.monotonic()
        until(lambda: value(aggregator, "up") == {"ONE": 1, "REAL": 0})
        assert time.monotonic() - began < 10 + slack()
        assert errors_of(aggregator)["REAL"] == "no complete answer within 1s"
        phone.wait_for(1, 10)
        real.process.send_signal(signal.SIGCONT)
        phone.wait_for(2, 15)
        assert [title.split()[0:2] for title in phone.titles()] == [["DOWN", "REAL"], ["RESOLVED", "REAL"]]


def test_a_short_restart_of_an_exporter_is_no_news(aggregator: Aggregator, phone: HttpReceiver) -> None:
    with NodePage() as node:
        write_config(aggregator.config, node_port=node.port, url=phone.url())
        alerting = aggregator.config / "alerting.yaml"
        slower = "timing: {scrape_interval: 4s, scrape_timeout: 1s, evaluation_interval: 1s}"
        alerting.write_text(re.sub(r"timing: .*", slower, alerting.read_text()))
        aggregator.start()
        until(lambda: value(aggregator, "up") == {"ONE": 1})
        for _ in range(3):
            node.down()
            time.sleep(0.5)
            node.up()
            time.sleep(4)
        assert phone.titles() == []


def test_a_storm_of_alerts_is_one_message_a_group_whatever_their_labels_say(
    aggregator: Aggregator, phone: HttpReceiver
) -> None:
    things = "".join(f'thing{{what="{ODD_WRITTEN}",n="{n}"}} 1\n' for n in range(200))
    with NodePage(PAGE + things) as one, NodePage(PAGE + things, "127.0.0.2") as two:
        write_config(aggregator.config, node_port=one.port, url=phone.url(), rules=THING)
        add_nodes(aggregator.config, {"TWO": ("127.0.0.2", two.port)})
        phone.down()
        aggregator.start()
        until(lambda: len(aggregator.get("/api/v1/alerts")["data"]["alerts"]) == 400)
        assert {alert["labels"]["what"] for alert in aggregator.get("/api/v1/alerts")["data"]["alerts"]} == {ODD}
        quoted = json.dumps(ODD, ensure_ascii=False)
        found = aggregator.get(f"/api/v1/query?query={urllib.parse.quote(f'count(thing{{what={quoted}}})')}")
        assert found["data"]["result"][0]["value"][1] == "400"
        until(lambda: aggregator.own_metric('tierwatch_notifications_waiting{receiver="phone"}') == 2)
        one.page = two.page = PAGE
        until(lambda: aggregator.own_metric('tierwatch_notifications_waiting{receiver="phone"}') == 4)
        time.sleep(3)
        phone.up()
        phone.wait_for(4, 60)
        time.sleep(2)
    titles = phone.titles()
    assert titles[:2] == ["200 alerts on ONE", "200 alerts on TWO"] or titles[:2] == [
        "200 alerts on TWO",
        "200 alerts on ONE",
    ]
    assert [title.split(" on ")[0] for title in titles[2:]] == ["RESOLVED 200 alerts"] * 2
    for post in phone.posts:
        assert len(post.json["message"]) <= 1000
        assert "…and 194 more" in post.json["message"]
        assert "http://hub.test:9190" in post.json["message"]
    assert "ä→🔥 {{ $x }} is wrong" in phone.posts[0].json["message"]
    assert "\\back next <img src=x onerror=alert(1)> &amp;" in phone.posts[0].json["message"]


async def test_markup_in_labels_and_infinite_readings_do_no_harm_to_the_page(
    aggregator: Aggregator, phone: HttpReceiver
) -> None:
    page = PAGE.replace("48.5", "+Inf") + f'thing{{what="{ODD_WRITTEN}"}} 1\n'
    with NodePage(page) as node:
        await asyncio.to_thread(write_config, aggregator.config, node_port=node.port, url=phone.url(), rules=THING)
        await asyncio.to_thread(aggregator.start)
        async with browser() as tab:
            await tab.open(aggregator.url)
            await tab.wait_for("document.querySelector('.alert .summary') !== null")
            shown = await tab.ask("document.querySelector('.alert .summary').textContent")
            assert shown == f"{ODD} is wrong"
            assert await tab.ask("document.querySelectorAll('img').length") == 0
            assert "unknown" in await tab.ask("document.querySelector('#node-ONE').textContent")
            assert tab.errors == []


def test_a_hundred_browsers(aggregator: Aggregator, phone: HttpReceiver) -> None:
    with NodePage() as node, contextlib.ExitStack() as stack:
        write_config(aggregator.config, node_port=node.port, url=phone.url())
        aggregator.start()
        before = memory(aggregator, "VmRSS")
        host, _, port = aggregator.url.removeprefix("http://").partition(":")
        answers: dict[str, int] = {}
        for _ in range(100):
            line = stack.enter_context(socket.create_connection((host, int(port)), timeout=5 * PATIENCE))
            line.sendall(b"GET /page/stream HTTP/1.1\r\nHost: hub\r\n\r\n")
            status = line.recv(12).decode()
            answers[status] = answers.get(status, 0) + 1
        assert answers == {"HTTP/1.1 200": 32, "HTTP/1.1 503": 68}
        time.sleep(6)  # nobody reads what is sent
        began = time.monotonic()
        frames = value(aggregator, 'count_over_time(up{node="ONE"}[5s])')["ONE"]
        took, late = time.monotonic() - began, slack()
        assert frames >= 4 - late
        assert took < 1 + late
        assert memory(aggregator, "VmRSS") - before < 15 * MEBIBYTE
        assert aggregator.own_metric("tierwatch_page_viewers") == 32
        node.down()
        phone.wait_for(1, 10)
        assert aggregator.stop() == 0


def test_a_storm_of_reloads(aggregator: Aggregator, phone: HttpReceiver) -> None:
    with NodePage() as node:
        write_config(aggregator.config, node_port=node.port, url=phone.url())
        aggregator.start()
        for _ in range(100):
            aggregator.reload()
            time.sleep(0.005)
        until(lambda: aggregator.log.read_text().count("configuration taken") >= 2)
        time.sleep(3)
        assert aggregator.log.read_text().count("configuration taken") <= 4
        node.down()
        phone.wait_for(1, 10)
        aggregator.reload()
        began = time.monotonic()
        assert aggregator.stop() == 0
        assert time.monotonic() - began < 8


def test_a_reload_that_removes_a_node_ends_its_alerts(aggregator: Aggregator, phone: HttpReceiver) -> None:
    with NodePage() as one:
        write_config(aggregator.config, node_port=one.port, url=phone.url())
        without = (aggregator.config / "cluster.yaml").read_text()
        add_nodes(aggregator.config, {"TWO": ("127.0.0.2", 9)})
        aggregator.start()
        phone.wait_for(1, 15)
        (aggregator.config / "cluster.yaml").write_text(without)
        aggregator.reload()
        phone.wait_for(2, 15)
        time.sleep(2)
        assert [title.split()[0:2] for title in phone.titles()] == [["DOWN", "TWO"], ["RESOLVED", "TWO,"]]
        assert value(aggregator, "up") == {"ONE": 1}
        status = aggregator.get("/page/status.json")
        assert [node["name"] for tier in status["tiers"] for node in tier["nodes"]] == ["ONE"]
        assert status["verdict"]["state"] == "ok"


def test_a_reload_with_a_url_that_apprise_does_not_know_keeps_the_old_one(
    aggregator: Aggregator, phone: HttpReceiver
) -> None:
    with NodePage() as node:
        write_config(aggregator.config, node_port=node.port, url=phone.url())
        aggregator.start()
        alerting = aggregator.config / "alerting.yaml"
        alerting.write_text(alerting.read_text().replace("json://127.0.0.1", "sesame://very-secret-token@127.0.0.1"))
        aggregator.reload()
        until(lambda: aggregator.own_metric("tierwatch_config_last_reload_successful") == 0)
        (note,) = [note for note in aggregator.get("/page/status.json")["notes"] if "not taken" in note]
        assert 'Apprise knows no service "sesame://"' in note
        node.down()
        phone.wait_for(1, 15)
        everything = aggregator.log.read_text() + json.dumps(aggregator.get("/api/v1/status/config")) + note
        assert "very-secret-token" not in everything


@pytest.mark.parametrize("kind", ["garbage", "cut", "empty"])
def test_damaged_files_do_not_stop_the_start(aggregator: Aggregator, phone: HttpReceiver, kind: str) -> None:
    with NodePage() as node:
        write_config(aggregator.config, node_port=node.port, url=phone.url())
        aggregator.start()
        node.down()
        phone.wait_for(1, 15)
        until(lambda: aggregator.own_metric('tierwatch_notifications_delivered_total{receiver="phone"}') == 1)
        assert aggregator.stop() == 0
        for name in ("metrics.db", "alerts.db", "states.db"):
            path = aggregator.data / name
            whole = path.read_bytes()
            bad = {"garbage": os.urandom(len(whole)), "cut": whole[: len(whole) // 2], "empty": b""}[kind]
            path.write_bytes(bad)
        aggregator.start()
        assert "Traceback" not in aggregator.log.read_text()
        phone.wait_for(2, 15)  # what was told is forgotten: it is told again rather than never
        node.up()
        phone.wait_for(3, 15)
        assert [title.split()[0] for title in phone.titles()] == ["DOWN", "DOWN", "RESOLVED"]
        kept = sorted(path.name.partition(".corrupt-")[0] for path in aggregator.data.glob("*.corrupt-*"))
        assert kind == "empty" or {"metrics.db", "alerts.db", "states.db"} <= set(kept)


def own_mounts(script: str) -> tuple[str, ...]:
    """Runs the rest of the command in a mount namespace of its own, after ``script``; skips where that is forbidden."""
    words = ("unshare", "--mount", "--map-root-user", "--user") if os.getuid() else ("unshare", "--mount")
    if shutil.which("unshare") is None or subprocess.run([*words, "true"], check=False).returncode:
        lacking("mount namespaces are not allowed here")
    return (*words, "sh", "-c", f'{script} && exec "$@"', "sh")


def test_a_full_disk_is_survived_and_what_happened_is_told_once_there_is_room(
    aggregator: Aggregator, phone: HttpReceiver
) -> None:
    aggregator.data.mkdir()
    aggregator.prefix = own_mounts(f"mount -t tmpfs -o size=3m tmpfs {aggregator.data}")
    with NodePage() as node:
        write_config(aggregator.config, node_port=node.port, url=phone.url())
        aggregator.start()
        filler = Path(f"/proc/{aggregator.process.pid}/root{aggregator.data}/filler")
        with contextlib.suppress(OSError), filler.open("wb", buffering=0) as file:
            while True:
                file.write(b"\0" * 4096)
        node.down()
        until(lambda: "full" in aggregator.log.read_text())
        until(lambda: value(aggregator, "up") == {"ONE": 0})
        time.sleep(5)  # it goes on, and says it once
        assert aggregator.process.poll() is None
        assert value(aggregator, "up") == {"ONE": 0}
        until(lambda: bool(aggregator.get("/page/status.json")["verdict"]["state"] == "critical"))
        assert len(aggregator.log.read_text().splitlines()) < 200
        filler.unlink()
        phone.wait_for(1, 15)
        node.up()
        phone.wait_for(2, 15)
        time.sleep(1)
        assert [title.split()[0] for title in phone.titles()] == ["DOWN", "RESOLVED"]
        assert aggregator.stop() == 0


@pytest.mark.parametrize("kind", ["file", "read-only", "no-room"])
def test_a_data_folder_that_cannot_be_used_is_named(aggregator: Aggregator, phone: HttpReceiver, kind: str) -> None:
    write_config(aggregator.config, node_port=9, url=phone.url())
    if kind == "file":
        aggregator.data.write_text("")
    else:
        aggregator.data.mkdir()
        options = "ro" if kind == "read-only" else "size=4k"
        aggregator.prefix = own_mounts(f"mount -t tmpfs -o {options} tmpfs {aggregator.data}")
    aggregator.launch()
    assert aggregator.process.wait(30 * PATIENCE) == 1
    text = aggregator.log.read_text()
    assert f"tierwatch aggregator: {aggregator.data}" in text
    assert {"file": "File exists", "read-only": "Read-only", "no-room": "no room"}[kind] in text
    assert "Traceback" not in text
