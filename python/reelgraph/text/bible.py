"""The bible as people write it, and the part of it that one episode can show."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from reelgraph.errors import StageError
from reelgraph.text.names import KINDS, WHO
from reelgraph.text.yaml import read_yaml

LISTS = (*KINDS, "episodes")


def read_bible(path: Path) -> Any:
    """Return what a bible's file says, or what all files of a folder say together."""
    if path.is_file():
        return read_yaml(path)
    files = sorted(file for file in path.rglob("*") if file.suffix in (".yaml", ".yml", ".json"))
    if not files:
        raise StageError(f"{path.name}: holds no .yaml file; expected the bible")
    whole: dict[str, Any] = {}
    for file in files:
        part = read_yaml(file)
        if not isinstance(part, Mapping):
            raise StageError(f"{file.name}: expected a mapping such as 'characters: …', found {_kind(part)}")
        for key, value in part.items():
            if key in LISTS and isinstance(value, list) and isinstance(whole.get(key, []), list):
                whole[key] = [*whole.get(key, []), *value]
            elif whole.setdefault(key, value) != value:
                raise StageError(
                    f"{file.name}: '{key}' is '{value}', but another file of the bible says '{whole[key]}'"
                )
    return whole


def complete(bible: Any) -> Any:
    """Return the bible with every list that may be left out; what is not of the right type stays for the schema."""
    if not isinstance(bible, Mapping):
        return bible
    filled = {
        **{key: [] for key in LISTS},
        **{key: [] if value is None and key in LISTS else value for key, value in bible.items()},
    }
    for kind in KINDS:
        lists = {"aliases": [], **({"outfits": []} if kind in WHO else {}), "episodes": []}
        if isinstance(filled[kind], list):
            filled[kind] = [{**lists, **entry} if isinstance(entry, Mapping) else entry for entry in filled[kind]]
    return filled


def check_bible(bible: Mapping[str, Any]) -> None:
    """Raise a StageError where one name, however typed, means two entries or an entry names an unknown episode."""
    owners: dict[str, str] = {}
    for kind in KINDS:
        for entry in bible[kind]:
            for text in (entry["name"], *entry["aliases"]):
                owner = f"{kind} '{entry['name']}'"
                if text != " ".join(text.split()):
                    raise StageError(f"bible: {owner}: '{text}' has blanks at an end or twice in a row; remove them")
                if other := owners.get(_folded(text)):
                    raise StageError(f"bible: '{text}' stands for {other} and for {owner}; a name may stand once")
                owners[_folded(text)] = owner
    ids = [episode["id"] for episode in bible["episodes"]]
    if twice := next((name for name in ids if ids.count(name) > 1), None):
        raise StageError(f"bible: episode '{twice}' stands twice; keep one synopsis")
    for kind in KINDS:
        for entry in bible[kind]:
            if unknown := next((name for name in entry["episodes"] if name not in ids), None):
                raise StageError(
                    f"bible: {kind} '{entry['name']}' is in episode '{unknown}', which is not among its episodes "
                    f"({', '.join(ids) or 'none'}); mend the id or add the episode"
                )


def of_episode(bible: Mapping[str, Any], episode: str) -> dict[str, Any]:
    """Return the bible with nothing but what an episode can show."""
    part = {
        kind: [entry for entry in bible[kind] if not entry["episodes"] or episode in entry["episodes"]]
        for kind in KINDS
    }
    # Which other episodes show the same is not this episode's matter, and must not rebuild its words.
    part = {kind: [{**entry, "episodes": []} for entry in entries] for kind, entries in part.items()}
    own = [entry for entry in bible["episodes"] if entry["id"] == episode]
    return {"series": bible["series"], "source": bible["source"], **part, "episodes": own}


def only_names(bible: Mapping[str, Any]) -> dict[str, Any]:
    """Return the bible's names and nothing of what the named look like."""
    names: dict[str, Any] = {"series": bible["series"]}
    for kind in KINDS:
        names[kind] = [{"name": entry["name"], "aliases": entry["aliases"]} for entry in bible[kind]]
    return names


def _folded(text: str) -> str:
    """Return what is the same for names that a reader could not tell apart: in any case, accents typed either way."""
    return unicodedata.normalize("NFKC", text).casefold().translate({0x2019: "'", 0x2010: "-", 0x2011: "-"})


def _kind(value: Any) -> str:
    return "nothing" if value is None else f"a {type(value).__name__}"
