"""Names, echoes, certificates, plain connections."""

from __future__ import annotations

import asyncio
import datetime
import shutil
import socket
import ssl
import struct
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import cast

import pytest

from exporters.catalog import services as catalog
from exporters.probes import certificate, dns, icmp, ping
from exporters.probes.icmp import Echoes
from exporters.probes.verdict import Reason, State, Unwell, unknown
from exporters.probes.watch import outcome
from tests.exporters.probes.support import LONG, SHORT, figure, probe, wanted
from tests.support.ports import free_port
from tests.support.serving import Connections

# DNS


class FakeDns(asyncio.DatagramProtocol):
    """Answers with ``flags`` and ``count``; ``silent``: so many questions are not answered."""

    def __init__(self, flags: int = 0x8180, count: int = 1, silent: int = 0, number: int | None = None) -> None:
        self.flags, self.count, self.silent, self.number = flags, count, silent, number
        self.questions: list[bytes] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self.questions.append(data)
        if self.silent:
            self.silent -= 1
            return
        (given,) = struct.unpack_from("!H", data)
        head = struct.pack("!6H", given if self.number is None else self.number, self.flags, 1, self.count, 0, 0)
        self.transport.sendto(head + data[12:], addr)


@asynccontextmanager
async def name_server(protocol: FakeDns, port: int = 0) -> AsyncIterator[int]:
    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
        lambda: protocol, local_addr=("127.0.0.1", port)
    )
    try:
        yield transport.get_extra_info("sockname")[1]
    finally:
        transport.close()
        await asyncio.sleep(0)


@pytest.mark.parametrize(
    ("protocol", "state", "reason"),
    [
        (FakeDns(), State.UP, None),
        (FakeDns(count=0), State.DEGRADED, Reason.DNS_FAILED),
        (FakeDns(flags=0x8182), State.DEGRADED, Reason.DNS_FAILED),  # SERVFAIL: what is behind it fails
        (FakeDns(flags=0x8183, count=0), State.DEGRADED, Reason.DNS_FAILED),  # NXDOMAIN
        (FakeDns(silent=99), State.DOWN, Reason.TIMEOUT),
        (FakeDns(number=7), State.DOWN, Reason.TIMEOUT),  # an answer to somebody else's question
        (FakeDns(flags=0x0100), State.DOWN, Reason.TIMEOUT),  # a question
    ],
)
async def test_dns(protocol: FakeDns, state: State, reason: Reason | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("secrets.randbelow", lambda _: 4711)
    async with name_server(protocol) as port:
        patience = SHORT if reason is Reason.TIMEOUT else LONG
        verdict = await outcome(probe("dns", port, query="example.org"), patience)
    assert (verdict.state, verdict.reason) == (state, reason)
    assert b"\x07example\x03org\x00\x00\x01\x00\x01" in protocol.questions[0]


async def test_a_lost_question_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dns, "AGAIN", 0.05)
    protocol = FakeDns(silent=2)
    async with name_server(protocol) as port:
        assert (await outcome(probe("dns", port, query="example.org"), LONG)).state is State.UP
    assert len(protocol.questions) == 3


async def test_a_cut_answer_is_asked_for_over_tcp() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        (size,) = struct.unpack("!H", await reader.readexactly(2))
        question = await reader.readexactly(size)
        answer = question[:2] + struct.pack("!5H", 0x8180, 1, 40, 0, 0) + question[12:]
        writer.write(struct.pack("!H", len(answer)) + answer)
        await writer.drain()

    connections = Connections(serve)
    # Both have one port: the kernel would give one that is free for datagrams alone.
    async with name_server(FakeDns(flags=0x8380), free_port()) as port:
        server = await asyncio.start_server(connections, "127.0.0.1", port)
        verdict = await outcome(probe("dns", port, query="example.org"), LONG)
        server.close()
        await connections.cut()
        await server.wait_closed()
    assert figure(verdict, catalog.DNS_ANSWERS) == 40.0


@pytest.mark.parametrize("name", ["", "a..b", "x" * 64 + ".org"])
def test_what_is_no_name(name: str) -> None:
    with pytest.raises(ValueError, match="no domain name"):
        dns.query(1, name)


# echoes


def may_ping() -> bool:
    try:
        icmp._open(socket.AF_INET)[0].close()
    except Unwell:
        return False
    return True


