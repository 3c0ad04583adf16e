"""Signatures of statements, with a key that the user has, by ssh-keygen or minisign: no key is made or kept here."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from reelgraph.errors import StageError

NAMESPACE = "reelgraph-statement"
SSH, MINISIGN = ".sig", ".minisig"
_MINISIGN_START = "untrusted comment:"


def sign(statement: Path, key: Path) -> Path:
    """Sign a statement with an SSH key (private, or public with its private one in the agent) or a minisign secret key.

    Returns the signature's file beside the statement.
    """
    if not key.is_file():
        raise StageError(f"{key}: no such key; name an SSH key or a minisign secret key", status=2)
    if key.read_bytes().startswith(_MINISIGN_START.encode()):
        signature = statement.with_name(statement.name + MINISIGN)
        _run(
            ["minisign", "-S", "-s", str(key), "-m", str(statement), "-x", str(signature)],
            f"{key}: minisign could not sign with it",
            is_asking=True,
        )
        return signature
    signature = statement.with_name(statement.name + SSH)
    signature.unlink(missing_ok=True)
    _run(
        ["ssh-keygen", "-Y", "sign", "-f", str(key), "-n", NAMESPACE, str(statement)],
        f"{key}: ssh-keygen could not sign with it",
    )
    return signature


def find_signature(statement: Path) -> Path | None:
    """Return the signature beside a statement, or None."""
    candidates = [statement.with_name(statement.name + suffix) for suffix in (SSH, MINISIGN)]
    return next((path for path in candidates if path.is_file()), None)


def check_signature(statement: Path, signature: Path, key: Path) -> str:
    """Return who signed a statement; raise a StageError if the signature is not by ``key``.

    ``key`` is an SSH public key, a file of allowed signers, or a minisign public key.
    """
    if not key.is_file():
        raise StageError(f"{key}: no such key; name a public key or a file of allowed signers", status=2)
    if signature.suffix == MINISIGN:
        _run(
            ["minisign", "-V", "-p", str(key), "-m", str(statement), "-x", str(signature), "-q"],
            f"{signature.name}: is no signature of {statement.name} by {key.name}",
        )
        return f"minisign key {key.name}"
    signers = key.read_text(encoding="utf-8")
    if signers.split(" ", 1)[0].startswith(("ssh-", "ecdsa-", "sk-")):
        signers = f"signer {signers}"
    identity = signers.split(" ", 1)[0].split(",")[0]
    allowed = signature.with_name(f".{signature.name}.signers")
    try:
        allowed.write_text(signers if signers.endswith("\n") else signers + "\n", encoding="utf-8")
        command = [
            "ssh-keygen",
            "-Y",
            "verify",
            "-f",
            str(allowed),
            "-I",
            identity,
            "-n",
            NAMESPACE,
            "-s",
            str(signature),
        ]
        _run(command, f"{signature.name}: is no signature of {statement.name} by {key.name}", statement.read_bytes())
    finally:
        allowed.unlink(missing_ok=True)
    return identity if identity != "signer" else f"SSH key {key.name}"


def _run(command: list[str], complaint: str, text: bytes | None = None, is_asking: bool = False) -> None:
    """Run a program or raise a StageError; what one that ``is_asking`` for a password says is shown, not kept."""
    if shutil.which(command[0]) is None:
        package = {"ssh-keygen": "openssh-client"}.get(command[0], command[0])
        raise StageError(f"{command[0]} is not installed; install {package}", status=3)
    finished = subprocess.run(
        command, input=text, stdout=subprocess.PIPE, stderr=None if is_asking else subprocess.PIPE, check=False
    )
    if finished.returncode:
        said = (finished.stderr or finished.stdout).decode(errors="replace").strip().splitlines()
        raise StageError(f"{complaint} ({said[-1] if said else f'status {finished.returncode}'})")
