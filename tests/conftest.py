"""What tests of every kind share."""

from __future__ import annotations

import shutil
import subprocess

import pytest


@pytest.fixture(scope="session")
def ssh_keygen() -> str:
    """The program that makes and checks keys; installed where the machine lacks it."""
    if shutil.which("ssh-keygen") is None:
        subprocess.run(["apt-get", "-q", "update"], check=True)
        subprocess.run(["apt-get", "-q", "-y", "--no-install-recommends", "install", "openssh-client"], check=True)
    return "ssh-keygen"
