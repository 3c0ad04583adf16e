"""What `nix flake show` says of the flake, on a machine that need not reach nixpkgs."""

from __future__ import annotations

import json

from real_nix import nixw


def test_the_flake_shows_what_it_offers_and_says_what_each_is_for() -> None:
    finished = nixw("flake", "show", "--json")
    assert finished.status == 0, finished.log[-2000:]
    shown = json.loads(finished.output)
    packages, apps = (shown[kind]["x86_64-linux"] for kind in ("packages", "apps"))
    assert {"wan22-smoke", "wan22-smoke-cuda", "ltx2-smoke", "default"} == packages.keys()
    assert {"tests", "bench", "shell", "reel"} <= apps.keys()
    assert all(package["description"] for package in packages.values())
    # Nix 2.8 tells only packages' descriptions.
    program = nixw(
        "eval", "--json", ".#apps.x86_64-linux", "--apply", "builtins.mapAttrs (_: app: app.meta.description)"
    )
    assert all(json.loads(program.output).values())
