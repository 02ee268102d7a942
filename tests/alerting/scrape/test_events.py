"""Reading a stream of events: any cut of the bytes gives the same messages; what was not told is found."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerting.scrape.events import MAX_LINE, Message, Numbers, Reader, StreamError

STREAM = (
    b"id: 17\nevent: hello\ndata: 8f3a 1\n\n: a comment\n\nid: 20\nevent: change\ndata: 3 container unit\n\n"
    b"id: 20\r\nevent: beat\r\ndata:\r\n\r\nretry: 5\nevent: later\nid: x\n\nid:21\nevent:change\ndata:1 kernel\n\n"
)
MESSAGES = [
    Message("hello", 17, speaker="8f3a"),
    Message("change", 20, count=3),
    Message("beat", 20),
    Message("change", 21, count=1),
]


@given(st.lists(st.integers(0, len(STREAM)), max_size=12))
def test_any_cut_of_the_bytes_gives_the_same_messages(cuts: list[int]) -> None:
    reader, found = Reader(), []
    places = [0, *sorted(cuts), len(STREAM)]
    for start, end in pairwise(places):
        found += reader.feed(STREAM[start:end])
    # Of an event that is not known, not even the number is looked at.
    assert found == MESSAGES


@pytest.mark.parametrize(
    "data",
    [
        b"x" * (MAX_LINE + 1),
        b"event: beat\nid: -1\n\n",
        b"event: beat\n\n",
        b"event: change\nid: 5\ndata: many\n\n",
        b"event: change\nid: 99999999999999999999\ndata: 1\n\n",
        "event: beat\nid: ٣\n\n".encode(),
    ],
)
def test_what_is_no_stream_of_ours_is_refused(data: bytes) -> None:
    with pytest.raises(StreamError):
        Reader().feed(data)


@given(st.lists(st.binary(max_size=200)))
def test_garbage_is_refused_or_means_nothing(pieces: list[bytes]) -> None:
    reader = Reader()
    try:
        for piece in pieces:
            reader.feed(piece)
    except StreamError:
        pass


def test_changes_that_were_not_told_are_counted() -> None:
    numbers = Numbers()
    told = [
        (Message("hello", 5, speaker="a"), 0),
        (Message("change", 7, count=2), 0),
        (Message("beat", 7), 0),
        (Message("change", 10, count=1), 2),
        (Message("beat", 12), 2),
        # The stream broke and one change came meanwhile; then the exporter started anew.
        (Message("hello", 13, speaker="a"), 1),
        (Message("hello", 40, speaker="b"), 0),
        (Message("beat", 40), 0),
    ]
    assert [numbers.missed(message) for message, _ in told] == [missed for _, missed in told]
