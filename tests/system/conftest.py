"""What system tests share: real Nix, real builds, a second store, a newer Nix. Nothing here is a stand-in."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from browser import Browser
from builder_sshd import install_sshd
from real_nix import fetch_nix, output_paths


@pytest.fixture(scope="session")
def smoke() -> Path:
    """The built .#wan22-smoke."""
    return Path(output_paths(["wan22-smoke"])[0])


@pytest.fixture(scope="session")
def newer_nix() -> Path:
    """A folder with `nix` of a newer Debian release (2.26), relocated; fetched from the mirror that apt uses here."""
    return fetch_nix("trixie")


@pytest.fixture(scope="session")
def newest_nix() -> Path:
    """The same of the Debian release that is still being made (2.34 or newer)."""
    return fetch_nix("forky")


@pytest.fixture(scope="session")
def sshd() -> Path:
    """The path of sshd, which is installed where it is missing until the run ends: a mirror may fail at any time."""
    return install_sshd()


@pytest.fixture(scope="session")
def browser(chromium: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """A headless browser."""
    browser = Browser(chromium, tmp_path_factory.mktemp("browser") / "profile")
    yield browser
    browser.close()
