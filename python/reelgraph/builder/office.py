"""Where the files of renting lie, and how a command gets to a provider's desk."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from reelgraph.builder.clock import Clock
from reelgraph.builder.credentials import RefusedCredentials, read_credentials
from reelgraph.builder.desk import Desk, choose
from reelgraph.builder.journal import Journal
from reelgraph.builder.lease import Lease, fold
from reelgraph.builder.provider import CredentialsRefused
from reelgraph.builder.providers import find_provider

DEFAULT_PROVIDER = "robot"


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


def all_leases() -> dict[str, Lease]:
    """Return every lease of the journal, at whichever provider."""
    return fold(open_journal().entries())


def find_lease(id: str | None) -> Lease:
    """Return the lease of an id, or the only open one, from the journal alone."""
    return choose(all_leases(), id)


def providers_to_ask() -> list[str]:
    """Return the providers at which something is open, and the usual one if there are credentials for it."""
    names = {lease.provider for lease in all_leases().values() if lease.is_open}
    if credentials_file(DEFAULT_PROVIDER).exists():
        names.add(DEFAULT_PROVIDER)
    return sorted(names)


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
