"""The check that keeps media out of git: by what a file holds, not by what it is called."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable, Iterator
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


_HEAD_BYTES = 16
_PIECE_BYTES = 1 << 20


def media_staged(root: Path) -> list[str]:
    """Return one sentence for each file of the next commit that is media, by what git holds of it."""
    # Outside a checkout `git diff` compares plain files.
    _git(root, "rev-parse", "--git-dir")
    listed = _git(root, "diff", "--cached", "--raw", "--no-abbrev", "--no-renames", "--diff-filter=ACM", "-z").split(
        "\0"
    )
    staged = [(fields.split(), name) for fields, name in zip(listed[::2], listed[1::2], strict=False)]
    # Neither links nor other repositories, which hold no bytes of their own.
    blobs = {name: fields[3] for fields, name in staged if fields[1].startswith("100")}
    heads = zip(blobs, _heads(root, blobs.values()), strict=True)
    return [said for name, (size, head) in heads if (said := _refusal(root / name, size, head))]


def media_among(files: Iterable[Path]) -> list[str]:
    """Return one sentence for each file that is media, or too large to be anything else."""
    found = []
    for path in files:
        if path.is_file():
            with path.open("rb") as stream:
                said = _refusal(path, path.stat().st_size, stream.read(_HEAD_BYTES))
            found += [said] if said else []
    return found


def _refusal(path: Path, size: int, head: bytes) -> str | None:
    """Return what is wrong with committing a file of ``size`` bytes that begins with ``head``, or None."""
    kind = next((kind for place, sign, kind in SIGNS if head[place : place + len(sign)] == sign), None)
    # TypeScript ends in .ts too, and is text.
    named = path.suffix.lower() in ENDINGS and (path.suffix.lower() != ".ts" or head[:1] == b"G")
    if kind or named:
        return f"{path}: is media ({kind or path.suffix}); masters and clips stay in the store"
    if size > LARGEST_BYTES:
        return f"{path}: has {size / 1e6:.1f} MB; nothing in this project is so large"
    return None


def _heads(root: Path, blobs: Iterable[str]) -> Iterator[tuple[int, bytes]]:
    """Yield size and first bytes of git's blobs."""
    with subprocess.Popen(
        ["git", "cat-file", "--batch"], cwd=root, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdin is not None and process.stdout is not None
        for blob in blobs:
            process.stdin.write(f"{blob}\n".encode())
            process.stdin.flush()
            size = int(process.stdout.readline().split()[2])
            head = process.stdout.read(min(size, _HEAD_BYTES))
            left = size - len(head) + 1
            while left:
                left -= len(process.stdout.read(min(left, _PIECE_BYTES)))
            yield size, head


def _git(root: Path, *arguments: str) -> str:
    """Return what git prints in a checkout, or raise a StageError."""
    finished = subprocess.run(
        ["git", *arguments], cwd=root, capture_output=True, text=True, errors="surrogateescape", check=False
    )
    if "not a git repository" in finished.stderr:
        raise StageError(f"{root}: is no git checkout; clone the project to commit to it", status=3)
    if finished.returncode:
        raise StageError(f"git: {finished.stderr.strip() or 'failed without a word'}", status=3)
    return finished.stdout


def install_hook(root: Path) -> Path:
    """Make git run the guard before every commit; a hook that is there already raises a StageError."""
    hook = root / _git(root, "rev-parse", "--git-path", "hooks").strip() / "pre-commit"
    if hook.exists() and hook.read_text(encoding="utf-8") != HOOK:
        raise StageError(
            f"{hook}: is there already; add this line to it: ./nixw run .#reel -- manifest guard || exit 1"
        )
    hook.parent.mkdir(parents=True, exist_ok=True)
    hook.write_text(HOOK, encoding="utf-8")
    hook.chmod(0o755)
    return hook
