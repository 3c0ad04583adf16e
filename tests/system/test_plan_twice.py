"""A plan evaluates the files of a checkout once, however often it is asked, and again when one of them is another."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from reel import copy_checkout, reel_command, reel_environment

TARGET = "smoke.bible"


def asked_of_nix(checkout: Path, programs: Path) -> list[str]:
    """Plan a target; return the commands that Nix was called with on the way."""
    log = programs / "log"
    log.write_text("")
    environment = {**reel_environment(), "PATH": f"{programs}:{os.environ['PATH']}"}
    finished = subprocess.run(
        reel_command("plan", TARGET), cwd=checkout, env=environment, capture_output=True, text=True, check=False
    )
    assert finished.returncode == 0, finished.stderr
    assert finished.stdout.startswith(f"{TARGET}: 1 stage: ")
    return log.read_text().split()


def test_the_same_files_are_evaluated_once(tmp_path: Path) -> None:
    checkout, programs = copy_checkout(tmp_path / "checkout"), tmp_path / "bin"
    programs.mkdir()
    nix = programs / "nix"
    nix.write_text(f'#!/bin/sh\necho "$1" >>{programs}/log\nexec {shutil.which("nix")} "$@"\n')
    nix.chmod(0o755)
    assert "eval" in asked_of_nix(checkout, programs)
    again = asked_of_nix(checkout, programs)
    assert "flake" in again and "eval" not in again
    pipeline = checkout / "nix/pipelines/smoke.nix"
    pipeline.write_text(f"{pipeline.read_text()}# another file\n")
    assert "eval" in asked_of_nix(checkout, programs)
