"""Proving that a builder is what it should be: the GPU from inside the sandbox, and nothing else landing there."""

from __future__ import annotations

import json
import secrets
from pathlib import Path
from typing import Any

from reelgraph.builder.machines import Builder, check_version
from reelgraph.builder.nix import last_line, nixw
from reelgraph.builder.offload import explain_log
from reelgraph.builder.ssh import ask_daemon
from reelgraph.errors import StageError
from reelgraph.stage import validate as check_schema

_ATTRIBUTE = ".#lib.x86_64-linux.builderValidation"


def validate_builder(builder: Builder, *, any_version: bool) -> dict[str, Any]:
    """Build two never-built derivations and return what was found; raise a StageError at the first fault."""
    daemon = ask_daemon(builder.name, builder.target)
    check_version(builder.name, daemon, any_version=any_version)
    only = ["--builders", builder.line]
    nonce = secrets.token_hex(8)
    place = _build("place", nonce, only)
    if f"on '{builder.uri}'" in place.log:
        raise StageError(
            f"builder '{builder.name}' took a job that needs no GPU; its machines line must have 'cuda' as mandatory "
            "feature"
        )
    if place.status:
        raise StageError(f"a job that needs no GPU could not be built here: {last_line(place.log)}")
    gpu = _build("gpu", nonce, only)
    if f"on '{builder.uri}'" not in gpu.log:
        reason = explain_log(gpu.log, [builder]) or last_line(gpu.log)
        raise StageError(f"the GPU check was not sent to builder '{builder.name}': {reason}")
    if gpu.status:
        said = [
            line.split("reelgraph: gpu-check: ")[1] for line in gpu.log.splitlines() if "reelgraph: gpu-check: " in line
        ]
        reason = said[0] if said else explain_log(gpu.log, [builder]) or last_line(gpu.log)
        raise StageError(f"builder '{builder.name}' has no usable GPU: {reason}")
    found = json.loads(Path(json.loads(gpu.output)[0]["outputs"]["out"]).read_text(encoding="utf-8"))
    if found["nonce"] != nonce:
        raise StageError(f"builder '{builder.name}' returned another check's result; look at its store")
    result = {"builder": builder.name, "nix": daemon.version, **found}
    check_schema(result, "builder-validation", "validation")
    return result


def gpu_as_line(gpu: dict[str, Any]) -> str:
    """Return one card of a validation as people read it."""
    memory = gpu["memory_bytes"] / 1e9
    return f"{gpu['name']}, compute capability {gpu['compute_capability']}, {memory:.0f} GB, {gpu['uuid']}"


def _build(which: str, nonce: str, options: list[str]) -> Any:
    environment = {"REEL_VALIDATION_NONCE": nonce}
    return nixw(
        ["build", "--impure", "-L", "--no-link", "--json", *options, f"{_ATTRIBUTE}.{which}"], environment=environment
    )
