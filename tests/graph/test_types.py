"""Wrong edges, parameters' names and toolchains are evaluation errors that name the thing."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
STUBS = """
  plain = { name = "shots"; kind = "shots"; environment = "media"; schemas = [ ]; modules = [ ]; };
  stages = {
    picky = plain // { inputs = { source = "source"; }; };
    either = plain // { inputs.plan = [ "wan22-plan" "ltx2-plan" ]; };
    many = plain // { inputs.clips.each = "clips"; };
  };
  mkStage = import ./nix/stage.nix {
    system = "x86_64-linux"; environments.media = "/environment"; code = ./python; stages = { };
  };
"""


def nix(expression: str) -> subprocess.CompletedProcess[str]:
    """Evaluate a Nix expression in the checkout."""
    command = [
        "nix-instantiate",
        "--extra-experimental-features",
        "ca-derivations",
        "--eval",
        "--strict",
        "--json",
        "--expr",
        expression,
    ]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)


@pytest.mark.parametrize(
    ("definition", "inputs", "sentence"),
    [
        (
            "picky",
            '{ source = { kind = "clips"; }; }',
            "input 'source' must be a stage of kind 'source', not a stage of kind 'clips'",
        ),
        ("picky", "{ }", "input 'source' is missing"),
        (
            "picky",
            '{ source = { kind = "source"; path = "/x"; }; clip = 1; }',
            "input 'clip' is unknown; it takes source",
        ),
        ("picky", "{ source = 3; }", "input 'source' must be a stage of kind 'source', not a int"),
        (
            "many",
            '{ clips = { kind = "clips"; }; }',
            "input 'clips' must be an attribute set of stages of kind 'clips'",
        ),
        ("many", '{ clips.one = { kind = "shots"; }; }', "input 'clips.one' must be a stage of kind 'clips'"),
        (
            "either",
            '{ plan = { kind = "clips"; }; }',
            "input 'plan' must be a stage of kind 'wan22-plan' or 'ltx2-plan', not a stage of kind 'clips'",
        ),
    ],
)
def test_a_wrong_edge_names_stage_input_and_kind(definition: str, inputs: str, sentence: str) -> None:
    call = f'mkStage {{ definition = stages.{definition}; set = "episode-1"; inputs = {inputs}; }}'
    expression = f"let {STUBS} in ({call}).drvPath"
    finished = nix(expression)
    assert finished.returncode != 0
    assert f"stage 'shots' of 'episode-1': {sentence}" in finished.stderr


def test_both_toolchains_offer_the_same_interface() -> None:
    package = '{ type = "derivation"; outPath = "/store/x"; lib.outPath = "/store/lib"; cc.lib = "/store/lib"; }'
    nixpkgs = f"""let p = {package}; in {{ legacyPackages.x86_64-linux = {{
      bash = p; glibc = p; zlib = p; python311 = p; python311Packages.pip = p; cacert = p; stdenv.cc.cc.lib = p;
      glib.out = p; xorg = {{ libX11 = p; libXext = p; libXrender = p; }};
    }}; }}"""
    embedded = '{ embedded = { seed = "/s"; headers = "/h"; desktop = "/d"; certificates = "/c"; }; }'
    kind = 'if value ? outPath || builtins.isString value then "path" else builtins.typeOf value'
    describe = f"builtins.mapAttrs (_: value: {kind})"
    kinds = [
        json.loads(
            nix(f'{describe} (import ./nix/toolchain {{ system = "x86_64-linux"; toolchain = {toolchain}; }})').stdout
        )
        for toolchain in (nixpkgs, embedded)
    ]
    assert kinds[0] == kinds[1]
    documented = (ROOT / "nix/toolchain/default.nix").read_text()
    assert all(f"#   {name} " in documented for name in kinds[0])


def test_a_toolchain_that_is_neither_says_what_to_do() -> None:
    finished = nix('(import ./nix/toolchain { system = "x86_64-linux"; toolchain = { }; }).name')
    assert "neither nixpkgs for x86_64-linux nor a seed made by nixw; use ./nixw" in finished.stderr


def test_a_damaged_lock_line_names_file_and_line(tmp_path: Path) -> None:
    (tmp_path / "media.txt").write_text("numpy==2.0\n")
    finished = nix(f"import ./nix/python/lock.nix {tmp_path}/media.txt")
    assert "media.txt: cannot read the line 'numpy==2.0'" in finished.stderr
