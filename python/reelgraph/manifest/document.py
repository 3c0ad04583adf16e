"""The manifest as a document: read, checked, written, and what a person wrote in it."""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from reelgraph.errors import StageError
from reelgraph.files import read_json, write_json
from reelgraph.stage import validate

MANIFEST = Path("materials/training-data/iiw_english_source_manifest.json")
TABLE = Path("docs/internal/iiw-english-episode-source-manifest.csv")
PATTERNS = Path("materials/training-data/name-patterns.json")
COLUMNS = (
    "id",
    "production",
    "title",
    "language",
    "canonical",
    "bible_episode",
    "file",
    "bytes",
    "sha256",
    "picture",
    "sound",
)
Episode = dict[str, Any]


def read_manifest(path: Path) -> dict[str, Any]:
    """Return a manifest; one that is missing, wrong or contradicts itself raises a StageError."""
    if not path.is_file():
        raise StageError(f"{path}: there is no manifest; make one: reel manifest build DIR", status=3)
    manifest = read_json(path)
    validate(manifest, "source-manifest", path.name)
    for problem in problems(manifest):
        raise StageError(f"{path.name}: {problem}")
    return manifest


def said(episode: Mapping[str, Any], field: str) -> Any:
    """Return a field of an episode: what a person wrote, or else what was found."""
    return episode["by_hand"].get(field, episode[field])


def problems(manifest: Mapping[str, Any]) -> Iterable[str]:
    """Yield one sentence for each contradiction within a manifest."""
    seen: dict[str, str] = {}
    files: dict[str, str] = {}
    canonical: dict[str, list[str]] = defaultdict(list)
    for episode in manifest["episodes"]:
        name = episode["id"]
        if name in seen:
            yield f"episode '{name}' is there twice ({seen[name]}, {episode['file']}); keep one of them"
        seen[name] = episode["file"]
        if episode["sha256"] in files:
            yield f"episodes '{files[episode['sha256']]}' and '{name}' are the same bytes; remove one of them"
        files[episode["sha256"]] = name
        if said(episode, "canonical"):
            canonical[episode["production"]].append(name)
    for production, names in canonical.items():
        if len(names) > 1:
            yield f"production {production} has {len(names)} canonical masters ({', '.join(names)}); set 'canonical'"
    for name in manifest["smoke_subset"]:
        if name not in seen:
            yield f"smoke_subset: there is no episode '{name}'; name one of the manifest's"


def write_manifest(path: Path, manifest: Mapping[str, Any]) -> None:
    """Write a manifest after checking it."""
    validate(manifest, "source-manifest", path.name)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_json(path, manifest)


def write_table(path: Path, manifest: Mapping[str, Any]) -> None:
    """Write the manifest as a table for people: one line a master."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file, lineterminator="\n", quoting=csv.QUOTE_ALL)
        rows.writerow(COLUMNS)
        for episode in manifest["episodes"]:
            picture = next(stream for stream in episode["streams"] if stream["kind"] == "video")
            sounds = [stream for stream in episode["streams"] if stream["kind"] == "audio"]
            rows.writerow(
                [
                    episode["id"],
                    episode["production"],
                    said(episode, "title"),
                    said(episode, "language"),
                    "yes" if said(episode, "canonical") else "no",
                    said(episode, "bible_episode") or "",
                    episode["file"],
                    episode["bytes"],
                    episode["sha256"],
                    f"{picture['codec']} {picture['width']}x{picture['height']} {picture['rate']}",
                    "; ".join(
                        f"{sound['codec']} {sound['channels']} ch {sound['language'] or '?'}" for sound in sounds
                    ),
                ]
            )
