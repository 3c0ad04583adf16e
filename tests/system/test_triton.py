"""Triton starts kernels in the sandbox of a stage, where no compiler, ldconfig or home is."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from real_nix import ROOT, output_paths

PLANTED = """planted = python.script {
      name = "reel-triton-probe";
      file = ./triton_probe.py;
      python = python.environments.train;
      compiler = python.environments.compiler;
    };
"""


def test_a_kernel_is_compiled_and_launched_where_no_compiler_is(checkout: Path) -> None:
    shutil.copy(ROOT / "tests/system/triton_probe.py", checkout / "nix")
    wiring = checkout / "nix/default.nix"
    before, lib, after = wiring.read_text().partition("  lib = {\n")
    assert lib
    wiring.write_text(f"{before}{lib}    {PLANTED}{after}")
    probe = json.loads(Path(output_paths(["lib.x86_64-linux.planted"], flake=f"path:{checkout}")[0]).read_text())
    assert probe == {
        "compilers": [],
        "functions": ["launch", "load_binary"],
        "loaded": "\x7fELF",
        "kernel": "kernel",
        "launch": "7 5",
        "cache": ".triton/cache",
    }
