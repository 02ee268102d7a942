"""Pages over TLS, which another client fetches: the same pages, the same words for what goes wrong."""

from __future__ import annotations

import gzip
import ssl
import subprocess
from pathlib import Path

import pytest

from alerting.scrape.http import HttpPages
from alerting.scrape.source import Body, ScrapeError
from tests.support import hostile_server as hs
from tests.support.peers import need
from tests.support.ports import free_port

LIMIT = 1_000_000


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A key and a certificate for 127.0.0.1."""
    folder = tmp_path_factory.mktemp("tls")
    command = [need("openssl"), "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    command += ["-subj", "/CN=test", "-addext", "subjectAltName=IP:127.0.0.1", "-days", "2"]
    command += ["-keyout", "key.pem", "-out", "cert.pem"]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    return folder


@pytest.fixture
def tls(certificate: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate / "cert.pem", certificate / "key.pem")
    return context


@pytest.fixture
def trusted(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The system's authorities know the certificate."""
    context = ssl.create_default_context(cafile=str(certificate / "cert.pem"))
    monkeypatch.setattr("aiohttp.connector._SSL_CONTEXT_VERIFIED", context)


@pytest.mark.usefixtures("trusted")
async def test_good_pages_and_what_was_asked(tls: ssl.SSLContext) -> None:
    async with hs.hostile(hs.answer(b"a 1\n"), tls=tls) as server, HttpPages("1.2") as pages:
        for _ in range(2):
            assert await pages.fetch(server.url, 30.5, LIMIT) == Body(b"a 1\n", gzip=False)
        packed = gzip.compress(b"a 1\n")
        server.behaviour = hs.answer(packed, headers="Content-Encoding: gzip\r\n")
        assert await pages.fetch(server.url, 30.5, LIMIT, gzip=True) == Body(packed, gzip=True)
        assert server.connections == 1
    plain, _, third = server.requests
    assert "X-Prometheus-Scrape-Timeout-Seconds: 30.5\r\n" in plain
    assert "Accept-Encoding: identity\r\n" in plain
    assert "Accept-Encoding: gzip\r\n" in third
    assert "User-Agent: Tierwatch/1.2\r\n" in plain


@pytest.mark.usefixtures("trusted")
@pytest.mark.parametrize(
    ("behaviour", "expected"),
    [
        (hs.hang, "no complete answer within 0.3s"),
        (hs.slow_drip, "no complete answer within 0.3s"),
        (hs.hang_up, "the server closed the connection without an answer"),
        (hs.answer(b"a 1\n", length=100), "the connection ended in the middle of the page"),
        (hs.cut_chunks, "the connection ended in the middle of the page"),
        (hs.answer(b"busy", status="503 Service Unavailable"), "server returned HTTP status 503 Service Unavailable"),
        (
            hs.answer(b"", status="302 Found", headers="Location: http://127.0.0.1:1/x\r\n"),
            "server answered with a redirect to http://127.0.0.1:1/x: not followed, put that path in the inventory",
        ),
        (
            hs.answer(b"x", headers="Content-Encoding: br\r\n"),
            "server sent Content-Encoding br, which was not asked for",
        ),
        (hs.answer(b"", length=100 * 2**20), "the page is larger than 1000000 bytes (limits.body_bytes)"),
        (hs.endless(10 * 2**20, []), "the page is larger than 1000000 bytes (limits.body_bytes)"),
    ],
)
async def test_bad_answers(behaviour: hs.Behaviour, expected: str, tls: ssl.SSLContext) -> None:
    async with hs.hostile(behaviour, tls=tls) as server, HttpPages() as pages:
        with pytest.raises(ScrapeError) as caught:
            await pages.fetch(server.url, 0.3 if "0.3s" in expected else 30, LIMIT)
        assert str(caught.value) == expected


async def test_a_certificate_that_nobody_signed_is_refused(tls: ssl.SSLContext) -> None:
    async with hs.hostile(hs.answer(b"a 1\n"), tls=tls) as server, HttpPages() as pages:
        with pytest.raises(ScrapeError, match="its certificate is not trusted: self-signed certificate"):
            await pages.fetch(server.url, 30, LIMIT)


async def test_nobody_listens() -> None:
    port = free_port()
    async with HttpPages() as pages:
        with pytest.raises(ScrapeError) as caught:
            await pages.fetch(f"https://127.0.0.1:{port}/", 2, LIMIT)
    assert str(caught.value) == f"cannot connect to 127.0.0.1:{port}: Connection refused"
