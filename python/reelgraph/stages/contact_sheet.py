"""Lay out one page for an episode: its shots with votes, its clips to play, and why every other frame was rejected."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from reelgraph.files import read_json
from reelgraph.progress import track
from reelgraph.stage import Stage


@dataclass(frozen=True)
class Inputs:
    """The directories with probe.json, shots.json and clips.json."""

    source: Path
    shots: Path
    clips: Path


@dataclass(frozen=True)
class Parameters:
    """See schemas/contact-sheet.parameters.json."""

    play: bool


def time_code(frame: int, fps: float) -> str:
    """Return when a frame is shown as ``m:ss.mmm``."""
    seconds, milliseconds = divmod(round(frame * 1000 / fps), 1000)
    return f"{seconds // 60}:{seconds % 60:02}.{milliseconds:03}"


def votes(change: Mapping[str, Any]) -> str:
    """Return who voted for a transition, in words."""
    said = (f"{name} {'yes' if vote['vote'] else 'no'} ({vote['score']:g})" for name, vote in change["votes"].items())
    return ", ".join(said)


def view(probe: Mapping[str, Any], found: Mapping[str, Any], cut: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the template shows."""
    fps, frames = found["fps"], found["frames"]
    starts = {change["frame"]: change for change in found["transitions"] if change["frame"] is not None}
    counts, ranges = Counter(), Counter(reject["rule"] for reject in cut["rejects"])
    for reject in cut["rejects"]:
        counts[reject["rule"]] += reject["end"] - reject["start"]
    shots = []
    for number, shot in enumerate(found["shots"]):
        start, end = shot["start"], shot["end"]
        change = starts.get(start)
        shots.append(
            {
                **shot,
                "time": time_code(start, fps),
                "begins": f"starts with a {change['kind']}: {votes(change)}" if change else "starts the episode",
                "clips": [clip for clip in cut["clips"] if clip["shot"] == number],
                "rejects": [reject for reject in cut["rejects"] if start <= reject["start"] < end],
            }
        )
    pieces = [
        {"kind": kind, "start": piece["start"], "end": piece["end"]}
        for kind, entries in (("kept", cut["clips"]), ("lost", cut["rejects"]))
        for piece in entries
    ]
    review = [
        {
            "place": change["start"] if change["frame"] is None else change["frame"],
            "time": time_code(change["start"], fps),
            "kind": change["kind"],
            "votes": votes(change),
        }
        for change in found["transitions"]
        if change["review"]
    ]
    return {
        **{name: probe[name] for name in ("title", "episode", "sha256")},
        **{name: cut[name] for name in ("width", "height", "fps")},
        "frames": frames,
        "clips": len(cut["clips"]),
        "kept": sum(clip["end"] - clip["start"] for clip in cut["clips"]),
        "shots": shots,
        "pieces": sorted(pieces, key=lambda piece: piece["start"]),
        "review": review,
        "both": any("network" in change["votes"] for change in found["transitions"]),
        "rules": [(rule, count, ranges[rule]) for rule, count in counts.most_common()],
    }


def run(inputs: Inputs, parameters: Parameters, out: Path) -> None:
    """Write index.html, and beside it the clips that it plays."""
    cut = read_json(inputs.clips / "clips.json")
    shown = view(read_json(inputs.source / "probe.json"), read_json(inputs.shots / "shots.json"), cut)
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parents[1] / "sheet"), autoescape=True, undefined=StrictUndefined
    )
    page = environment.get_template("sheet.html.jinja").render(shown)
    (out / "index.html").write_text(page + "\n", encoding="utf-8")
    wanted = ("file", "first_frame") if parameters.play else ("first_frame",)
    for clip in track(cut["clips"], "contact-sheet", len(cut["clips"]), "clip"):
        for name in wanted:
            (out / clip[name]).parent.mkdir(exist_ok=True)
            shutil.copyfile(inputs.clips / clip[name], out / clip[name])


STAGE = Stage(name="contact-sheet", inputs=Inputs, parameters=Parameters, outputs={}, run=run)

if __name__ == "__main__":
    STAGE.main()
