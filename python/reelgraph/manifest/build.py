"""Make the manifest of a folder of masters, and carry over what people wrote in the last one."""

from __future__ import annotations

import os
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from pathlib import Path
from typing import Any

from reelgraph.byte_progress import byte_progress
from reelgraph.errors import StageError
from reelgraph.manifest.document import Episode
from reelgraph.manifest.hashes import Hashes
from reelgraph.manifest.names import Name, Patterns, episode_id
from reelgraph.manifest.probe import probe

SAME_TITLE = 0.9


@dataclass
class Built:
    """A manifest's episodes, and one sentence for each file that is not among them."""

    episodes: list[Episode] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)


def find_masters(folder: Path, patterns: Patterns) -> list[Path]:
    """Return the files below ``folder`` that may be masters, in the order of their names."""
    if not folder.is_dir():
        raise StageError(f"{folder}: is no folder; give the one that holds the masters", status=2)

    def refuse(error: OSError) -> None:
        raise StageError(f"{error.filename}: cannot be listed ({error.strerror}); change its permissions") from error

    found = [Path(root) / name for root, _, names in os.walk(folder, onerror=refuse) for name in names]
    masters = sorted(path for path in found if path.is_file() and patterns.wants(path))
    if not masters:
        raise StageError(f"{folder}: holds no file; give the folder that holds the masters", status=3)
    return masters


def build(
    folder: Path,
    patterns: Patterns,
    hashes: Hashes,
    before: Iterable[Episode] = (),
    bible: Iterable[Mapping[str, Any]] = (),
) -> Built:
    """Probe and hash every master below ``folder``; ``before`` are the last manifest's, ``bible`` its bible's."""
    built, named = Built(), {}
    for path in find_masters(folder, patterns):
        try:
            named[path] = patterns.read(path)
        except StageError as error:
            built.refused.append(str(error))
    for name, paths in _by_name(named).items():
        if len(paths) > 1:
            files = " and ".join(path.relative_to(folder).as_posix() for path in paths)
            built.refused.append(
                f"{files}: are two masters of production {name[0]} in '{name[1]}'; keep one, or rename one"
            )
            for path in paths:
                del named[path]
    total = sum(path.stat().st_size for path in named)
    old = list(before)
    with byte_progress("manifest", total) as on_bytes:
        for path, name in named.items():
            try:
                streams, digest = probe(path), hashes.read(path, on_bytes)
            except StageError as error:
                built.refused.append(str(error))
                continue
            built.episodes.append(_episode(folder, path, name, patterns, digest, streams, old, bible))
    built.episodes.sort(key=lambda episode: episode["id"])
    return built


def _by_name(named: Mapping[Path, Name]) -> dict[tuple[str, str], list[Path]]:
    groups: dict[tuple[str, str], list[Path]] = defaultdict(list)
    for path, name in named.items():
        groups[name.production, name.language].append(path)
    return groups


def _episode(
    folder: Path,
    path: Path,
    name: Name,
    patterns: Patterns,
    digest: str,
    streams: list[dict[str, Any]],
    old: list[Episode],
    bible: Iterable[Mapping[str, Any]],
) -> Episode:
    usual = patterns.default_language
    identity = episode_id(patterns.series, name.production, name.language, usual)
    # The file may have been renamed, or replaced by a better one; what people wrote stays either way.
    last = next((entry for entry in old if entry["id"] == identity), None)
    last = last or next((entry for entry in old if entry["sha256"] == digest), None)
    return {
        "id": identity,
        "production": name.production,
        "title": name.title,
        "language": name.language,
        "canonical": name.language == usual,
        "bible_episode": bible_episode(name.title, bible),
        "file": unicodedata.normalize("NFC", path.relative_to(folder).as_posix()),
        "suffix": path.suffix.lower(),
        "bytes": path.stat().st_size,
        "sha256": digest,
        "streams": streams,
        "by_hand": dict(last["by_hand"]) if last else {},
    }


def bible_episode(title: str, bible: Iterable[Mapping[str, Any]]) -> str | None:
    """Return the id of the bible's episode of nearly the same title, or None; a person may write another."""
    wanted = title.casefold()
    scores = {
        str(entry["id"]): SequenceMatcher(None, wanted, str(entry["title"]).casefold()).ratio() for entry in bible
    }
    best = max(scores, key=scores.__getitem__, default=None)
    return best if best is not None and scores[best] >= SAME_TITLE else None
