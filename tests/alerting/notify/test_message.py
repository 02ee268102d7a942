"""Golden messages: ``tests/golden/notifications.txt`` is what the phone shows. Rewrite it with TIERWATCH_GOLDEN=1."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping
from datetime import UTC, timedelta, timezone
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerting.model.alert import Alert
from alerting.model.labels import Labels
from alerting.notify.message import BODY_CHARACTERS, TITLE_CHARACTERS, compose, duration, late
from alerting.notify.notice import Notice, Reason
from config.cluster import Cluster
from config.load import load_cluster

TESTS = Path(__file__).resolve().parents[2]
GOLDEN = TESTS / "golden" / "notifications.txt"
# Tuesday, 14 November 2023, 22:13:20 UTC.
NOW = 1_700_000_000_000
LINK = "http://10.0.0.9:9190"


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Cluster:
    folder = tmp_path_factory.mktemp("cluster")
    shutil.copy(TESTS / "fixtures" / "notify" / "cluster.yaml", folder)
    return load_cluster(folder)


def alert(
    alertname: str, seconds: int = 20, over: int | None = None, texts: Mapping[str, str] | None = None, **labels: str
) -> Alert:
    """Firing since ``seconds`` before now; with ``over``, ended so many seconds after it began."""
    start = NOW - seconds * 1000
    return Alert(
        labels=Labels.of({"alertname": alertname, **labels}),
        annotations=texts or {},
        state="firing" if over is None else "resolved",
        value=1.0,
        active_ms=start,
        fired_ms=start,
        resolved_ms=None if over is None else start + over * 1000,
    )


def notice(
    *firing: Alert,
    known: tuple[Alert, ...] = (),
    resolved: tuple[Alert, ...] = (),
    hidden: tuple[Alert, ...] = (),
    around: tuple[Alert, ...] = (),
    reason: Reason = "firing",
) -> Notice:
    every = (*firing, *known)
    return Notice(
        group_key="g",
        receiver="phone",
        group_labels=Labels.of(),
        reason=reason,
        firing=every,
        fresh=frozenset(one.fingerprint for one in firing) if reason == "firing" else frozenset(),
        resolved=resolved,
        hidden=hidden,
        around={one.fingerprint: one for one in (*every, *hidden, *around)},
    )


AGX0 = alert(
    "NodeDown",
    node="AGX0",
    severity="critical",
    texts={"summary": "AGX0 does not answer", "action": "Look at its power and its network cable."},
)
HOT = alert(
    "Hot",
    90_000,
    node="PI31",
    severity="warning",
    texts={"summary": "PI31 is at 84 °C", "description": "It throttles."},
)
FULL = alert("DiskFull", 400, node="PI31", severity="critical", texts={"summary": "The disk of PI31 is 97% full."})


def ollama(alertname: str, summary: str = "", seconds: int = 20, over: int | None = None) -> Alert:
    """One of several alerts that say that the same service is down."""
    texts = {"summary": summary} if summary else {}
    return alert(alertname, seconds, over, texts, node="AGX0", service="ollama", severity="critical", impact="service")


HIDDEN = (
    alert("ContainerDown", node="AGX0", name="a"),
    alert("ContainerDown", node="AGX0", name="b"),
    alert("OllamaDown"),
)

CASES: dict[str, Callable[[], Notice]] = {
    "a node is down": lambda: notice(AGX0),
    "a node is down and hides others": lambda: notice(AGX0, hidden=HIDDEN),
    "the second of two that back each other up": lambda: notice(alert("NodeDown", node="ORIN0"), around=(AGX0,)),
    "an alert that says by label that its node is gone": lambda: notice(alert("Unplugged", node="GATE", impact="node")),
    "two nodes are down": lambda: notice(AGX0, alert("NodeDown", 25, node="ORIN0", severity="critical")),
    "a service is down": lambda: notice(alert("OllamaDown", service="AGX0/ollama", severity="critical")),
    "part of a split without failover": lambda: notice(alert("RedisDown", service="PI31/two", impact="service")),
    "a service alert that takes nothing away": lambda: notice(
        alert("ModelMissing", node="AGX0", service="ollama", severity="critical", impact="none")
    ),
    "a service by its name on a node": lambda: notice(
        alert("ServicePageDown", node="AGX0", service="ollama", severity="warning", subject="service")
    ),
    "one cause for many nodes": lambda: notice(
        alert("ClusterUnreachable", severity="critical", texts={"summary": "2 nodes stopped answering"}),
        hidden=(AGX0, alert("NodeDown", node="GATE")),
    ),
    "a warning": lambda: notice(HOT),
    "several on one node": lambda: notice(HOT, FULL),
    "a new one beside a known one": lambda: notice(FULL, known=(HOT,)),
    "a new one while another ends": lambda: notice(FULL, resolved=(alert("Hot", 300, 200, node="PI31"),)),
    "nothing known about it": lambda: notice(alert("Strange")),
    "more than anybody reads": lambda: notice(*(alert(f"A{n}", n, node=f"n{n % 5}") for n in range(20))),
    "a node is back": lambda: notice(resolved=(alert("NodeDown", 300, 200, node="AGX0"),), reason="resolved"),
    "a node is back, another is not": lambda: notice(
        resolved=(alert("NodeDown", 300, 200, node="AGX0"),),
        around=(alert("NodeDown", node="ORIN0"),),
        reason="resolved",
    ),
    "several are over": lambda: notice(
        resolved=tuple(alert("Hot", 90_000, 89_000 + n, node=f"PI3{n}") for n in range(8)), reason="resolved"
    ),
    "a service that is down for another reason now": lambda: notice(
        ollama("ServiceDown", "AGX0: ollama is down"),
        resolved=(ollama("ContainerDied", "AGX0: ollama died, ollama is down.", 200, 180),),
    ),
    "a service that is down for another reason, and one that is back": lambda: notice(
        ollama("ServiceDown", "AGX0: ollama is down"),
        resolved=(
            ollama("ContainerDied", "AGX0: ollama died, ollama is down", 200, 180),
            alert("ServiceDown", 100, 60, service="ORIN0/sonarqube", subject="service"),
        ),
    ),
    "one reason is over, another is hidden": lambda: notice(
        resolved=(ollama("ContainerDied", seconds=200, over=200),),
        around=(ollama("ServiceDown"),),
        reason="resolved",
    ),
    "still down": lambda: notice(known=(alert("NodeDown", 45_000, node="AGX0"),), reason="repeat"),
}


def test_golden_messages(cluster: Cluster) -> None:
    parts = []
    for name, make in CASES.items():
        message = compose(make(), cluster, NOW, external_url=LINK, zone=UTC)
        parts.append(f"=== {name} ({message.kind})\n{message.title}\n---\n{message.body}\n")
    text = "\n".join(parts)
    if os.environ.get("TIERWATCH_GOLDEN"):
        GOLDEN.write_text(text)
    assert text == GOLDEN.read_text()


def test_times_are_local(cluster: Cluster) -> None:
    message = compose(notice(AGX0), cluster, NOW, zone=timezone(timedelta(hours=2)))
    assert "since 00:13:00 (20s)" in message.body
    assert LINK not in message.body


@pytest.mark.parametrize(
    ("milliseconds", "text"),
    [
        (-5, "0s"),
        (999, "0s"),
        (20_000, "20s"),
        (200_000, "3m20s"),
        (840_000, "14m"),
        (845_000, "14m"),
        (3_600_000, "1h"),
        (3_660_000, "1h1m"),
        (90_000_000, "1d1h"),
    ],
)
def test_durations_as_people_say_them(milliseconds: int, text: str) -> None:
    assert duration(milliseconds) == text


def test_late_delivery_says_so() -> None:
    assert late("text", NOW, NOW + 59_999) == "text"
    assert late("text", NOW, NOW + 14 * 60_000) == "(delayed 14m)\ntext"
    assert late("text", NOW, NOW - 5) == "text"


_TEXT = st.text(max_size=30) | st.sampled_from(
    ["x" * 1200, "a b\n" * 300, "\x00\x1b[31m\u2028", "AGX0", "AGX0/ollama", "é" * 119]
)


@given(texts=st.lists(_TEXT, min_size=6, max_size=6), number=st.integers(1, 12), ended=st.booleans())
def test_whatever_alerts_say_a_message_is_bounded_plain_and_has_its_link(
    cluster: Cluster, texts: list[str], number: int, ended: bool
) -> None:
    name, node, service, summary, action, site = texts
    notes = {"summary": summary, "action": action}
    alerts = tuple(
        alert(name, n, 5 if ended else None, notes, node=node, service=service, n=str(n), severity="critical")
        for n in range(number)
    )
    what = notice(resolved=alerts, reason="resolved") if ended else notice(*alerts, hidden=alerts)
    message = compose(what, cluster, NOW, external_url=LINK, external_labels={"site": site}, zone=UTC)
    assert "\nFrom site=" in message.body
    assert 0 < len(message.title) <= TITLE_CHARACTERS
    assert len(message.body) <= BODY_CHARACTERS
    assert message.body.endswith(LINK)
    assert not any(ord(character) < 32 for character in message.title + message.body.replace("\n", ""))
    assert len(message.body.split("\n")) <= 30


def test_what_to_do_about_the_worst_comes_first_and_stays_with_what_is_known_of_it(cluster: Cluster) -> None:
    low = {"summary": "memory is low", "action": "free -m", "description": "Little is left."}
    died = {"summary": "web died", "action": "docker start web", "description": "Exit code 1."}
    slight = alert("MemoryLow", node="AGX0", severity="warning", texts=low)
    grave = alert("ContainerDied", node="AGX0", severity="critical", service="web", impact="service", texts=died)
    message = compose(notice(slight, grave), cluster, NOW)
    assert message.title == "DOWN AGX0/web +1"
    lines = message.body.splitlines()
    wanted = ["Do: docker start web", "Exit code 1.", "Do: free -m", "Little is left."]
    assert [line for line in lines if line in wanted] == wanted


def test_what_it_means_comes_before_the_long_tail(cluster: Cluster) -> None:
    long = tuple(alert(f"A{n}", texts={"summary": f"{n} " + "x" * 300}, node="AGX0") for n in range(6))
    body = compose(notice(AGX0, *long), cluster, NOW, external_url=LINK, zone=UTC).body
    assert "Chat degraded" in body
    assert body.index("Chat degraded") < body.index("2 x")
