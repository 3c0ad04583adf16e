"""What `reel` shows of Nix while it builds."""

from __future__ import annotations

from pathlib import Path

import pytest

from reelgraph.builder.nix import nixw

# As Nix 2.8 to 2.34 say it for every installable.
ABOUT_LOCK = """\
warning: not writing modified lock file of flake 'git+file:///checkout':
• Updated input 'toolchain':
    follows 'nixpkgs'
  → 'path:/nix/store/xssh3bla857cw7lh65vmcpjmdzh9hb75-source?lastModified=0&narHash=sha256-JRzLn' (1970-01-01)
"""


def test_a_build_shows_its_log_without_what_nix_says_of_the_lock_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "flake.nix").touch()
    log = f"{ABOUT_LOCK}{ABOUT_LOCK}warning: the disk is slow\nreel-iiw> clips: 3/5 frames\n"
    (tmp_path / "log").write_text(log)
    (tmp_path / "nixw").write_text('#!/bin/sh\ncat log >&2\necho "$@"\n')
    (tmp_path / "nixw").chmod(0o755)
    monkeypatch.chdir(tmp_path)
    finished = nixw(["build", "it"])
    assert (finished.status, finished.output, finished.log) == (0, "build it\n", log)
    assert capsys.readouterr().err == "warning: the disk is slow\nreel-iiw> clips: 3/5 frames\n"
