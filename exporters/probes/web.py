"""What probes over HTTP share: a client, answers as JSON of the shape asked for, the figures of the exchange."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from exporters.catalog import services as catalog
from exporters.probes.http1 import HttpClient, Response, basic
from exporters.probes.probe import Probe
from exporters.probes.stream import Endpoint
from exporters.probes.target import password
from exporters.probes.tcp import certificate_trouble
from exporters.probes.verdict import Figures, Reason, State, Unwell, Verdict, degraded, down
from exporters.wanted import WantedProbe

REFUSED = (401, 403)


class WebProbe(Probe):
    """A probe whose ``ask`` works with answers. What a first answer says of the exchange is told for every kind."""

    def __init__(self, wanted: WantedProbe) -> None:
        super().__init__(wanted)
        self.client = HttpClient(Endpoint(wanted.addresses, wanted.port, wanted.tls, wanted.host))
        # Where everything else hangs when a service lies behind a path.
        self.base = wanted.path.rstrip("/")
        self.figures = Figures(wanted.service)
        self._told = False

    async def check(self) -> Verdict:
        self.figures = Figures(self.service)
        self._told = False
        try:
            reason = await self.ask()
        except Unwell as unwell:
            return Verdict(unwell.state, unwell.reason, self.figures.rows, unwell.detail)
        if reason is None and (connection := self.client.connection) is not None:
            reason = certificate_trouble(connection, self.figures)
        state = State.UP if reason in (None, Reason.NO_CREDENTIALS) else State.DEGRADED
        return Verdict(state, reason, self.figures.rows)

    async def ask(self) -> Reason | None:
        """None: all is well; NO_CREDENTIALS: up, as far as one can see; else it is degraded. Raises Unwell."""
        raise NotImplementedError

    async def get(self, path: str, *, prefix: int | None = None, headers: Mapping[str, str] | None = None) -> Response:
        response = await self.client.get(path, headers={**self.credentials(), **(headers or {})}, prefix=prefix)
        if not self._told:
            self._told = True
            self.figures.add(catalog.HTTP_STATUS, response.status)
            for phase, seconds in response.phases.items():
                self.figures.add(catalog.HTTP_PHASES, seconds, phase)
        return response

    def credentials(self) -> dict[str, str]:
        """Headers that let the probe in. Raises Unwell when the password cannot be read."""
        return basic(self.wanted.user, password(self.wanted)) if self.wanted.user else {}

    def refused(self) -> Reason:
        """What a 401 or 403 means: nothing for the service when nobody gave us credentials."""
        wanted = self.wanted
        return Reason.CREDENTIALS_REFUSED if wanted.password_file or wanted.password_env else Reason.NO_CREDENTIALS

    async def lost(self) -> None:
        if self.client.connection is None:
            await super().lost()
        else:
            await self.client.connection.ended()
            self.client.close()

    def close(self) -> None:
        self.client.close()


def parsed(response: Response) -> dict[str, Any]:
    """The body as a JSON object. Raises Unwell: what answers otherwise is broken, or another service."""
    try:
        value = json.loads(response.body)
    except (ValueError, RecursionError) as error:
        raise down(Reason.UNEXPECTED) from error
    if not isinstance(value, dict):
        raise down(Reason.UNEXPECTED)
    return value


def items(value: Mapping[str, Any], key: str) -> list[dict[str, Any]]:
    """A list of objects in an answer; null stands for an empty one. Raises Unwell."""
    found = value.get(key)
    if found is None and key in value:
        return []
    if not isinstance(found, list):
        raise down(Reason.UNEXPECTED)
    return [item for item in found if isinstance(item, dict)]


def number(value: object) -> float | None:
    """A JSON number, else None."""
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def text(value: object, most: int = 100) -> str:
    """A JSON text, shortened, else ""."""
    return value[:most] if isinstance(value, str) else ""


def failed(response: Response) -> Unwell:
    """What an answer that no probe knows says: the server's fault is down, anything else is degraded."""
    return (down if response.status >= 500 else degraded)(Reason.HTTP_STATUS)
