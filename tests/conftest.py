"""What tests of every kind share."""

from __future__ import annotations

import shutil
import subprocess

import pytest


@pytest.fixture(scope="session")
def ssh_keygen() -> str:
    """The program that makes and checks SSH keys; installed where the machine lacks it."""
    return installed("ssh-keygen", "openssh-client")


@pytest.fixture(scope="session")
def minisign() -> str:
    """The program that makes and checks minisign's keys; installed where the machine lacks it."""
    return installed("minisign", "minisign")


def installed(program: str, package: str) -> str:
    """Return a program that is there, if need be by installing its Debian package."""
    if shutil.which(program) is None:
        subprocess.run(["apt-get", "-q", "update"], check=True)
        subprocess.run(["apt-get", "-q", "-y", "--no-install-recommends", "install", package], check=True)
    return program
