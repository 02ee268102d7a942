"""Answers as servers write them, cut anywhere, damaged anyhow."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerting.scrape import answer as answer_module
from alerting.scrape.answer import MAX_CHUNK_LINE, MAX_HEAD_BYTES, MAX_INTERIM, Answer
from alerting.scrape.source import ScrapeError

LIMIT = 1000


@dataclass(frozen=True)
class Written:
    """An answer's bytes and what they mean."""

    data: bytes
    body: bytes
    gzip: bool
    reusable: bool
    ends_by_closing: bool


def chunked(body: bytes, sizes: list[int], end: bytes, extension: bytes, trailer: bytes) -> bytes:
    out, at = b"", 0
    for size in sizes:
        if piece := body[at : at + size]:
            out += b"%X" % len(piece) + extension + end + piece + end
            at += size
    if rest := body[at:]:
        out += b"%x" % len(rest) + end + rest + end
    return out + b"0" + end + trailer + end


@st.composite
def answers(draw: st.DrawFn) -> Written:
    end = draw(st.sampled_from([b"\r\n", b"\n"]))
    body = draw(st.binary(max_size=200))
    version = draw(st.sampled_from([b"1.1", b"1.0"]))
    wish = draw(st.sampled_from([b"", b"close", b"keep-alive", b"Keep-Alive, Upgrade"]))
    framing = draw(st.sampled_from(["length", "chunked", "close"]))
    gzip = draw(st.booleans())
    fields = [b"Content-Type: text/plain", b"X-Odd:\tsome: thing "]
    fields += [b"Connection: " + wish] if wish else []
    fields += [draw(st.sampled_from([b"Content-Encoding: gzip", b"content-encoding:GZIP"]))] if gzip else []
    content = body
    if framing == "length":
        fields.append(draw(st.sampled_from([b"Content-Length: ", b"CONTENT-LENGTH:"])) + b"%d" % len(body))
    elif framing == "chunked":
        fields.append(b"Transfer-Encoding: chunked")
        trailer = draw(st.sampled_from([b"", b"X-Sum: 1" + end]))
        content = chunked(body, draw(st.lists(st.integers(1, 50), max_size=8)), end, b";a=b", trailer)
    interim = draw(st.sampled_from([b"", b"HTTP/1.1 100 Continue" + end * 2]))
    head = end.join([b"HTTP/" + version + b" 200 OK", *draw(st.permutations(fields))]) + end * 2
    kept = wish != b"close" and (version == b"1.1" or wish.lower().startswith(b"keep-alive"))
    return Written(interim + head + content, body, gzip, kept and framing != "close", framing == "close")


def pieces(data: bytes, cuts: list[int]) -> list[bytes]:
    places = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    return [data[start:stop] for start, stop in pairwise(places) if stop > start]


CUTS = st.lists(st.integers(0, 2000), max_size=10)


@given(answers(), CUTS)
def test_an_answer_is_the_same_however_it_is_cut(written: Written, cuts: list[int]) -> None:
    answer = Answer(LIMIT)
    told = [answer.feed(piece) for piece in pieces(written.data, cuts)]
    assert not any(told[:-1])
    assert told[-1] is not written.ends_by_closing
    answer.end(broken=False)
    assert answer.complete
    body = answer.body()
    assert (body.data, body.gzip) == (written.body, written.gzip)
    assert answer.reusable is written.reusable


@given(answers(), st.integers(0, 2000))
def test_an_answer_that_is_cut_off_is_no_page(written: Written, cut: int) -> None:
    data = written.data[: cut % len(written.data)]
    answer = Answer(LIMIT)
    if data:
        assert not answer.feed(data)
    if written.ends_by_closing and len(data) >= len(written.data) - len(written.body):
        with pytest.raises(ScrapeError, match="in the middle of the page"):
            answer.end(broken=True)
        return
    with pytest.raises(ScrapeError, match=r"without an answer|before the page began|in the middle of the page"):
        answer.end(broken=False)


@given(answers(), st.binary(min_size=1, max_size=20))
def test_what_follows_an_answer_ends_the_connection(written: Written, more: bytes) -> None:
    answer = Answer(LIMIT)
    answer.feed(written.data + more)
    assert not answer.reusable
    if not written.ends_by_closing:
        assert answer.complete
        assert answer.body().data == written.body


@given(answers(), CUTS, st.lists(st.tuples(st.integers(0, 2000), st.binary(max_size=4)), min_size=1, max_size=5))
def test_damage_is_told_or_harmless(written: Written, cuts: list[int], damages: list[tuple[int, bytes]]) -> None:
    data = bytearray(written.data)
    for place, put in damages:
        at = place % len(data)
        data[at : at + len(put)] = put
    answer = Answer(100)
    try:
        for piece in pieces(bytes(data), cuts):
            answer.feed(piece)
        answer.end(broken=False)
    except ScrapeError:
        return
    assert len(answer.body().data) <= 100


