"""What tests of every kind share."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import together
from browser import find_chromium
from builder_sshd import remove_sshd
from hypothesis.internal.conjecture import providers
from hypothesis.internal.constants_ast import Constants
from real_nix import copy_of_checkout

# Else it draws from the constants of all modules that are loaded: other tests beside a test would change its examples.
mock.patch.object(providers, "_get_local_constants", Constants).start()


def pytest_configure(config: pytest.Config) -> None:
    """Give the processes of a run a folder in common; what was installed for all of them is removed after the last."""
    if not hasattr(config, "workerinput"):
        together.begin()
        config.add_cleanup(together.end)
        config.add_cleanup(remove_sshd)


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

    def install(_: Path) -> None:
        if shutil.which(program) is None:
            subprocess.run(["apt-get", "-q", "update"], check=True)
            subprocess.run(["apt-get", "-q", "-y", "--no-install-recommends", "install", package], check=True)

    together.once(package, install)
    return program


@pytest.fixture(scope="session")
def chromium() -> str:
    """A Chromium, fetched once where this machine has none."""
    return find_chromium()


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of this checkout that a test may edit."""
    return copy_of_checkout(tmp_path / "checkout")


@pytest.fixture(scope="session")
def made_up_work() -> dict[str, Any]:
    """What a licensee writes in materials/licences/works about masters of their own."""
    return {
        "title": "Made-up masters",
        "kind": "film",
        "licence": "public-domain",
        "attribution": "Made by the tests",
        "source": "made by the tests",
        "package": None,
    }
