"""The check that keeps media out of git: by what a file holds, not by what it is called."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable
from pathlib import Path

from reelgraph.errors import StageError

LARGEST_BYTES = 1 << 20
ENDINGS = {
    ".aac",
    ".avi",
    ".flac",
    ".m2ts",
    ".m4a",
    ".m4v",
    ".mkv",
    ".mov",
    ".mp3",
    ".mp4",
    ".mts",
    ".mxf",
    ".ogg",
    ".ts",
    ".wav",
    ".webm",
}
# Where in a file, what stands there, and what it is then.
SIGNS = (
    (4, b"ftyp", "MP4 or QuickTime"),
    (4, b"moov", "QuickTime"),
    (4, b"mdat", "QuickTime"),
    (0, b"\x1aE\xdf\xa3", "Matroska or WebM"),
    (0, b"RIFF", "AVI or WAVE"),
    (0, b"OggS", "Ogg"),
    (0, b"fLaC", "FLAC"),
    (0, b"ID3", "MP3"),
    (0, b"\x06\x0e\x2b\x34", "MXF"),
)
HOOK = """#!/bin/sh
# Written by `reel manifest guard --install`: no media in commits.
exec ./nixw run .#reel -- manifest guard
"""


def staged_files(root: Path) -> list[Path]:
    """Return the files that the next commit would add or change."""
    command = ["git", "diff", "--cached", "--name-only", "--diff-filter=ACMR", "-z"]
    finished = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    if finished.returncode:
        raise StageError(f"git: {finished.stderr.strip() or 'failed without a word'}", status=3)
    return [root / name for name in finished.stdout.split("\0") if name]


def media_among(files: Iterable[Path]) -> list[str]:
    """Return one sentence for each file that is media, or too large to be anything else."""
    found = []
    for path in files:
        if not path.is_file():
            continue
        with path.open("rb") as stream:
            head = stream.read(16)
        kind = next((kind for place, sign, kind in SIGNS if head[place : place + len(sign)] == sign), None)
        # TypeScript ends in .ts too, and is text.
        named = path.suffix.lower() in ENDINGS and (path.suffix.lower() != ".ts" or head[:1] == b"G")
        if kind or named:
            found.append(f"{path}: is media ({kind or path.suffix}); masters and clips stay in the store")
        elif path.stat().st_size > LARGEST_BYTES:
            found.append(f"{path}: has {path.stat().st_size / 1e6:.1f} MB; nothing in this project is so large")
    return found


def install_hook(root: Path) -> Path:
    """Make git run the guard before every commit; a hook that is there already raises a StageError."""
    finished = subprocess.run(
        ["git", "rev-parse", "--git-path", "hooks"], cwd=root, capture_output=True, text=True, check=False
    )
    if finished.returncode:
        raise StageError(f"{root}: is no git checkout; clone the project to commit to it", status=3)
    hook = root / finished.stdout.strip() / "pre-commit"
    if hook.exists() and hook.read_text(encoding="utf-8") != HOOK:
        raise StageError(
            f"{hook}: is there already; add this line to it: ./nixw run .#reel -- manifest guard || exit 1"
        )
    hook.parent.mkdir(parents=True, exist_ok=True)
    hook.write_text(HOOK, encoding="utf-8")
    hook.chmod(0o755)
    return hook
