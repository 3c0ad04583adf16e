"""A person's corrections of shots and clips: data beside the manifest, tied to one master, stronger than any rule."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from reelgraph.errors import StageError
from reelgraph.files import read_json
from reelgraph.media.transitions import Transition
from reelgraph.stage import validate


def read_overrides(path: Path, sha256: str, frames: int) -> dict[str, Any]:
    """Return the corrections in ``path`` of a film of ``frames``.

    Those of another master than that of ``sha256``, and of frames that it does not have, raise a StageError.
    """
    found = read_json(path)
    validate(found, "cut-overrides", path.name)
    if found["sha256"] != sha256:
        raise StageError(
            f"{path.name}: corrects the master {found['sha256'][:12]}, but this one is {sha256[:12]}; "
            "its frames may lie elsewhere, so look again and put the new hash there"
        )
    for entry in (*found["keep"], *found["drop"]):
        if entry["start"] >= entry["end"]:
            raise StageError(
                f"{path.name}: frames {entry['start']} to {entry['end']} are none; end must lie after start"
            )
        if entry["end"] > frames:
            raise StageError(
                f"{path.name}: frames {entry['start']} to {entry['end']} are not all there; the film has {frames}"
            )
    return found


def shift_boundaries(
    changes: Sequence[Transition], boundaries: Sequence[Mapping[str, Any]], frames: int
) -> list[Transition]:
    """Return the transitions with ``boundaries`` moved, removed (no ``to``) and added (no ``frame``)."""
    shifted = list(changes)
    for entry in boundaries:
        old, new = entry["frame"], entry["to"]
        if new is not None and not 0 < new < frames:
            raise StageError(f"overrides: a shot cannot start at frame {new} of {frames}; name one inside the film")
        if old is None:
            shifted.append(Transition(new, new, new, "by-hand", False, False))
            continue
        index = next((number for number, change in enumerate(shifted) if change.frame == old), None)
        if index is None:
            starts = [change.frame for change in changes if change.frame is not None]
            near = min(starts, key=lambda frame: abs(frame - old), default=0)
            raise StageError(f"overrides: no shot starts at frame {old}, the nearest at {near}; correct its number")
        moved = replace(shifted[index], frame=new, start=new, end=new, kind="by-hand") if new is not None else None
        shifted[index : index + 1] = [moved] if moved else []
    return sorted(shifted, key=lambda change: (change.start, change.end))
