"""A CUDA builder on loopback: a real sshd with keys of its own, a forced command, and a second Nix store behind it.

It listens on port 22 of an address in 127.0.0.0/8 that nothing else uses, because a machines line has no place for a
port. It offers the feature `cuda` and has no GPU.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterable
from pathlib import Path

from together import alone

SEARCHED = f"{os.environ['PATH']}:/usr/sbin"
INSTALLED = "sshd-installed"
POLICY = Path("/usr/sbin/policy-rc.d")
NO_SERVICE = "#!/bin/sh\n# Of Reelgraph's tests.\nexit 101\n"
PRIVILEGE_SEPARATION = Path("/run/sshd")


def install_sshd() -> Path:
    """Return the path of sshd, installed where it is missing; no service is ever started."""
    with alone() as folder:
        found = shutil.which("sshd", path=SEARCHED)
        if not found:
            # From now on there is something to remove, whatever fails.
            (folder / INSTALLED).touch()
            if not POLICY.exists():
                POLICY.write_text(NO_SERVICE)
                POLICY.chmod(0o755)
            _apt("update")
            _apt("-y", "--no-install-recommends", "install", "openssh-server")
        return Path(found or "/usr/sbin/sshd")


def remove_sshd() -> None:
    """Remove sshd if it was installed for this run."""
    with alone() as folder:
        if (folder / INSTALLED).exists():
            if POLICY.read_text() == NO_SERVICE:
                POLICY.unlink()
            _apt("-y", "purge", "openssh-server")


def _apt(*arguments: str) -> None:
    quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    subprocess.run(["apt-get", "-q", *arguments], check=True, env=quiet, stdout=subprocess.DEVNULL)


class LoopbackBuilder:
    """One builder: ``folder`` has its keys, its store and what its sshd said."""

    def __init__(self, sshd: Path, folder: Path, address: str) -> None:
        self.folder, self.address, self._sshd = folder, address, sshd
        self.store = folder / "store"
        self.nix: Path | None = None
        self.features = "ca-derivations cuda"
        self.settings = ""
        self._process: subprocess.Popen[bytes] | None = None
        folder.mkdir(parents=True, exist_ok=True)
        for name in ("host", "other-host", "user", "other-user"):
            command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", str(folder / name)]
            subprocess.run(command, check=True)

    def start(self, host_key: str = "host") -> None:
        """Start sshd with one of the host keys; one that runs is ended first."""
        self.stop()
        daemon = f"{self.nix}/nix-daemon" if self.nix else "nix-daemon"
        forced = self.folder / "forced-command"
        forced.write_text(
            "#!/bin/sh\n"
            '[ "$SSH_ORIGINAL_COMMAND" = "nix-daemon --stdio" ] || { echo "only nix-daemon --stdio" >&2; exit 1; }\n'
            f"export NIX_REMOTE={self.store} NIX_USER_CONF_FILES=/dev/null\n"
            'export NIX_CONFIG="extra-experimental-features = nix-command flakes ca-derivations\n'
            "sandbox = true\nsandbox-fallback = false\nbuild-users-group =\nsubstituters =\nmax-jobs = 1\n"
            f'system-features = {self.features}\n{self.settings}"\n'
            f"PATH={os.environ['PATH']} exec {daemon} --stdio\n"
        )
        forced.chmod(0o755)
        user = (self.folder / "user.pub").read_text().strip()
        (self.folder / "authorized_keys").write_text(f'restrict,command="{forced}" {user}\n')
        (self.folder / "sshd_config").write_text(
            f"ListenAddress {self.address}:22\n"
            f"HostKey {self.folder / host_key}\n"
            f"AuthorizedKeysFile {self.folder / 'authorized_keys'}\n"
            "PidFile none\nUsePAM no\nStrictModes no\nPermitRootLogin prohibit-password\n"
            "PasswordAuthentication no\nKbdInteractiveAuthentication no\n"
        )
        PRIVILEGE_SEPARATION.mkdir(mode=0o755, exist_ok=True)
        log = self.folder / "sshd.log"
        command = [str(self._sshd), "-D", "-f", str(self.folder / "sshd_config"), "-E", str(log)]
        self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL)
        end = time.monotonic() + 60
        while time.monotonic() < end:
            with socket.socket() as probe:
                probe.settimeout(1)
                if probe.connect_ex((self.address, 22)) == 0:
                    return
            assert self._process.poll() is None, log.read_text()
            time.sleep(0.05)
        raise AssertionError(f"sshd did not start: {log.read_text()}")

    def stop(self) -> None:
        """End this sshd and everything that it started, at once and without a word: the machine is gone."""
        if self._process is None:
            return
        for pid in [*descendants(self._process.pid), self._process.pid]:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        self._process.wait()
        self._process = None

    def has(self, path: str) -> bool:
        """Whether the builder's store has a path."""
        return (self.store / path.lstrip("/")).exists()

    def adopt(self, paths: Iterable[str]) -> None:
        """Give the store what paths need, by hard links where the file system allows: as a cache would have."""
        listed = subprocess.run(["nix-store", "-qR", *paths], check=True, capture_output=True, text=True).stdout.split()
        physical = self.store / "nix/store"
        physical.mkdir(parents=True, exist_ok=True)
        missing = [path for path in listed if not (physical / Path(path).name).exists()]
        for path in missing:
            copy = ["cp", "-a", "--reflink=auto", path, str(physical)]
            if subprocess.run([*copy, "-l"], stderr=subprocess.DEVNULL, check=False).returncode:
                subprocess.run(copy, check=True)
        registration = subprocess.run(["nix-store", "--dump-db", *listed], check=True, capture_output=True).stdout
        environment = {**os.environ, "NIX_REMOTE": str(self.store)}
        subprocess.run(["nix-store", "--load-db"], check=True, input=registration, env=environment)


def descendants(pid: int) -> list[int]:
    """Return the processes that ``pid`` started, directly or not, innermost first."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                stat = (entry / "stat").read_text()
            except OSError:
                continue
            children.setdefault(int(stat.rsplit(")", 1)[1].split()[1]), []).append(int(entry.name))
    found: list[int] = []
    for child in children.get(pid, []):
        found += [*descendants(child), child]
    return found
