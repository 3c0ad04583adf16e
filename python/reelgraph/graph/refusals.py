"""Why Nix did not evaluate or build something, as one sentence that says what to do."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from reelgraph.errors import StageError
from reelgraph.graph.words import some
from reelgraph.manifest.document import MANIFEST

_MOST_NAMED = 2
# nixw gives a flake a toolchain that its lock file does not have, and Nix says so for each installable.
_ABOUT_LOCK = (
    "warning: not writing modified lock file",
    "• Updated input 'toolchain'",
    "    follows 'nixpkgs'",
    "  → 'path:/nix/store/",
)


# As Nix 2.8 and 2.26, and 2.34 in two ways, say that a flake lacks a file which its own files name.
_NO_FILE = re.compile(
    r"error: (?:getting status of|path) '/nix/store/\w{32}-source/([^']+)'(?:: No such file| does not exist)"
    r"|Path '([^']+)' (?:in the repository|does not exist in Git repository)"
)


class NoSuchTarget(StageError):
    """A target that is not there; ``like`` are names that are nearly its, as Nix lists them, or ""."""

    def __init__(self, sentence: str, like: str) -> None:
        super().__init__(sentence, status=2)
        self.like = like


def refusal(root: Path, installable: str, log: str) -> StageError | None:
    """Return why Nix ended without an installable of the checkout at ``root``; None if only its ``log`` says it."""
    if "does not provide attribute" in log:
        flake, _, target = installable.rpartition("#")
        found = re.search(r"Did you mean (?:one of )?(.+)\?", log)
        like = found.group(1) if found else ""
        where = f" in {flake}" if flake.startswith("git+") else ""
        unknown = unknown_to_git(root)
        is_licensed = target.startswith("iiw")
        if is_licensed and not (root / MANIFEST).exists():
            hint = "the licensed pipelines are there once their manifest is: reel manifest build DIR"
        elif like and not (is_licensed and unknown):
            hint = f"did you mean {like}?"
        elif unknown:
            hint = f"git does not know {some(unknown, _MOST_NAMED)}; run: git add nix materials"
        else:
            hint = "try wan22-smoke, smoke or smoke.checkpoint"
        return NoSuchTarget(f"there is no target '{target}'{where}; {hint}", like)
    if found := _NO_FILE.search(log):
        file = found.group(1) or found.group(2)
        if not (root / file).exists():
            return StageError(f"{installable}: {file} is not there; write it, or mend the line that names it", status=3)
        return StageError(f"{installable}: git does not know {file}; run: git add {file}", status=3)
    said = own_sentence(log)
    return StageError(said, status=3) if said != log else None


def unknown_to_git(root: Path) -> list[str]:
    """Return the files of nix/ and materials/ that git does not know; none where there is no git repository."""
    command = ["git", "ls-files", "--others", "--exclude-standard", "nix", "materials"]
    try:
        return subprocess.run(command, cwd=root, capture_output=True, text=True, check=False).stdout.splitlines()
    except FileNotFoundError:
        return []


def own_sentence(log: str) -> str:
    """Return what Reelgraph's own code said in a log of Nix, a line each, or the log if that is not why it failed.

    A stage knows a file's name only as it is in the store; the line has it as people know it,
    ``iiw-101/shots: iiw-101.json: …``.
    """
    # At the end of a log Nix repeats its last lines.
    said = dict.fromkeys(re.findall(r"reelgraph: (.+)", log))
    return "\n".join(re.sub(r"\b[0-9a-z]{32}-(?=[\w.])", "", line) for line in said) or log


def is_about_lock(line: str) -> bool:
    """Whether a line of Nix's log only says that the lock file stays as it is."""
    return line.startswith(_ABOUT_LOCK)


def nix_complaint(log: str) -> str:
    """Return the part of Nix's messages that says what is wrong."""
    lines = [line for line in log.splitlines() if not line.startswith("warning:") and not is_about_lock(line)]
    start = next((index for index, line in enumerate(lines) if line.startswith("error:")), 0)
    return "\n".join(line for line in lines[start:] if "--show-trace" not in line).strip()
