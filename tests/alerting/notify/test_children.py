"""Real child processes: with Apprise against a receiver on loopback, and small programs that misbehave."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from alerting.notify import children
from alerting.notify.check import check_urls
from alerting.notify.children import ChildSender, Limits, environment
from alerting.notify.sender import Delivery
from config.secrets import Secret
from tests.support.receiver import HttpReceiver


@pytest.fixture
def receiver() -> Iterator[HttpReceiver]:
    with HttpReceiver() as found:
        yield found


async def test_apprise_delivers_and_failures_have_reasons(receiver: HttpReceiver) -> None:
    sender = ChildSender(Limits(deadline_s=10))
    url = Secret(receiver.url("a-secret-path?method=post"))
    await sender.prepare()
    assert sender.children == 1
    assert await sender.send(url, "Title", "<b>1 < 2</b>\nsecond line", "failure") == Delivery("delivered")
    (post,) = receiver.posts
    assert (post.path.split("?")[0], post.json["title"]) == ("/a-secret-path", "Title")
    assert (post.json["message"], post.json["type"]) == ("<b>1 < 2</b>\nsecond line", "failure")

    receiver.mode = "error"
    failed = await sender.send(url, "t", "b", "info")
    assert (failed.outcome, failed.retry) == ("failed", True)
    assert "error=500" in failed.reason
    receiver.mode = "refuse-content"
    assert not (await sender.send(url, "t", "b", "info")).retry
    receiver.down()
    down = await sender.send(url, "t", "b", "info")
    assert (down.outcome, down.retry) == ("failed", True)
    assert "127.0.0.1" in down.reason
    assert "secret" not in f"{failed}{down}"

    unknown = await sender.send(Secret("nosuch://very-secret"), "t", "b", "info")
    assert unknown == Delivery("failed", 'Apprise knows no service "nosuch://"')
    again = await sender.send(Secret(f"{receiver.url()}?retry=3"), "t", "b", "info")
    assert again.reason.startswith("retry= in the URL")
    assert sender.children == 1
    await sender.close()
    assert sender.children == 0


async def test_a_receiver_that_hangs_costs_its_own_deadline_only(receiver: HttpReceiver) -> None:
    with HttpReceiver() as other:
        sender = ChildSender(Limits(deadline_s=4.0))
        receiver.mode = other.mode = "slow"
        await asyncio.gather(*(sender.send(Secret(one.url()), "t", "b", "info") for one in (receiver, other)))
        assert sender.children == 2
        receiver.mode, other.mode = "hang", "ok"
        hanging = asyncio.ensure_future(sender.send(Secret(receiver.url("?rto=60")), "t", "b", "info"))
        async with asyncio.timeout(30):
            while receiver.tries < 2:  # noqa: ASYNC110 - a thread counts them
                await asyncio.sleep(0.01)
        assert (await sender.send(Secret(other.url()), "t", "b", "info")).outcome == "delivered"
        assert not hanging.done()
        assert await hanging == Delivery("timeout", "no answer within 4 s")
        assert sender.children == 1
        await sender.close()


async def test_a_message_waits_for_the_child_that_gets_ready(receiver: HttpReceiver) -> None:
    sender = ChildSender()
    url = Secret(receiver.url())
    _, delivery, _ = await asyncio.gather(sender.prepare(), sender.send(url, "t", "b", "info"), sender.prepare())
    assert delivery == Delivery("delivered")
    assert sender.children == 1
    await sender.close()


async def test_a_child_stops_when_idle_and_comes_back(receiver: HttpReceiver) -> None:
    sender = ChildSender(Limits(idle_s=0.05))
    for _ in range(2):
        assert (await sender.send(Secret(receiver.url()), "t", "b", "info")).outcome == "delivered"
        async with asyncio.timeout(5):
            while sender.children:  # noqa: ASYNC110 - a timer ends it
                await asyncio.sleep(0.02)
    await sender.close()


async def test_a_child_that_was_killed_while_it_waited_is_replaced(tmp_path: Path) -> None:
    started = tmp_path / "pids"
    program = (
        "import os, sys\n"
        f"print(os.getpid(), file=open({str(started)!r}, 'a'))\n"
        'for line in sys.stdin: print(\'{"outcome": "delivered"}\', flush=True)\n'
    )
    sender = ChildSender(command=(sys.executable, "-c", program))

    async def killed() -> None:
        os.kill(int(started.read_text().split()[-1]), signal.SIGKILL)
        async with asyncio.timeout(5):
            while not all(child.ended for child in sender._idle):  # noqa: ASYNC110 - the kernel tells, a moment later
                await asyncio.sleep(0.01)

    await sender.prepare()
    await sender.prepare()
    assert len(started.read_text().split()) == 1
    await killed()
    await sender.prepare()
    assert sender.children == 1
    assert len(started.read_text().split()) == 2
    await killed()
    assert await sender.send(Secret("json://x"), "t", "b", "info") == Delivery("delivered")
    assert sender.children == 1
    await sender.close()


BROKEN = [
    ("raise SystemExit(3)", "the notification worker ended before it answered"),
    ("print('nonsense', flush=True)", "the notification worker broke off (JSONDecodeError)"),
    ('print(\'{"error": "Apprise cannot be loaded"}\', flush=True)', "Apprise cannot be loaded"),
]
ENDLESS = ("print('x' * 3_000_000, flush=True)", "the notification worker broke off (ValueError)")


@pytest.mark.parametrize(("program", "reason"), [*BROKEN, ENDLESS])
async def test_a_broken_worker_is_a_failed_try(program: str, reason: str) -> None:
    sender = ChildSender(command=(sys.executable, "-c", program))
    assert await sender.send(Secret("json://x"), "t", "b", "info") == Delivery("failed", reason)
    await sender.close()
    missing = ChildSender(command=("/no/such/python",))
    assert "cannot be started" in (await missing.send(Secret("json://x"), "t", "b", "info")).reason


@pytest.mark.parametrize(("program", "reason"), BROKEN)
async def test_what_a_worker_said_before_it_ended_is_told(
    program: str, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It ends sooner than it is asked: on a busy machine the request comes late."""
    start = children._Child.start

    async def ended(command: Sequence[str]) -> children._Child:
        child = await start(command)
        await child._process.wait()
        return child

    monkeypatch.setattr(children._Child, "start", ended)
    sender = ChildSender(command=(sys.executable, "-c", program))
    assert await sender.send(Secret("json://x"), "t", "b", "info") == Delivery("failed", reason)
    await sender.close()


