"""reel builder register, unregister, validate: which machines this user's Nix builds on."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from reelgraph.cli.renting.common import choose_builder, json_option, lease_argument, print_json, show_open_leases
from reelgraph.errors import StageError

if TYPE_CHECKING:
    from reelgraph.builder.machines import Builder


@click.command("register")
@lease_argument
@click.option("--host", help="Address of a machine that was not rented through Reelgraph; it must listen on port 22.")
@click.option("--user", default="reel-builder", show_default=True, help="Login of its build user.")
@click.option("--key", type=click.Path(path_type=Path), help="Private key of that user, without passphrase.")
@click.option("--host-key", type=click.Path(path_type=Path), help="File with the machine's public host key.")
@click.option("--jobs", type=click.IntRange(1), default=1, show_default=True, help="Builds at a time: one a GPU.")
@click.option("--any-nix-version", is_flag=True, help="Register although its Nix is of another release.")
def register(
    lease: str | None,
    host: str | None,
    user: str,
    key: Path | None,
    host_key: Path | None,
    jobs: int,
    any_nix_version: bool,
) -> None:
    """Let this user's Nix build GPU stages on a machine, its host key pinned.

    \b
    Example: reel builder register               (the open lease's machine)
             reel builder register mine --host 192.0.2.7 \\
               --key ~/.ssh/mine --host-key mine.pub
    """
    from reelgraph.builder.keys import fingerprints
    from reelgraph.builder.machines import Registry, check_builder
    from reelgraph.builder.office import open_journal, say, state_folder

    show_open_leases()
    builder = _rented(lease, jobs) if host is None else _own(lease or host, host, user, key, host_key, jobs)
    fingerprints(builder.host_key)
    builder = replace(builder, host_key=" ".join(builder.host_key.split()[:2]))
    daemon = check_builder(builder, any_version=any_nix_version)
    Registry(state_folder()).add(builder)
    if host is None:
        open_journal().append(builder.name, "registered")
    say(f"builder '{builder.name}' is registered: Nix {daemon.version} at {builder.uri}")
    print(builder.line)


def _rented(lease: str | None, jobs: int) -> Builder:
    from reelgraph.builder.install import BUILD_USER
    from reelgraph.builder.machines import Builder
    from reelgraph.builder.office import find_lease, state_folder

    found = find_lease(lease)
    if not found.installed or found.address is None:
        raise StageError(f"{found.description} is not installed yet; run 'reel builder install'", status=3)
    folder = state_folder() / "keys" / found.id
    public = (folder / "ssh_host_ed25519_key.pub").read_text(encoding="utf-8")
    return Builder(found.id, found.address, BUILD_USER, str(folder / "id_ed25519"), public, jobs)


def _own(name: str, host: str, user: str, key: Path | None, host_key: Path | None, jobs: int) -> Builder:
    from reelgraph.builder.keys import fingerprints
    from reelgraph.builder.machines import Builder

    if key is None or host_key is None:
        raise StageError("--host needs --key and --host-key", status=2)
    try:
        public = host_key.read_text(encoding="utf-8", errors="replace")
        fingerprints(public)
    except OSError as error:
        raise StageError(f"{host_key}: cannot be read ({error.strerror})", status=3) from error
    except StageError as error:
        raise StageError(f"{host_key}: {error}", status=2) from error
    return Builder(name, host, user, str(key.absolute()), public, jobs)


@click.command("unregister")
@click.argument("name", required=False)
def unregister(name: str | None) -> None:
    """Take a builder out of this user's Nix configuration; without a name, all of them.

    Example: reel builder unregister mine
    """
    from reelgraph.builder.machines import Registry
    from reelgraph.builder.office import state_folder

    show_open_leases()
    registry = Registry(state_folder())
    known = sorted(registry.builders())
    for each in [name] if name else known:
        if not registry.remove(each):
            raise StageError(f"builder '{each}' is not registered; there is {', '.join(known) or 'none'}", status=2)
        print(each)


@click.command("validate")
@click.argument("name", required=False)
@click.option("--any-nix-version", is_flag=True, help="Go on although its Nix is of another release.")
@click.option("--cancel-on-failure", is_flag=True, help="End the lease of this name if the builder is not usable.")
@json_option
def validate(name: str | None, any_nix_version: bool, cancel_on_failure: bool, as_json: bool) -> None:
    """Build two derivations that no store has seen: one must find the GPU there, one must stay here.

    Example: reel builder validate --json
    """
    from reelgraph.builder.ending import cancelling_on_failure
    from reelgraph.builder.office import all_leases, open_journal
    from reelgraph.builder.validate import gpu_as_line, validate_builder

    show_open_leases()
    builder = choose_builder(name)
    is_rented = builder.name in all_leases()
    with cancelling_on_failure(builder.name, cancel_on_failure) if is_rented else nullcontext():
        found = validate_builder(builder, any_version=any_nix_version)
    if is_rented:
        open_journal().append(builder.name, "validated", **found)
    if as_json:
        print_json(found)
        return
    for gpu in found["gpus"]:
        print(gpu_as_line(gpu))
    print(f"Nix {found['nix']}, {found['kernel_module'] or 'kernel module not shown'}")


COMMANDS = (register, unregister, validate)