@pytest.mark.skipif(not may_ping(), reason="this machine grants neither kind of ICMP socket")
async def test_echoes_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    patient = partial(icmp.ping, wait=LONG)
    echoes = await patient("127.0.0.1", count=3, gap=0.01)
    assert len(echoes.times) == 3
    assert echoes.loss == 0
    monkeypatch.setattr(ping, "ping", patient)
    verdict = await outcome(probe("ping", 0), LONG)
    assert verdict.state is State.UP
    assert figure(verdict, catalog.ICMP_LOSS, "127.0.0.1") == 0.0


def test_a_packet_is_well_formed() -> None:
    packet = icmp.request(3, socket.AF_INET, b"\x12\x34567890")
    assert packet[:2] == b"\x08\x00"
    assert icmp.checksum(packet) == 0, "the sum over a packet with its checksum is none"
    reply = b"\x00" + packet[1:]
    assert icmp.reply_number(reply, socket.AF_INET, raw=False, token=b"\x12\x34567890") == 3
    assert icmp.reply_number(b"\x45" + b"\0" * 19 + reply, socket.AF_INET, raw=True, token=b"\x12\x34567890") == 3
    assert icmp.reply_number(packet, socket.AF_INET, raw=False, token=b"\x12\x34567890") is None, "our own request"
    assert icmp.reply_number(reply, socket.AF_INET, raw=False, token=b"somebody") is None
    assert icmp.reply_number(b"", socket.AF_INET, raw=True, token=b"x") is None


