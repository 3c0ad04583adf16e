"""Where the files of renting lie, and how a command gets to a provider's desk."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from reelgraph.builder.clock import Clock
from reelgraph.builder.credentials import RefusedCredentials, read_credentials
from reelgraph.builder.desk import Desk
from reelgraph.builder.journal import Journal
from reelgraph.builder.provider import CredentialsRefused
from reelgraph.builder.providers import find_provider


def state_folder() -> Path:
    """Return the folder of journal, keys and builders of this user."""
    if folder := os.environ.get("REEL_BUILDER_STATE"):
        return Path(folder)
    return Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "reelgraph" / "builder"


def credentials_file(provider: str) -> Path:
    """Return the file of secrets of a provider."""
    if file := os.environ.get("REEL_BUILDER_CREDENTIALS"):
        return Path(file)
    return Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "reelgraph" / f"{provider}.json"


def say(line: str) -> None:
    """Show a line to the user."""
    print(line, file=sys.stderr, flush=True)


def open_journal() -> Journal:
    """Return this user's journal."""
    return Journal(state_folder(), Clock())


@contextmanager
def open_desk(provider: str) -> Iterator[Desk]:
    """Yield a desk at a provider; credentials that it refuses are not tried again until they change."""
    connect = find_provider(provider)
    clock, journal, file = Clock(), open_journal(), credentials_file(provider)
    credentials = read_credentials(file)
    refused = RefusedCredentials(journal.folder)
    refused.check(file)
    try:
        yield Desk(connect(credentials, clock), journal, clock, say)
    except CredentialsRefused:
        refused.remember(file)
        raise
