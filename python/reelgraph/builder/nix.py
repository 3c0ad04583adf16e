"""Calling Nix: through the checkout's nixw, with its log shown as it comes and kept for an explanation."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from reelgraph.errors import StageError
from reelgraph.graph.evaluate import find_checkout
from reelgraph.graph.refusals import is_about_lock, refusal

# An ssh connection that broke silently would hold a build for hours.
SSH_OPTIONS = "-o ServerAliveInterval=15 -o ServerAliveCountMax=4"


@dataclass(frozen=True)
class Finished:
    """A finished call: exit status, standard output, log."""

    status: int
    output: str
    log: str


def nixw(arguments: Iterable[str], *, environment: Mapping[str, str] | None = None, show: bool = True) -> Finished:
    """Run ./nixw with its log shown on stderr, but for what it says of the lock file once an installable."""
    root = find_checkout().root
    variables = {**os.environ, **(environment or {})}
    variables["NIX_SSHOPTS"] = f"{SSH_OPTIONS} {variables.get('NIX_SSHOPTS', '')}".strip()
    log = []
    # Output goes to a file: a pipe that nobody reads while the log is shown would fill up and stop Nix.
    with tempfile.TemporaryFile("w+", errors="replace") as output:
        command = [str(root / "nixw"), *arguments]
        process = subprocess.Popen(
            command, stdout=output, stderr=subprocess.PIPE, text=True, errors="replace", env=variables
        )
        assert process.stderr is not None
        for line in process.stderr:
            log.append(line)
            if show and not is_about_lock(line):
                print(line, end="", file=sys.stderr, flush=True)
        status = process.wait()
        output.seek(0)
        return Finished(status, output.read(), "".join(log))


def nix_version() -> str:
    """Return this machine's Nix version."""
    try:
        text = subprocess.run(["nix", "--version"], capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError) as error:
        raise StageError("Nix is missing; ./nixw installs it or says how", status=3) from error
    return text.split()[-1]


def setting(name: str) -> str:
    """Return the value of a Nix setting as this user's builds see it."""
    for command in (["nix", "show-config", "--json"], ["nix", "config", "show", "--json"]):
        features = ["--extra-experimental-features", "nix-command"]
        finished = subprocess.run([*command, *features], capture_output=True, text=True, check=False)
        if finished.returncode == 0:
            return str(json.loads(finished.stdout)[name]["value"])
    raise StageError(f"Nix does not show its settings ({finished.stderr.strip()[-200:]})", status=3)


@dataclass(frozen=True)
class Needed:
    """A derivation as far as offloading goes."""

    path: str
    name: str
    inputs: tuple[str, ...]
    features: tuple[str, ...]

    @property
    def needs_cuda(self) -> bool:
        """Whether only a CUDA builder can build it."""
        return "cuda" in self.features


@dataclass(frozen=True)
class Plan:
    """What a build would do: every derivation by path, and which of them are still to be built."""

    graph: dict[str, Needed]
    missing: frozenset[str]

    def in_order(self) -> list[str]:
        """Return derivations with inputs before what uses them."""
        order: list[str] = []
        seen: set[str] = set()
        for start in sorted(self.graph):
            pending = [(start, False)]
            while pending:
                path, done = pending.pop()
                if done:
                    order.append(path)
                elif path not in seen and path in self.graph:
                    seen.add(path)
                    pending.append((path, True))
                    pending += [(used, False) for used in self.graph[path].inputs]
        return order


def plan(installables: Iterable[str]) -> Plan:
    """Ask Nix what a build of installables would do, without building anything."""
    installables = list(installables)
    dry = nixw(["build", "--dry-run", "--json", "--no-link", *installables], show=False)
    if dry.status:
        named = next((name for name in installables if f"'{name.rpartition('#')[2]}'" in dry.log), installables[0])
        unexplained = StageError(f"{' '.join(installables)}: cannot be planned: {last_line(dry.log)}")
        raise refusal(find_checkout().root, named, dry.log) or unexplained
    roots = [entry["drvPath"] for entry in json.loads(dry.output) if "drvPath" in entry]
    missing = frozenset(re.findall(r"^\s+(/nix/store/\S+\.drv)$", dry.log, re.MULTILINE))
    shown = nixw(["derivation", "show", "--recursive", *roots], show=False)
    if shown.status:
        # The name of Nix 2.8 to 2.14 for it.
        shown = nixw(["show-derivation", "--recursive", *roots], show=False)
    if shown.status:
        raise StageError(f"{' '.join(installables)}: cannot be shown: {last_line(shown.log)}")
    value = json.loads(shown.output)
    return Plan(dict(_needed(*item) for item in value.get("derivations", value).items()), missing)


def _needed(path: str, value: dict[str, Any]) -> tuple[str, Needed]:
    inputs = value.get("inputDrvs", value.get("inputs", {}).get("drvs", {}))
    environment = value.get("env", {})
    attributes = value.get("structuredAttrs") or (
        json.loads(environment["__json"]) if "__json" in environment else environment
    )
    features = attributes.get("requiredSystemFeatures", [])
    path = _store_path(path)
    return path, Needed(
        path,
        str(attributes.get("name", value.get("name", path))),
        tuple(map(_store_path, inputs)),
        tuple(features.split() if isinstance(features, str) else features),
    )


def _store_path(path: str) -> str:
    return path if path.startswith("/") else f"/nix/store/{path}"


def last_line(log: str) -> str:
    """Return the last line of a log that says something."""
    return next((line.strip() for line in reversed(log.splitlines()) if line.strip()), "no message")
