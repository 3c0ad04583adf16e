"""From a rented machine in its rescue system to a builder: verified, described, installed, under one deadline.

The machine is whom the provider says before anything is sent to it; its own host key is made here beforehand, so that
the builder's key is pinned before it first starts. What goes into the Nix store is only public: disks, addresses,
public keys.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from reelgraph.builder.clock import Deadline
from reelgraph.builder.desk import Desk
from reelgraph.builder.keys import KeyPair, make_key, read_key
from reelgraph.builder.lease import Lease
from reelgraph.builder.machines import Builder
from reelgraph.builder.rescue import Machine, check_rescue_key, survey
from reelgraph.builder.ssh import BuilderError, Target, ask_daemon
from reelgraph.errors import StageError
from reelgraph.files import write_json
from reelgraph.graph.evaluate import find_checkout

BUILD_USER = "reel-builder"
_HOST_KEY = "ssh_host_ed25519_key"
# github:nix-community/nixos-anywhere 1.13.0; flags as in its src/nixos-anywhere.sh.
NIXOS_ANYWHERE = "nix run github:nix-community/nixos-anywhere/bad98b0685cf47eaeadcaf6787da8b51cf025693 --"


def write_flake(folder: Path, checkout: Path, machine: Machine) -> None:
    """Write the machine's own flake: this checkout's module and what is known of the machine."""
    write_json(folder / "machine.json", asdict(machine))
    # Through git only what is tracked gets into the store; a shallow clone is refused unless the reference allows it.
    url = f"git+file://{checkout}?shallow=1" if (checkout / ".git").exists() else f"path:{checkout}"
    text = (
        '{\n  inputs.reelgraph.url = "@checkout@";\n  outputs =\n    { reelgraph, ... }:\n    {\n'
        "      nixosConfigurations.cuda-builder = reelgraph.lib.x86_64-linux.cudaBuilder (\n"
        "        builtins.fromJSON (builtins.readFile ./machine.json)\n      );\n    };\n}\n"
    )
    (folder / "flake.nix").write_text(text.replace("@checkout@", url), encoding="utf-8")


def run_with_deadline(command: Sequence[str], deadline: Deadline, what: str) -> None:
    """Run a command in a group of its own, its output shown; end the whole group at the deadline."""
    process = subprocess.Popen(
        list(command),
        stdin=subprocess.DEVNULL,
        stdout=sys.stderr,
        stderr=sys.stderr,
        start_new_session=True,
    )
    # The process's own clock decides, not ours: a deadline must hold while nothing is printed.
    timer = threading.Timer(deadline.left, lambda: _end_group(process.pid))
    timer.start()
    try:
        status = process.wait()
    except BaseException:
        _end_group(process.pid)
        raise
    finally:
        timer.cancel()
    if deadline.left <= 0:
        raise StageError(f"{what} did not end in time and was stopped")
    if status:
        raise StageError(f"{what} failed with status {status}; its own messages stand above")


def install(desk: Desk, lease: Lease, *, minutes: float, command: Sequence[str], rescue: bool) -> Builder:
    """Install the builder's NixOS on a ready machine and wait until its Nix answers with the key made for it."""
    if lease.server is None or lease.address is None or lease.quote is None or lease.fingerprint is None:
        raise StageError(f"{lease.description} has no machine with an address yet; run 'reel builder wait'", status=3)
    deadline = Deadline(desk.clock, minutes * 60)
    key = read_key(desk.keys(lease.id) / "id_ed25519")
    if (done := _installed(desk, lease, lease.address, key)) is not None:
        return done
    expected = lease.rescue_host_keys
    if rescue:
        expected = desk.provider.rescue(lease.server, lease.fingerprint)
        desk.provider.reset(lease.server)
        _wait_for_ssh(lease.address, deadline)
    target = Target(lease.address, "root", key.private, check_rescue_key(lease.address, expected))
    desk.say(f"{lease.description}: its rescue system shows the host key that the provider reports")
    machine = survey(target, lease.quote.gpu, [key.public])
    desk.say(f"{lease.description}: {machine.firmware}, installing on {machine.disk}")
    host_key = _host_key(desk, lease)
    with tempfile.TemporaryDirectory(prefix="reel-install-") as name:
        folder = Path(name)
        (folder / "flake").mkdir()
        write_flake(folder / "flake", find_checkout().root, machine)
        extra = folder / "extra" / "etc" / "ssh"
        extra.mkdir(mode=0o755, parents=True)
        shutil.copy2(host_key.private, extra / _HOST_KEY)
        (extra / f"{_HOST_KEY}.pub").write_text(host_key.public + "\n", encoding="utf-8")
        arguments = ["--flake", f"path:{folder / 'flake'}#cuda-builder", "--target-host", f"root@{lease.address}"]
        arguments += ["-i", str(key.private), "--extra-files", str(folder / "extra"), "--build-on", "remote", "-L"]
        run_with_deadline([*command, *arguments], deadline, f"the installation of {lease.description}")
    builder = _builder(lease.id, lease.address, key, host_key)
    _wait_for_nix(builder, deadline)
    desk.journal.append(lease.id, "installed", host_key=builder.host_key)
    return builder


def _builder(name: str, address: str, key: KeyPair, host_key: KeyPair) -> Builder:
    return Builder(name, address, BUILD_USER, str(key.private), " ".join(host_key.public.split()[:2]), 1)


def _installed(desk: Desk, lease: Lease, address: str, key: KeyPair) -> Builder | None:
    """Return the builder if an earlier run installed it and was ended before it could say so."""
    if not (desk.keys(lease.id) / f"{_HOST_KEY}.pub").exists():
        return None
    builder = _builder(lease.id, address, key, _host_key(desk, lease))
    try:
        ask_daemon(builder.name, builder.target, 10)
    except BuilderError:
        return None
    desk.say(f"{lease.description}: is installed already")
    if not lease.installed:
        desk.journal.append(lease.id, "installed", host_key=builder.host_key)
    return builder


def _host_key(desk: Desk, lease: Lease) -> KeyPair:
    folder = desk.keys(lease.id)
    return read_key(folder / _HOST_KEY) if (folder / f"{_HOST_KEY}.pub").exists() else make_key(folder, _HOST_KEY)


def _wait_for_ssh(host: str, deadline: Deadline) -> None:
    while not subprocess.run(["ssh-keyscan", "-T", "5", host], capture_output=True, check=False).stdout:
        if not deadline.wait(10):
            raise BuilderError(f"{host} did not come up in its rescue system in time")


def _wait_for_nix(builder: Builder, deadline: Deadline) -> None:
    while True:
        try:
            ask_daemon(builder.name, builder.target, 10)
            return
        except BuilderError as error:
            if not deadline.wait(10):
                raise BuilderError(f"the installed machine did not answer in time: {error}") from error


def _end_group(pid: int) -> None:
    try:
        os.killpg(pid, signal.SIGKILL)
    except ProcessLookupError:
        return
