"""What a probe is told: where the service is, how to be let in, what to expect there."""

from __future__ import annotations

import os
from pathlib import Path

from config.secrets import Secret, from_file
from exporters.probes.verdict import Reason, unknown
from exporters.wanted import WantedProbe


class CannotRead(Exception):
    """A password cannot be had; the message says why, never what it is."""


def secret_of(probe: WantedProbe) -> Secret:
    """The password, read anew at every connection so that a changed one is taken; empty when none is named.

    Raises CannotRead.
    """
    if probe.password_env:
        if value := os.environ.get(probe.password_env):
            return Secret(value)
        raise CannotRead(f"the environment variable {probe.password_env} is not set")
    if not probe.password_file:
        return Secret("")
    try:
        return from_file(Path(probe.password_file))
    except ValueError as error:
        raise CannotRead(str(error)) from error


def password(probe: WantedProbe) -> str:
    """The password in plain text, "" when none is named. Raises Unwell: without it nothing can be said."""
    try:
        return secret_of(probe).reveal()
    except CannotRead as error:
        raise unknown(Reason.CREDENTIALS_UNREADABLE, str(error)) from error
