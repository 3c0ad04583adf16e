"""Asking a builder the way Nix will: over ssh, with its host key pinned, speaking the first words of Nix's protocol.

Nothing but ``nix-daemon --stdio`` is ever run there, so the builder need not permit anything else.
"""

from __future__ import annotations

import contextlib
import os
import select
import shutil
import struct
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from reelgraph.errors import StageError

_MAGIC_CLIENT, _MAGIC_SERVER = 0x6E697863, 0x6478696F
# Protocol 1.35, as of Nix 2.8 to 2.34: what a client of that age says first, and what every newer daemon answers.
_PROTOCOL = 1 << 8 | 35


@dataclass(frozen=True)
class Target:
    """Whom to ask: ``host_key`` is the public key's line that must be shown."""

    host: str
    user: str
    key: Path
    host_key: str


@dataclass(frozen=True)
class Daemon:
    """What a builder's Nix says of itself; ``trusted`` is None where it does not say."""

    version: str
    trusted: bool | None

    @property
    def minor(self) -> tuple[int, int]:
        """The release's first two numbers."""
        major, minor, *_ = self.version.split("pre")[0].split(".")
        return int(major), int(minor)


class BuilderError(StageError):
    """A builder cannot be used, in one sentence that says why and what to do."""


@contextmanager
def ssh_command(target: Target, timeout: float) -> Iterator[list[str]]:
    """Yield the start of an ssh command that reads no configuration, asks nothing and believes one host key."""
    if shutil.which("ssh") is None:
        raise StageError("ssh is missing; install the OpenSSH client", status=3)
    with tempfile.TemporaryDirectory(prefix="reel-ssh-") as folder:
        known_hosts = Path(folder) / "known_hosts"
        known_hosts.write_text(f"{target.host} {' '.join(target.host_key.split()[:2])}\n", encoding="utf-8")
        options = {
            "BatchMode": "yes",
            "ConnectTimeout": str(max(1, int(timeout))),
            "GlobalKnownHostsFile": "/dev/null",
            "IdentitiesOnly": "yes",
            "ServerAliveCountMax": "3",
            "ServerAliveInterval": "10",
            "StrictHostKeyChecking": "yes",
            "UserKnownHostsFile": str(known_hosts),
        }
        command = ["ssh", "-F", "/dev/null", "-i", str(target.key), "-l", target.user]
        yield [*command, *(f"-o{name}={value}" for name, value in options.items()), target.host]


def ask_daemon(name: str, target: Target, timeout: float = 20.0) -> Daemon:
    """Return what the Nix of a builder says of itself, or raise a BuilderError."""
    with ssh_command(target, timeout) as command:
        answer, said = _talk([*command, "nix-daemon --stdio"], timeout + 10)
    daemon = _parse_hello(answer)
    if daemon is None:
        raise BuilderError(explain_ssh(name, target, said))
    return daemon


def _talk(command: list[str], timeout: float) -> tuple[bytes, str]:
    """Say hello and return the answer and what was said beside it; input stays open until the answer is there."""
    hello = struct.pack("<QQQQ", _MAGIC_CLIENT, _PROTOCOL, 0, 0)
    answer = b""
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log)
        assert process.stdin is not None and process.stdout is not None
        deadline = time.monotonic() + timeout
        try:
            process.stdin.write(hello)
            process.stdin.flush()
            while _parse_hello(answer) is None and (left := deadline - time.monotonic()) > 0:
                ready, _, _ = select.select([process.stdout], [], [], left)
                piece = os.read(process.stdout.fileno(), 4096) if ready else b""
                if not piece:
                    break
                answer += piece
        except BrokenPipeError:
            pass
        with contextlib.suppress(BrokenPipeError):
            process.stdin.close()
        process.stdout.close()
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        log.seek(0)
        return answer, log.read().decode(errors="replace")


def explain_ssh(name: str, target: Target, log: str) -> str:
    """Return one sentence for what ssh said when it could not reach a builder's Nix."""
    where = f"builder '{name}' ({target.user}@{target.host})"
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    last = lines[-1] if lines else "it said nothing"
    if "Host key verification failed" in log or "IDENTIFICATION HAS CHANGED" in log:
        return (
            f"{where} shows another host key than the pinned one: it is another machine, or somebody is in between; "
            "do not use it"
        )
    if "UNPROTECTED PRIVATE KEY" in log or "bad permissions" in log:
        return f"{where}: others can read the key {target.key}, so ssh refuses it; run: chmod 600 {target.key}"
    if "Permission denied" in log:
        return f"{where} refuses the key {target.key}; register it with the key that the machine was made with"
    if any(sign in log for sign in ("refused", "timed out", "No route", "unreachable", "Could not resolve")):
        return f"{where} is not reachable ({last}); see whether it runs and is still rented: reel builder status"
    return f"{where}: its Nix does not answer ({last}); see whether 'nix-daemon --stdio' is there and allowed"


def _parse_hello(answer: bytes) -> Daemon | None:
    """Read magic, protocol version, and from 1.33 on Nix's version, from 1.35 on whether it trusts us."""
    try:
        magic, protocol = struct.unpack_from("<QQ", answer)
        if magic != _MAGIC_SERVER or protocol & 0xFF < 33:
            return None
        (length,) = struct.unpack_from("<Q", answer, 16)
        end = 24 + length
        version = answer[24:end].decode()
        if len(version) != length:
            return None
        trusted = None
        if protocol & 0xFF >= 35:
            (flag,) = struct.unpack_from("<Q", answer, end + -length % 8)
            trusted = {1: True, 2: False}.get(flag)
        return Daemon(version, trusted)
    except (struct.error, UnicodeDecodeError):
        return None
