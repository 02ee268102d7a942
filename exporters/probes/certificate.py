"""The days a certificate is valid, read from its DER (X.509, RFC 5280 section 4.1): the standard library gives them
only for certificates that it trusts, and most of a home network's are self-signed."""

from __future__ import annotations

import calendar
import re
from collections.abc import Iterator

from exporters import clock

_SEQUENCE, _UTC_TIME, _GENERALIZED_TIME, _VERSION = 0x30, 0x17, 0x18, 0xA0
_TIME = re.compile(rb"(\d{2}|\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)Z$")

now = clock.wall


def validity(der: bytes) -> tuple[float, float]:
    """(not before, not after) in Unix seconds. Raises ValueError for what is no certificate."""
    certificate = _only(der, _SEQUENCE)
    body = _only(certificate, _SEQUENCE)
    fields = [(tag, value) for tag, value in _elements(body) if tag != _VERSION]
    # serialNumber, signature, issuer, validity
    if len(fields) < 4 or fields[3][0] != _SEQUENCE:
        raise ValueError("no validity where a certificate has it")
    times = [_time(tag, value) for tag, value in _elements(fields[3][1])]
    if len(times) != 2:
        raise ValueError("a validity has two times")
    return times[0], times[1]


def _only(data: bytes, wanted: int) -> bytes:
    """The content of the first element, which must be of this tag."""
    tag, value = next(_elements(data), (0, b""))
    if tag != wanted:
        raise ValueError(f"expected tag {wanted:#x}, got {tag:#x}")
    return value


def _elements(data: bytes) -> Iterator[tuple[int, bytes]]:
    """(tag, content) of each element. Raises ValueError when one is cut."""
    place = 0
    while place < len(data):
        if place + 2 > len(data):
            raise ValueError("cut within an element's head")
        tag, length = data[place], data[place + 1]
        place += 2
        if length & 0x80:
            count = length & 0x7F
            if not 0 < count <= 4 or place + count > len(data):
                raise ValueError("a length that is none")
            length = int.from_bytes(data[place : place + count], "big")
            place += count
        if place + length > len(data):
            raise ValueError("cut within an element")
        yield tag, data[place : place + length]
        place += length


def _time(tag: int, value: bytes) -> float:
    match = _TIME.match(value)
    if match is None or tag not in (_UTC_TIME, _GENERALIZED_TIME):
        raise ValueError("a time in an unknown form")
    year, month, day, hour, minute, second = (int(part) for part in match.groups())
    if tag == _UTC_TIME:
        year += 1900 if year >= 50 else 2000
    if not (1 <= month <= 12 and 1 <= day <= 31 and hour <= 23 and minute <= 59 and second <= 60):
        raise ValueError("no such time")
    return float(calendar.timegm((year, month, day, hour, minute, second)))