HEAD = b"HTTP/1.1 200 OK\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"SSH-2.0-OpenSSH_9.2p1\r\n", "the answer is not HTTP: it begins with b'SSH-2.0-OpenSSH_9.2p1"),
        (b"HTTP/2 200\r\n\r\n", "the answer is not HTTP: it begins with"),
        (b"HTTP/1.1 2000 OK\r\n\r\n", "the answer is not HTTP: it begins with"),
        (b"HTTP/1.1 20\xb2 OK\r\n\r\n", "the answer is not HTTP: it begins with"),
        (HEAD + b"no field\r\n\r\n", "the answer is not HTTP: expected a header field, got 'no field"),
        (HEAD + b"Content-Length : 3\r\n\r\n", "the answer is not HTTP: expected a header field"),
        (HEAD + b"Content-Length: -1\r\n\r\n", "the answer is not HTTP: Content-Length '-1' is no number"),
        (HEAD + b"Content-Length: 3, 4\r\n\r\n", "the answer is not HTTP: Content-Length '3, 4' is no number"),
        (HEAD + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n", "Content-Length '1, 2' is no number"),
        (HEAD + b"Content-Length: 1001\r\n\r\n", "the page is larger than 1000 bytes (limits.body_bytes)"),
        (HEAD + b"\r\n" + b"x" * 1001, "the page is larger than 1000 bytes (limits.body_bytes)"),
        (HEAD + b"Transfer-Encoding: gzip, chunked\r\n\r\n", "Transfer-Encoding 'gzip, chunked' is not understood"),
        (CHUNKED + b"3e9\r\n", "the page is larger than 1000 bytes (limits.body_bytes)"),
        (CHUNKED + b"-3\r\n", "the answer is not HTTP: expected the size of a chunk, got b'-3'"),
        (CHUNKED + b"0x3\r\n", "the answer is not HTTP: expected the size of a chunk"),
        (CHUNKED + b"1_0\r\n", "the answer is not HTTP: expected the size of a chunk"),
        (CHUNKED + b"\r\n", "the answer is not HTTP: expected the size of a chunk, got b''"),
        (CHUNKED + b"1\r\nab\r\n", "the answer is not HTTP: a chunk is longer than it says"),
        (CHUNKED + b"1;" + b"a" * (MAX_CHUNK_LINE + 1), "the answer is not HTTP: a line between its chunks has no end"),
        (HEAD + b"X: " + b"y" * MAX_HEAD_BYTES, f"its head is longer than {MAX_HEAD_BYTES} bytes"),
        (CHUNKED + b"0\r\n" + b"X: yyyyy\r\n" * MAX_HEAD_BYTES, "what follows its chunks is longer than"),
        (b"HTTP/1.1 100 Continue\r\n\r\n" * (MAX_INTERIM + 1), "the answer is not HTTP: it never comes to the point"),
        (b"HTTP/1.1 101 Switching Protocols\r\n\r\n", "server returned HTTP status 101 Switching Protocols"),
        (b"HTTP/1.1 503\r\n\r\n", "server returned HTTP status 503"),
        (HEAD + b"Content-Encoding: br\r\n\r\n", "server sent Content-Encoding br, which was not asked for"),
    ],
)
def test_what_is_refused_and_why(data: bytes, expected: str) -> None:
    with pytest.raises(ScrapeError) as caught:
        Answer(LIMIT).feed(data)
    assert expected in str(caught.value)


def test_a_page_as_long_as_it_may_be() -> None:
    for framed in (
        HEAD + b"Content-Length: 1000\r\n\r\n" + b"x" * 1000,
        HEAD + b"Content-Length: 1000, 1000\r\n\r\n" + b"x" * 1000,
        CHUNKED + b"3e7\r\n" + b"x" * 999 + b"\r\n1\r\nx\r\n0\r\n\r\n",
    ):
        answer = Answer(LIMIT)
        assert answer.feed(framed)
        assert answer.body().data == b"x" * 1000
        assert answer.reusable


def test_chunks_have_a_number_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answer_module, "MAX_CHUNKS", 5)
    with pytest.raises(ScrapeError, match="more than 5 chunks"):
        Answer(LIMIT).feed(CHUNKED + b"1\r\nx\r\n" * 6)


def test_a_length_beside_chunks_is_not_believed_nor_the_connection_kept() -> None:
    answer = Answer(LIMIT)
    assert answer.feed(HEAD + b"Content-Length: 900\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n")
    assert answer.body().data == b"x"
    assert not answer.reusable


def test_a_folded_field_is_one() -> None:
    answer = Answer(LIMIT)
    assert answer.feed(HEAD + b"Connection: upgrade,\r\n close\r\nContent-Length: 0\r\n\r\n")
    assert not answer.reusable
