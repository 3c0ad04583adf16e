"""Keys are named as the provider, ssh and Nix name them, and what cannot be used is refused."""

from __future__ import annotations

import base64
import subprocess
from pathlib import Path

import pytest

from reelgraph.builder.credentials import RefusedCredentials, check_private
from reelgraph.builder.keys import fingerprints, make_key, md5_fingerprint, pinned, read_key, sha256_fingerprint
from reelgraph.builder.machines import Builder
from reelgraph.builder.ssh import Daemon
from reelgraph.errors import StageError


def test_fingerprints_are_those_of_ssh_keygen(tmp_path: Path, ssh_keygen: str) -> None:
    key = make_key(tmp_path / "keys", "id_ed25519")
    for form, function in (("md5", md5_fingerprint), ("sha256", sha256_fingerprint)):
        command = [ssh_keygen, "-l", "-E", form, "-f", f"{key.private}.pub"]
        shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()[1]
        assert shown in fingerprints(key.public) and shown.endswith(function(key.public))
    assert len(key.fingerprint) == 47


def test_a_new_key_is_private_and_replaces_one_that_was_never_used(tmp_path: Path) -> None:
    first = make_key(tmp_path / "keys", "id_ed25519")
    assert first.private.stat().st_mode & 0o077 == 0 and first.private.parent.stat().st_mode & 0o077 == 0
    second = make_key(tmp_path / "keys", "id_ed25519")
    assert first.public != second.public == read_key(second.private).public


def test_a_machines_line_pins_type_and_value_of_the_host_key() -> None:
    assert base64.b64decode(pinned("ssh-ed25519 AAAA root@host\n")) == b"ssh-ed25519 AAAA"


def test_an_ipv6_address_stands_in_brackets() -> None:
    assert (
        Builder("b", "2001:db8::2", "reel-builder", "/key", "ssh-ed25519 AAAA", 1).uri
        == "ssh-ng://reel-builder@[2001:db8::2]"
    )


@pytest.mark.parametrize("text", ["", "ssh-ed25519", "ssh-ed25519 not!base64"])
def test_what_is_no_public_key_is_refused(text: str) -> None:
    with pytest.raises(StageError, match="is not a public key"):
        md5_fingerprint(text)


@pytest.mark.parametrize(
    ("version", "minor"), [("2.34.8", (2, 34)), ("2.8.0", (2, 8)), ("2.31pre20250101_abc", (2, 31))]
)
def test_releases_are_compared_by_their_first_two_numbers(version: str, minor: tuple[int, int]) -> None:
    assert Daemon(version, None).minor == minor


def test_a_secret_that_is_no_regular_file_of_ones_own_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StageError, match="is not a regular file"):
        check_private(tmp_path)
    with pytest.raises(StageError, match="cannot be read"):
        check_private(tmp_path / "none")


def test_refused_credentials_are_tried_again_once_they_change(tmp_path: Path) -> None:
    file = tmp_path / "robot.json"
    file.write_text("one")
    refused = RefusedCredentials(tmp_path)
    refused.check(file)
    refused.remember(file)
    with pytest.raises(StageError, match="refused these credentials before"):
        refused.check(file)
    file.write_text("another")
    refused.check(file)
