"""``alerting.yaml`` as frozen structs: intervals, limits, routing, receivers.

Routing, grouping and inhibition keep Alertmanager's keys and meaning; delivery is by Apprise URLs.
"""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

Duration = Annotated[float, Meta(extra={"kind": "duration"})]
Bytes = Annotated[int, Meta(extra={"kind": "size"})]
Secret = Annotated[str, Meta(extra={"kind": "secret"})]
Text = Annotated[str, Meta(min_length=1)]
LabelName = Annotated[str, Meta(pattern=r"^[a-zA-Z_][a-zA-Z0-9_]*$|^\.\.\.$")]


class Timing(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How often things happen, in seconds (written as durations)."""

    scrape_interval: Duration = 5.0
    scrape_timeout: Duration = 4.0
    evaluation_interval: Duration = 5.0


class RemoteSettings(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Another store that speaks Prometheus' protocols: asked (``query_url``), written to (``write_url``), or both.

    What opens its door does not show when printed.
    """

    query_url: Secret = ""
    write_url: Secret = ""
    read_recent: bool = False
    """Ask it also for the time that the own store has."""
    query_timeout: Duration = 5.0
    write_timeout: Duration = 30.0
    max_lag: Duration = 6 * 3600.0
    """Samples that could not be written for so long are skipped."""
    username: str = ""
    password_file: str = ""
    token_file: str = ""
    ca_file: str = ""
    headers: dict[str, Secret] = {}

    def __repr__(self) -> str:
        return f"RemoteSettings(query={bool(self.query_url)}, write={bool(self.write_url)})"


class StorageSettings(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How much is kept: whichever limit is reached first."""

    retention: Duration = 30 * 86400.0
    max_bytes: Bytes = 8 * 2**30
    remote: RemoteSettings = RemoteSettings()


class Limits(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What one scrape may bring; a page over a limit is refused whole and the target is down with the reason."""

    body_bytes: Bytes = 10 * 2**20
    series: Annotated[int, Meta(ge=1)] = 20_000
    label_bytes: Annotated[int, Meta(ge=16)] = 4096


class Url(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Where an Apprise URL comes from: written here (``${ENV}`` is filled in) or the first line of a file.

    The URL does not show when printed: it usually holds a password.
    """

    url: Secret = ""
    url_file: str = ""

    def __repr__(self) -> str:
        return f"Url(url={'…' if self.url else ''!r}, url_file={self.url_file!r})"


class Receiver(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    name: Text
    apprise: tuple[Url, ...] = ()
    send_resolved: bool = True


class Route(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, rename={"continue_": "continue"}):
    """A node of the routing tree; what is not given is inherited from the parent."""

    receiver: str | None = None
    matchers: tuple[Text, ...] = ()
    group_by: tuple[LabelName, ...] | None = None
    group_wait: Duration | None = None
    group_interval: Duration | None = None
    repeat_interval: Duration | None = None
    continue_: bool = False
    routes: tuple[Route, ...] = ()


class InhibitRule(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """An alert matching ``source`` mutes those matching ``target`` whose ``equal`` labels have the same values."""

    source_matchers: Annotated[tuple[Text, ...], Meta(min_length=1)]
    target_matchers: Annotated[tuple[Text, ...], Meta(min_length=1)]
    equal: tuple[LabelName, ...] = ()


class Alerting(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The whole file."""

    timing: Timing = Timing()
    storage: StorageSettings = StorageSettings()
    limits: Limits = Limits()
    compression: Literal["auto", "always", "never"] = "auto"
    """Of the pages that are scraped. ``auto``: from addresses that are not of a private network."""
    external_url: str = ""
    external_labels: dict[str, str] = {}
    """Whose samples and alerts these are, for whoever gets them: as in Prometheus, never in the own store."""
    rule_files: tuple[Text, ...] = ("rules/*.yml",)
    route: Route
    receivers: tuple[Receiver, ...]
    inhibit_rules: tuple[InhibitRule, ...] = ()
