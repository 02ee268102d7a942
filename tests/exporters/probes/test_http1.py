from __future__ import annotations

import asyncio

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from exporters.probes.http1 import MAX_BODY, HttpClient, Response, basic
from exporters.probes.stream import Endpoint
from exporters.probes.verdict import Reason, Unwell
from tests.exporters.probes.servers import Exchange, FakeServer, running
from tests.exporters.probes.support import LONG


def saying(*answers: bytes) -> Exchange:
    """One answer for each request, then the end."""
    left = list(answers)

    async def exchange(reader: asyncio.StreamReader) -> bytes | None:
        await reader.readuntil(b"\r\n\r\n")
        return left.pop(0) if left else None

    return exchange


def saying_and_ending(answer: bytes) -> Exchange:
    """One answer, then the end of the connection."""
    left = [answer]

    async def exchange(reader: asyncio.StreamReader) -> bytes | None:
        if not left:
            return None
        await reader.readuntil(b"\r\n\r\n")
        return left.pop()

    return exchange


def client(server: FakeServer) -> HttpClient:
    return HttpClient(Endpoint(("127.0.0.1",), server.port))


async def get(answer: bytes, prefix: int | None = None) -> Response:
    async with running(lambda: saying(answer)) as server:
        asked = client(server)
        try:
            async with asyncio.timeout(LONG):
                return await asked.get("/", prefix=prefix)
        finally:
            asked.close()


@pytest.mark.parametrize(
    ("answer", "body"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", b"hello"),
        (b"HTTP/1.1 200\r\ncontent-length:5\r\n\r\nhello", b"hello"),
        (b"HTTP/1.1 204 No Content\r\n\r\n", b""),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2;x=y\r\nlo\r\n0\r\nA: b\r\n\r\n",
            b"hello",
        ),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", b"hi"),
    ],
)
async def test_bodies(answer: bytes, body: bytes) -> None:
    assert (await get(answer)).body == body


async def test_a_body_whose_end_is_the_end_of_the_connection() -> None:
    async with running(lambda: saying_and_ending(b"HTTP/1.0 200 OK\r\n\r\nhello")) as server:
        asked = client(server)
        assert (await asked.get("/")).body == b"hello"
        assert asked.connection is None


@pytest.mark.parametrize(
    "answer",
    [
        b"SSH-2.0-OpenSSH_9.2p1\r\n\r\n",
        b"HTTP/1.1 2000 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: " + b"9" * 30 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-3\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhelxx",
        b"HTTP/1.1 100 Continue\r\n\r\n" * 6,
        b"HTTP/1.1 200 OK\r\nX: " + b"x" * 200_000,
    ],
)
async def test_what_is_no_http(answer: bytes) -> None:
    with pytest.raises(Unwell) as found:
        await get(answer)
    assert found.value.reason is Reason.GARBAGE


async def test_a_body_that_is_too_large_is_not_read() -> None:
    length = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (MAX_BODY + 1)
    piece = b"10000\r\n" + b"x" * 65536 + b"\r\n"
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + piece * 20
    for answer in (length, chunked):
        with pytest.raises(Unwell) as found:
            await get(answer)
        assert found.value.reason is Reason.TOO_LARGE


async def test_a_prefix_is_all_that_is_read() -> None:
    length = b"HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\nhello world"
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfffff\r\nhello world"
    for answer in (length, chunked):
        assert (await get(answer, prefix=5)).body == b"hello"


async def test_a_kept_connection_that_the_server_ended_is_made_anew() -> None:
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
    async with running(lambda: saying(answer)) as server:
        asked = client(server)
        for number in range(1, 4):
            assert (await asked.get("/")).body == b"ok"
            assert server.accepted == number
        asked.close()


async def test_connection_close_is_heeded() -> None:
    answer = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok"
    async with running(lambda: saying(answer)) as server:
        asked = client(server)
        await asked.get("/")
        assert asked.connection is None
        assert await server.empty()


async def test_the_second_address_is_asked_when_the_first_refuses() -> None:
    async with running(lambda: saying(b"HTTP/1.1 204 X\r\n\r\n")) as server:
        asked = HttpClient(Endpoint(("127.0.0.2", "127.0.0.1"), server.port))
        assert (await asked.get("/")).status == 204
        asked.close()


@given(st.binary(max_size=300))
@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
def test_no_bytes_are_taken_for_more_than_they_are(data: bytes) -> None:
    """Any bytes end in an answer or in an error that is told; never in another exception, never in waiting."""

    async def ask() -> None:
        async with running(lambda: saying_and_ending(b"HTTP/1.1 200 OK\r\n" + data)) as server:
            asked = client(server)
            try:
                async with asyncio.timeout(LONG):
                    await asked.get("/")
            except TimeoutError:
                pytest.fail("it waits for what cannot come")
            except (Unwell, OSError, EOFError):
                pass
            finally:
                asked.close()

    asyncio.run(ask())


def test_basic_authentication() -> None:
    assert basic("Aladdin", "open sesame") == {"Authorization": "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="}
    assert basic("", "x") == {}
