"""Logs as ``key=value`` lines on standard error, the way journald and grep like them.

A message is a constant; everything that varies is a field. Fields are named by the caller, so what is secret is never
passed; there is no dumping of objects.
"""

from __future__ import annotations

import logging
import sys
from datetime import UTC, datetime

_FIELDS = "tierwatch_fields"
_PLAIN = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-+:/@%,[]()")


def event(logger: logging.Logger, level: int, message: str, **fields: object) -> None:
    """Log ``message`` with fields."""
    logger.log(level, message, extra={_FIELDS: fields})


class KeyValueFormatter(logging.Formatter):
    """``ts=... level=info msg="..." key=value``."""

    def format(self, record: logging.LogRecord) -> str:
        fields: dict[str, object] = {
            "ts": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "msg": record.getMessage(),
            **getattr(record, _FIELDS, {}),
        }
        if record.exc_info:
            fields["error"] = self.formatException(record.exc_info)
        return " ".join(f"{key}={_quote(str(value))}" for key, value in fields.items())


def _quote(value: str) -> str:
    if value and _PLAIN.issuperset(value):
        return value
    escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\r", "\\r")
    return f'"{escaped}"'


def _not_a_clients_fault(record: logging.LogRecord) -> bool:
    """Not what aiohttp makes of requests that are none, with a stack each: whoever sent it was answered, and anybody
    could fill the journal with it."""
    kind = record.exc_info[0] if record.exc_info else None
    return record.name != "aiohttp.server" or kind is None or kind.__module__ != "aiohttp.http_exceptions"


def to_stderr(level: int = logging.INFO) -> None:
    """Send the root logger's records to standard error in this form."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(KeyValueFormatter())
    handler.addFilter(_not_a_clients_fault)
    logging.basicConfig(level=level, handlers=[handler], force=True)
