"""Around the end of a lease: its builder leaves Nix's configuration, and a failure does not leave a bill."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from reelgraph.builder.cancel import cancel_lease, cancel_server
from reelgraph.builder.desk import Desk
from reelgraph.builder.lease import Lease
from reelgraph.builder.machines import Registry
from reelgraph.builder.office import find_lease, open_desk, open_journal, say, state_folder
from reelgraph.errors import StageError

CANCEL_MINUTES = 30.0


def unregister_lease(lease: str) -> None:
    """Take a lease's builder out of this user's Nix configuration; that this fails must not keep a machine alive."""
    try:
        registry = Registry(state_folder())
        if lease in registry.builders():
            registry.remove(lease)
            open_journal().append(lease, "unregistered")
            say(f"builder '{lease}' is unregistered")
    except (StageError, OSError) as error:
        say(f"builder '{lease}' is still registered ({error}); run 'reel builder unregister {lease}'")


def end_lease(lease: Lease, minutes: float) -> list[str]:
    """Unregister a lease's builder, end its bill, and return what may still cost."""
    unregister_lease(lease.id)
    with open_desk(lease.provider) as desk:
        return cancel_lease(desk, desk.lease(lease.id), minutes)


def end_server(desk: Desk, server: int, minutes: float, ask: Callable[[str], str]) -> list[str]:
    """End a machine by its number; for one that the journal does not know the number must be typed again."""
    try:
        owners = [lease for lease in desk.leases().values() if lease.server == server]
    except StageError:
        owners = []
    if owners:
        unregister_lease(owners[-1].id)
        return cancel_server(desk, server, minutes, confirmed=False)
    typed = ask(f"server {server} is in no lease of the journal; type its number again to end it").strip()
    return cancel_server(desk, server, minutes, confirmed=typed == str(server))


def report_end(leftovers: list[str]) -> None:
    """Say how a cancellation ended; raise a StageError if something may still cost."""
    for item in leftovers:
        say(f"still there and may cost: {item}")
    say("cancelled and verified" if not leftovers else "cancelled and verified, but see above")
    if leftovers:
        raise StageError("cancel what is left in the provider's web page")


@contextmanager
def cancelling_on_failure(lease: str | None, wanted: bool) -> Iterator[None]:
    """End the lease if the block fails and that is wanted; otherwise say that it is still billed.

    An interruption by the user ends nothing: whoever presses Ctrl-C may want to try again.
    """
    try:
        yield
    except BaseException as error:
        found = _still_open(lease)
        if found is not None and wanted and isinstance(error, Exception):
            say(f"{error}; cancelling")
            report_end(end_lease(found, CANCEL_MINUTES))
        elif found is not None:
            say(f"{found.description} is still billed; end it with 'reel builder cancel {found.id}'")
        raise


def _still_open(lease: str | None) -> Lease | None:
    try:
        found = find_lease(lease)
    except StageError:
        return None
    return found if found.is_open else None
