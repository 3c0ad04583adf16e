"""Openings and endings that several episodes have, as corrections: one episode that is trained on keeps them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from reelgraph.errors import StageError
from reelgraph.files import read_json, write_json
from reelgraph.manifest.document import said
from reelgraph.stage import validate

CUTS = Path("materials/training-data/cuts")


def keep_once(variants: Mapping[str, Any], manifest: Mapping[str, Any], folder: Path) -> dict[str, int]:
    """Drop what recurs in every trained episode but one; return how many ranges were added, by episode.

    ``variants`` is variants.json, ``folder`` holds the episodes' cut corrections. A master that is not the one that was
    compared raises a StageError, before anything is written.
    """
    episodes = {episode["id"]: episode for episode in manifest["episodes"]}
    for name, compared in variants["episodes"].items():
        if name in episodes and episodes[name]["sha256"] != compared["sha256"]:
            raise StageError(f"{name}: another master was compared than the manifest names; build the variants again")
    trained = {
        name for name, episode in episodes.items() if episode["by_hand"].get("train", said(episode, "canonical"))
    }
    drops: dict[str, list[dict[str, Any]]] = {}
    for group in variants["recurring"]:
        first, *others = [span for span in (group["keep"], *group["drop"]) if span["episode"] in trained] or [None]
        for span in others:
            why = f"recurs, and is kept in {first['episode']}"
            drops.setdefault(span["episode"], []).append({"start": span["start"], "end": span["end"], "why": why})
    return {name: _add(folder / f"{name}.json", spans, episodes[name]["sha256"]) for name, spans in drops.items()}


def _add(place: Path, spans: list[dict[str, Any]], sha256: str) -> int:
    """Add the ranges that no earlier one covers to an episode's corrections; return how many those are."""
    found: dict[str, Any] = {"sha256": sha256, "boundaries": [], "keep": [], "drop": []}
    if place.exists():
        found = read_json(place)
        validate(found, "cut-overrides", place.name)
        if found["sha256"] != sha256:
            raise StageError(f"{place.name}: corrects another master than the manifest names; look again, or remove it")
    before = len(found["drop"])
    for span in spans:
        if not any(old["start"] <= span["start"] and span["end"] <= old["end"] for old in found["drop"]):
            found["drop"].append(span)
    place.parent.mkdir(parents=True, exist_ok=True)
    write_json(place, found)
    return len(found["drop"]) - before
