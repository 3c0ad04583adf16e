"""The old bible of captioned episodes as a bible and labels of today."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from reelgraph.errors import StageError
from reelgraph.text.names import KINDS, WHO
from reelgraph.text.yaml import read_yaml, write_yaml

# Other names that a field may have in an old bible, the first one found is taken.
APPEARANCE = ("appearance", "description", "look")
START, END = ("start_seconds", "start", "start_time"), ("end_seconds", "end", "end_time")
IDS = ("id", "clip", "clip_id", "file_name", "file")


def import_bible(path: Path, folder: Path) -> dict[str, Any]:
    """Write bible.yaml and labels/EPISODE.yaml into the new directory ``folder``; return what came over."""
    if folder.exists():
        raise StageError(f"{folder}: exists already; name a new directory, nothing is overwritten", status=2)
    old = read_yaml(path)
    episodes = {name: (entry, list(_captioned(entry))) for name, entry in _episodes(old, path.name)}
    if not any(clips for _, clips in episodes.values()):
        raise StageError(f"{path.name}: holds no episode with a training_caption")
    labels = {
        name: [_label(clip, name, path.name) for clip in clips if _text(clip)] for name, (_, clips) in episodes.items()
    }
    to_mend: list[str] = []
    bible: dict[str, Any] = {
        "series": _first(old, ("series", "title", "name")) or "",
        "source": f"Imported from {path.name}.",
        **{kind: [_entry(kind, entry, to_mend) for entry in _entries(old, kind)] for kind in KINDS},
        "episodes": [
            {"id": name, "title": _first(entry, ("title", "name")) or name, "synopsis": _synopsis(name, entry, to_mend)}
            for name, (entry, _) in episodes.items()
        ],
    }
    if not bible["series"]:
        to_mend.append("the series has no title: none of series, title, name")
    (folder / "labels").mkdir(parents=True)
    write_yaml(folder / "bible.yaml", bible, "Imported; check it with `reel bible check`.")
    for name, entries in labels.items():
        write_yaml(
            folder / "labels" / f"{name}.yaml", {"offset_seconds": 0, "labels": entries}, f"Old captions of {name}."
        )
    counts = {
        name: {
            "labels": len(labels[name]),
            "without_caption": len(clips) - len(labels[name]),
            "matched_by": dict(
                Counter(next(key for key in ("seconds", "picture", "clip") if key in one) for one in labels[name])
            ),
        }
        for name, (_, clips) in episodes.items()
    }
    return {"episodes": counts, "to_mend": to_mend}


def _episodes(old: Any, file: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    found = old.get("episodes", []) if isinstance(old, Mapping) else old
    if isinstance(found, Mapping):
        found = [
            {"id": name, **(entry if isinstance(entry, Mapping) else {"clips": entry})} for name, entry in found.items()
        ]
    seen = set()
    for number, entry in enumerate(found or []):
        name = str(_first(entry, ("id", "episode", "number")) or "") if isinstance(entry, Mapping) else ""
        if not name or "/" in name:
            raise StageError(f"{file}: episode {number} has no id (a field id, episode or number)")
        if name in seen:
            raise StageError(f"{file}: episode '{name}' stands twice; its captions would be mixed")
        seen.add(name)
        yield name, entry


def _captioned(value: Any) -> Iterator[Mapping[str, Any]]:
    """Yield every mapping below ``value`` that has the field training_caption."""
    if isinstance(value, Mapping):
        if "training_caption" in value:
            yield value
        else:
            for inner in value.values():
                yield from _captioned(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _captioned(inner)


def _label(clip: Mapping[str, Any], episode: str, file: str) -> dict[str, Any]:
    name, start, end = _first(clip, IDS), _first(clip, START), _first(clip, END)
    label: dict[str, Any] = {"training_caption": " ".join(_text(clip).split())}
    if start is not None and end is not None:
        label["seconds"] = [_seconds(start, episode, file), _seconds(end, episode, file)]
    elif picture := clip.get("pdq"):
        label["picture"] = str(picture)
    elif name is not None:
        label["clip"] = str(name)
    else:
        text = label["training_caption"][:60]
        raise StageError(f"{file}: episode '{episode}': the clip of \"{text}\" has neither times nor picture nor id")
    return {**label, **({"was": str(name)} if name is not None else {})}


def _seconds(value: Any, episode: str, file: str) -> float:
    """Return seconds of a number, ``12.5`` or ``1:02:03.5``."""
    try:
        total = 0.0
        for part in str(value).split(":"):
            total = total * 60 + float(part)
    except ValueError:
        total = math.nan
    if not math.isfinite(total):
        raise StageError(f"{file}: episode '{episode}': '{value}' is no time; expected seconds or h:mm:ss")
    return round(total, 3)


def _entry(kind: str, entry: Mapping[str, Any], to_mend: list[str]) -> dict[str, Any]:
    made: dict[str, Any] = {"name": str(entry.get("name", ""))}
    fields = ("aliases", *(("outfits",) if kind in WHO else ()))
    for field in fields:
        # One alias or outfit may stand without a list around it.
        several = entry[field] if isinstance(entry.get(field), list) else [entry.get(field)]
        made |= {field: texts} if (texts := [str(one) for one in several if one]) else {}
    if look := _first(entry, APPEARANCE):
        made["appearance"] = str(look)
    else:
        to_mend.append(f"{kind} '{made['name']}' has no appearance: none of {', '.join(APPEARANCE)}")
    return made


def _entries(old: Any, kind: str) -> list[Mapping[str, Any]]:
    found = old.get(kind) if isinstance(old, Mapping) else None
    if isinstance(found, Mapping):
        found = [
            {"name": name, **(entry if isinstance(entry, Mapping) else {"appearance": entry})}
            for name, entry in found.items()
        ]
    return [entry if isinstance(entry, Mapping) else {"name": entry} for entry in found or []]


def _synopsis(name: str, entry: Mapping[str, Any], to_mend: list[str]) -> str:
    if not (text := _first(entry, ("synopsis", "summary", "description"))):
        to_mend.append(f"episode '{name}' has no synopsis")
    return str(text or "")


def _text(clip: Mapping[str, Any]) -> str:
    return str(clip["training_caption"] or "").strip()


def _first(entry: Any, names: tuple[str, ...]) -> Any:
    return next((entry[name] for name in names if isinstance(entry, Mapping) and entry.get(name) is not None), None)
