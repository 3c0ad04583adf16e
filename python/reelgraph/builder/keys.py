"""SSH keys made for one lease, and how keys are named: by fingerprint, and as the line that Nix pins."""

from __future__ import annotations

import base64
import hashlib
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from reelgraph.errors import StageError


@dataclass(frozen=True)
class KeyPair:
    """A private key's file and the line of its public key."""

    private: Path
    public: str

    @property
    def fingerprint(self) -> str:
        """The MD5 fingerprint with colons: the one that the Robot webservice knows keys by."""
        return md5_fingerprint(self.public)


def make_key(folder: Path, name: str) -> KeyPair:
    """Make ``folder/name`` and its public half, without a passphrase because a build daemon must use it."""
    if shutil.which("ssh-keygen") is None:
        raise StageError("ssh-keygen is missing; install the OpenSSH client", status=3)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    private = folder / name
    # A process that was killed half-way leaves a file here; the key in it was never used.
    private.unlink(missing_ok=True)
    command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "reelgraph", "-f", str(private)]
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL)
    os.chmod(private, 0o600)
    return read_key(private)


def read_key(private: Path) -> KeyPair:
    """Return the pair of a private key's file with ``.pub`` beside it."""
    public = private.with_name(private.name + ".pub")
    try:
        return KeyPair(private, public.read_text(encoding="utf-8").strip())
    except OSError as error:
        raise StageError(
            f"{public}: cannot be read ({error.strerror}); the public half must lie beside {private}", status=3
        ) from error


def md5_fingerprint(public: str) -> str:
    """Return ``aa:bb:…`` of a public key's line."""
    digest = hashlib.md5(_blob(public), usedforsecurity=False).hexdigest()
    return ":".join(digest[at : at + 2] for at in range(0, 32, 2))


def sha256_fingerprint(public: str) -> str:
    """Return ``SHA256:…`` of a public key's line, as ssh shows it."""
    return "SHA256:" + base64.b64encode(hashlib.sha256(_blob(public)).digest()).decode().rstrip("=")


def fingerprints(public: str) -> set[str]:
    """Return every form in which somebody may name this public key."""
    md5 = md5_fingerprint(public)
    return {md5, f"MD5:{md5}", sha256_fingerprint(public)}


def pinned(public: str) -> str:
    """Return the public key's type and value as a machines line takes a host key: base64 of the line."""
    return base64.b64encode(" ".join(public.split()[:2]).encode()).decode()


def _blob(public: str) -> bytes:
    try:
        return base64.b64decode(public.split()[1], validate=True)
    except (IndexError, ValueError) as error:
        raise StageError(
            f"'{' '.join(public.split())[:40]}' is not a public key such as 'ssh-ed25519 AAAA…'"
        ) from error