async def test_a_worker_that_does_not_start_is_killed() -> None:
    sender = ChildSender(Limits(start_s=0.2), command=(sys.executable, "-c", "import time; time.sleep(60)"))
    delivery = await sender.send(Secret("json://x"), "t", "b", "info")
    assert delivery.reason == "the notification worker did not start within 0.2 s"
    await sender.close()


async def test_secrets_reach_the_child_through_standard_input_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TIERWATCH_PHONE_URL", "json://very-secret")
    seen = tmp_path / "seen"
    program = (
        "import os, sys, json, pathlib\n"
        "for line in sys.stdin:\n"
        "    own = b'/proc/self/environ', b'/proc/self/cmdline'\n"
        f"    pathlib.Path({str(seen)!r}).write_bytes(b''.join(open(name, 'rb').read() for name in own))\n"
        "    print(json.dumps({'outcome': 'delivered', 'ok': 'very-secret' in line}), flush=True)\n"
    )
    sender = ChildSender(command=(sys.executable, "-c", program))
    assert (await sender.send(Secret("json://very-secret"), "t", "b", "info")).outcome == "delivered"
    await sender.close()
    assert b"PATH=" in seen.read_bytes()
    assert b"json://very" not in seen.read_bytes()
    assert "TIERWATCH_PHONE_URL" not in environment(os.environ)


async def test_cancelling_a_send_ends_its_child() -> None:
    program = "import sys, time\nsys.stdin.readline()\nprint('{}', flush=True)\ntime.sleep(60)"
    sender = ChildSender(command=(sys.executable, "-c", program))
    task = asyncio.ensure_future(sender.send(Secret("json://x"), "t", "b", "info"))
    await asyncio.sleep(0.3)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert sender.children == 0
    await sender.close()


async def test_a_child_that_is_told_to_end_delivers_what_is_on_its_way(receiver: HttpReceiver) -> None:
    sender = ChildSender()
    await sender.prepare()
    (child,) = sender._idle
    receiver.mode = "slow"
    task = asyncio.ensure_future(sender.send(Secret(receiver.url()), "t", "b", "info"))
    async with asyncio.timeout(60):
        while not receiver.tries:  # noqa: ASYNC110 - the receiver is another thread
            await asyncio.sleep(0.005)
    os.kill(child._process.pid, signal.SIGTERM)  # systemd tells all processes of a unit
    assert await task == Delivery("delivered")
    await sender.close()
    assert child.ended


def test_urls_are_checked_without_sending(receiver: HttpReceiver) -> None:
    found = check_urls(
        [
            receiver.url("secret"),
            "nosuch://very-secret",
            "tgram://12",
            "very-secret",
            "ntfys://ntfy.sh/topic?retry=2",
            "ntfys://ntfy.sh/topic",
        ]
    )
    assert found == [
        None,
        'Apprise knows no service "nosuch://"',
        "not a complete tgram:// URL of Apprise (Unparseable Telegram URL tgram://***)",
        "not an Apprise URL: expected something like ntfys://ntfy.sh/topic",
        "retry= in the URL: Tierwatch tries again by itself; take it out",
        None,
    ]
    assert receiver.tries == 0
