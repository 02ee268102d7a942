"""The only door to Apprise (https://github.com/caronc/apprise): a URL and a text in, a ``Delivery`` out.

Imported only by the worker process: Apprise costs some 36 MiB once its plugins are loaded, and a plugin may hang.
Apprise answers True, False or nothing and logs the reason away, so the log of each try is listened to. Its own retries
are not used: the outbox is the only one who tries again.
"""

from __future__ import annotations

import logging
import re
from collections import OrderedDict
from typing import Any

import apprise

from alerting.notify.redact import redact
from alerting.notify.sender import Delivery
from alerting.notify.urls import fault, scheme

# The HTTP statuses with which a service refuses a message for what it says: trying again says the same.
_REFUSED = frozenset({400, 413, 414, 415, 422})
_STATUS = re.compile(r"\berror=([0-9]{3})\b")
_KEPT_PLUGINS = 32


class AppriseDoor:
    """Keeps the plugin of each URL, because a plugin knows how fast its service may be asked."""

    def __init__(self) -> None:
        self._plugins: OrderedDict[str, Any] = OrderedDict()
        self._heard = _Heard()
        logger = logging.getLogger("apprise")
        logger.setLevel(logging.WARNING)
        logger.propagate = False
        logger.handlers = [self._heard]

    def send(self, url: str, title: str, body: str, kind: str) -> Delivery:
        """Try once. Blocks; may hang when the plugin does."""
        if (reason := self.check(url)) is not None:
            return Delivery("failed", reason)
        self._heard.clear()
        try:
            sent = self._plugin(url).notify(
                body=body, title=title, notify_type=apprise.NotifyType(kind), body_format=apprise.NotifyFormat.TEXT
            )
        except Exception as error:  # a plugin's own fault must not end the worker
            return Delivery("failed", redact(f"{type(error).__name__}: {error}", url))
        if sent:
            return Delivery("delivered")
        said = self._heard.text()
        status = _STATUS.search(said)
        refused = status is not None and int(status.group(1)) in _REFUSED
        return Delivery("failed", redact(said, url) or "Apprise says no more than that it failed", retry=not refused)

    def check(self, url: str) -> str | None:
        """What is wrong with a URL, without sending anything; None when Apprise knows what to do with it."""
        if (reason := fault(url)) is not None:
            return reason
        self._heard.clear()
        if self._plugin(url) is not None:
            return None
        name = scheme(url)
        if name not in apprise.plugins.N_MGR:
            return f'Apprise knows no service "{name}://"'
        said = redact(self._heard.text(), url)
        return f"not a complete {name}:// URL of Apprise{f' ({said})' if said else ''}"

    def _plugin(self, url: str) -> Any:
        plugin = self._plugins.get(url)
        if plugin is None:
            # Without the asset's defaults Apprise would keep files of its own and try again by itself.
            asset = apprise.AppriseAsset(app_id="Tierwatch", app_desc="Tierwatch", async_mode=False)
            plugin = apprise.Apprise.instantiate(url, asset=asset)
            if plugin is None:
                return None
            self._plugins[url] = plugin
            if len(self._plugins) > _KEPT_PLUGINS:
                self._plugins.popitem(last=False)
        return plugin


class _Heard(logging.Handler):
    """The last few warnings of Apprise."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self._lines.append(record.getMessage())
        except (TypeError, ValueError):
            self._lines.append(str(record.msg))
        del self._lines[:-4]

    def clear(self) -> None:
        self._lines.clear()

    def text(self) -> str:
        return " ".join(self._lines)
