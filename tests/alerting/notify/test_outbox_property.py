"""Whatever receivers and the machine do, each URL hears everything, in order, once, but for one repeat a crash."""

from __future__ import annotations

import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from alerting.dispatch.store import open_database
from alerting.notify.message import Message
from alerting.notify.outbox import RETRY_MS, Outbox
from alerting.notify.sender import Delivery
from config.secrets import Secret

NOW = 1_700_000_000_000
URLS = {"phone": (Secret("json://a"), Secret("json://b")), "mail": (Secret("json://c"),)}
# What happens next: a message is queued, time passes and what is due is tried (with this luck for each URL in turn),
# the process dies between a delivery and its record, the clock jumps.
EVENTS = st.lists(
    st.one_of(
        st.tuples(st.just("queue"), st.sampled_from(["phone", "mail"])),
        st.tuples(st.just("try"), st.lists(st.booleans(), min_size=3, max_size=3)),
        st.tuples(st.just("crash"), st.integers(0, 2)),
        st.tuples(st.just("jump"), st.integers(-86_400_000, 86_400_000)),
    ),
    max_size=30,
)


@settings(max_examples=80, deadline=None)
@given(events=EVENTS)
def test_each_url_hears_everything_in_order(events: list[tuple[str, object]]) -> None:
    heard: dict[tuple[str, int], list[str]] = {("phone", 0): [], ("phone", 1): [], ("mail", 0): []}
    queued: dict[str, list[str]] = {"phone": [], "mail": []}
    crashes, now = 0, NOW
    with tempfile.TemporaryDirectory() as folder:
        database = open_database(Path(folder) / "alerts.db", NOW)
        database.pragma("synchronous=OFF")
        box = Outbox(database, URLS)

        def attempt(luck: list[bool], record: bool = True) -> None:
            for head, good in zip(box.heads(), luck, strict=False):
                if head.is_due(now):
                    if good:
                        heard[head.receiver, head.url_index].append(head.title)
                    if record:
                        box.record(head, Delivery("delivered") if good else Delivery("failed", "down"), now)

        for number, (what, how) in enumerate(events):
            if what == "queue" and isinstance(how, str):
                with database.transaction() as connection:
                    box.queue(connection, how, "g", Message(str(number), "", "info"), now)
                queued[how].append(str(number))
            elif what == "try" and isinstance(how, list):
                now += RETRY_MS
                attempt(how)
            elif what == "crash" and isinstance(how, int):
                attempt([place == how for place in range(3)], record=False)
                crashes += 1
                box = Outbox(database, URLS)
                box.adopt(URLS, now)
            elif isinstance(how, int):
                now += how
        while box.heads():
            now += RETRY_MS
            attempt([True] * 3)
        database.close()
    repeats = 0
    for (receiver, _), titles in heard.items():
        assert list(dict.fromkeys(titles)) == queued[receiver]
        assert titles == sorted(titles, key=int), "out of order"
        repeats += len(titles) - len(queued[receiver])
    assert repeats <= crashes