async def test_where_pings_are_not_permitted(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> socket.socket:
        raise PermissionError

    monkeypatch.setattr("socket.socket", refuse)
    verdict = await outcome(probe("ping", 0), LONG)
    assert (verdict.state, verdict.reason) == (State.UNKNOWN, Reason.NOT_PERMITTED)


def echoing(monkeypatch: pytest.MonkeyPatch, **received: int | None) -> None:
    """Hosts by the last number of their address: so many of five echoes came back; None: not permitted."""

    async def fake(address: str, count: int = 5) -> Echoes:
        found = received[f"h{address.rpartition('.')[2]}"]
        if found is None:
            raise unknown(Reason.NOT_PERMITTED)
        return Echoes(5, (0.001,) * found)

    monkeypatch.setattr(ping, "ping", fake)


@pytest.mark.parametrize(
    ("received", "expected"),
    [
        ({"h1": 5, "h2": 5}, (State.UP, None)),
        ({"h1": 4, "h2": 5}, (State.UP, None)),
        ({"h1": 0, "h2": 5}, (State.DEGRADED, Reason.LOSS)),
        ({"h1": 3, "h2": 3}, (State.DEGRADED, Reason.LOSS)),
        ({"h1": 0, "h2": 0}, (State.DOWN, Reason.TIMEOUT)),
    ],
)
async def test_ways_out(
    received: dict[str, int], expected: tuple[State, Reason | None], monkeypatch: pytest.MonkeyPatch
) -> None:
    echoing(monkeypatch, **received)
    verdict = await outcome(probe("wan", 0, hosts={"a": "10.0.0.1", "b": "10.0.0.2"}), LONG)
    assert (verdict.state, verdict.reason) == expected


@pytest.mark.parametrize(
    ("echoes", "flags", "expected"),
    [
        (5, 0x8180, (State.UP, None)),
        (5, 0x8182, (State.DEGRADED, Reason.DNS_FAILED)),
        (0, 0x8180, (State.UP, None)),  # it does not answer echoes, but it answers
        (0, 0x8182, (State.DOWN, Reason.TIMEOUT)),
        (3, 0x8180, (State.DEGRADED, Reason.LOSS)),
        (None, 0x8180, (State.UP, None)),
        (None, 0x8182, (State.DEGRADED, Reason.DNS_FAILED)),
    ],
)
async def test_the_router(
    echoes: int | None, flags: int, expected: tuple[State, Reason | None], monkeypatch: pytest.MonkeyPatch
) -> None:
    echoing(monkeypatch, h1=echoes)
    async with name_server(FakeDns(flags=flags)) as port:
        monkeypatch.setattr(dns, "PORT", port)
        verdict = await outcome(probe("router", 0, query="example.org"), LONG)
    assert (verdict.state, verdict.reason) == expected


async def test_who_is_present(monkeypatch: pytest.MonkeyPatch) -> None:
    echoing(monkeypatch, h1=5, h2=0)
    verdict = await outcome(probe("network-utilities", 0, hosts={"printer": "10.0.0.1", "tv": "10.0.0.2"}), LONG)
    assert verdict.state is State.UP
    assert figure(verdict, catalog.HOST_PRESENT, "printer") == 1.0
    assert figure(verdict, catalog.HOST_PRESENT, "tv") == 0.0
    verdict = await outcome(probe("network-utilities", 0, hosts={"tv": "10.0.0.2"}), LONG)
    assert verdict.state is State.UP, "everything may be switched off at night"


# certificates


def make_certificate(folder: Path, begins: str, ends: str) -> tuple[Path, Path]:
    """A self-signed one; times as 20260101000000Z."""
    key, cert, config = folder / "key.pem", folder / "cert.pem", folder / "ca"
    config.mkdir(exist_ok=True)
    (config / "index.txt").write_text("")
    (config / "serial").write_text("01\n")
    request = folder / "request.pem"
    run = ("openssl", "req", "-new", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=it", "-keyout", str(key))
    subprocess.run([*run, "-out", str(request)], check=True, capture_output=True)
    (folder / "ca.cnf").write_text(
        f"[ca]\ndefault_ca=d\n[d]\ndatabase={config}/index.txt\nserial={config}/serial\nnew_certs_dir={config}\n"
        "default_md=sha256\npolicy=p\n[p]\ncommonName=supplied\n"
    )
    sign = ("openssl", "ca", "-batch", "-selfsign", "-config", str(folder / "ca.cnf"), "-keyfile", str(key))
    dates = ("-startdate", begins, "-enddate", ends, "-in", str(request), "-out", str(cert), "-notext")
    subprocess.run([*sign, *dates], check=True, capture_output=True)
    return key, cert


@pytest.fixture(scope="module")
def today(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return make_certificate(tmp_path_factory.mktemp("tls"), "20200101000000Z", "20991231235959Z")


@asynccontextmanager
async def tls_server(key: Path, cert: Path) -> AsyncIterator[int]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while line := await reader.readline():
                if line == b"\r\n":
                    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        except OSError:
            pass

    connections = Connections(serve)
    server = await asyncio.start_server(connections, "127.0.0.1", 0, ssl=context)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        await connections.cut()
        await server.wait_closed()


needs_openssl = pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not on this machine")


@needs_openssl
async def test_a_self_signed_certificate_is_read(today: tuple[Path, Path]) -> None:
    ends = datetime.datetime(2099, 12, 31, 23, 59, 59, tzinfo=datetime.UTC).timestamp()
    async with tls_server(*today) as port:
        for kind in ("tls", "http", "tcp"):
            asked = probe(kind, port, tls=True)
            verdict = await outcome(asked, LONG)
            assert (verdict.state, verdict.reason) == (State.UP, None), kind
            assert figure(verdict, catalog.CERTIFICATE_EXPIRY) == ends
            assert figure(verdict, catalog.HTTP_PHASES, "tls") is not None
            asked.close()


@needs_openssl
@pytest.mark.parametrize("now", [1.5e9, 4.2e9])
async def test_a_certificate_out_of_its_time(
    today: tuple[Path, Path], now: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(certificate, "now", lambda: now)
    async with tls_server(*today) as port:
        asked = probe("http", port, tls=True)
        verdict = await outcome(asked, LONG)
        assert (verdict.state, verdict.reason) == (State.DEGRADED, Reason.CERTIFICATE)
        asked.close()


@needs_openssl
def test_any_cut_of_a_certificate_is_refused(today: tuple[Path, Path]) -> None:
    der = ssl.PEM_cert_to_DER_cert(today[1].read_text())
    assert certificate.validity(der)[0] == datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC).timestamp()
    for length in range(0, len(der), 7):
        with pytest.raises(ValueError):  # whichever
            certificate.validity(der[:length])


def test_what_a_probe_is_told_shows_no_password() -> None:
    told = wanted("redis", 1, user="me", password_env="REDIS_PASSWORD")
    assert "REDIS_PASSWORD" in repr(told), "the name of the variable is no secret"
