"""SCRAM-SHA-256 (RFC 5802, RFC 7677), the client's side, without channel binding."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import secrets

MAX_ITERATIONS = 1_000_000


class ScramFailed(Exception):
    """The server's part is not what the protocol asks, or it does not know the password itself."""


class Scram:
    """One exchange. The user's name is empty in it: PostgreSQL takes the one of the startup message."""

    def __init__(self, password: str, nonce: str | None = None, name: str = "") -> None:
        """``nonce``, ``name``: for tests."""
        self._password = password
        self._nonce = nonce or secrets.token_urlsafe(18)
        self._bare = f"n={name},r={self._nonce}"
        self._signature = b""

    def first(self) -> bytes:
        return f"n,,{self._bare}".encode()

    def proof(self, challenge: bytes) -> bytes:
        """The client-final-message for a server-first-message. Takes about 3 ms for the usual 4096 iterations."""
        fields = _fields(challenge)
        try:
            nonce, iterations = fields["r"], int(fields["i"])
            salt = base64.b64decode(fields["s"], validate=True)
        except (KeyError, ValueError, binascii.Error) as error:
            raise ScramFailed("an unreadable challenge") from error
        if not nonce.startswith(self._nonce) or not 0 < iterations <= MAX_ITERATIONS:
            raise ScramFailed("a challenge that is not an answer to ours")
        salted = hashlib.pbkdf2_hmac("sha256", self._password.encode(), salt, iterations)
        client_key = _mac(salted, b"Client Key")
        final = f"c=biws,r={nonce}"
        message = b",".join((self._bare.encode(), challenge, final.encode()))
        signature = _mac(hashlib.sha256(client_key).digest(), message)
        proof = bytes(a ^ b for a, b in zip(client_key, signature, strict=True))
        self._signature = _mac(_mac(salted, b"Server Key"), message)
        return f"{final},p={base64.b64encode(proof).decode()}".encode()

    def verify(self, final: bytes) -> None:
        """Raises ScramFailed unless the server knows the password too."""
        told = _fields(final).get("v", "")
        if not self._signature or not hmac.compare_digest(told.encode(), base64.b64encode(self._signature)):
            raise ScramFailed("the server does not know the password")


def _fields(message: bytes) -> dict[str, str]:
    parts = message.decode("utf-8", "replace").split(",")
    return {part[:1]: part[2:] for part in parts if part[1:2] == "="}


def _mac(key: bytes, message: bytes) -> bytes:
    return hmac.digest(key, message, "sha256")
