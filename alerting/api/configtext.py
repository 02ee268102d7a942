"""The running configuration as text for /api/v1/status/config, without what must not be seen."""

from __future__ import annotations

import json
from typing import Any

import msgspec

from config.load import Config

HIDDEN = "<secret>"


def config_text(config: Config) -> str:
    """Inventory and alerting as YAML (written as JSON, which is YAML). Receivers show how many URLs they have, never
    what they are, not even as written in the file: an Apprise URL holds the token. Remote storage shows its addresses
    without user and password, and the names of its headers."""
    alerting: dict[str, Any] = msgspec.to_builtins(config.alerting, str_keys=True)
    remote = alerting["storage"]["remote"]
    for key, endpoint in (("query_url", config.remote.query), ("write_url", config.remote.write)):
        remote[key] = "" if endpoint is None else endpoint.url
    remote["headers"] = dict.fromkeys(remote["headers"], HIDDEN)
    alerting["external_labels"] = dict(config.external_labels)
    for receiver in alerting["receivers"]:
        receiver["apprise"] = [HIDDEN] * len(config.urls.get(receiver["name"], ()))
    cluster = msgspec.to_builtins(config.cluster, str_keys=True)
    return json.dumps({"cluster": cluster, "alerting": alerting}, indent=2, ensure_ascii=False) + "\n"
