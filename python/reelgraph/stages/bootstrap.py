"""Match captions that people have written before to clips: by clip id, by frames, by seconds, or by picture.

Where a clip has such a label, nothing captions it again. Each match says how it was made, and each label that no clip
has taken is listed with the reason.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reelgraph.files import read_json, write_json
from reelgraph.stage import Stage, validate
from reelgraph.text.yaml import read_yaml
from reelgraph.words.labels import Episode, check_labels, match_labels
from reelgraph.words.pictures import pdq


@dataclass(frozen=True)
class Inputs:
    """Directories with clips.json and shots.json, and the labels as people write them, a YAML file."""

    clips: Path
    shots: Path
    labels: Path | None


@dataclass(frozen=True)
class Parameters:
    """None."""


def run(inputs: Inputs, parameters: Parameters, out: Path) -> None:
    """Write bootstrap.json; without labels every clip is listed as unlabelled."""
    index = read_json(inputs.clips / "clips.json")
    written: dict[str, Any] = read_yaml(inputs.labels) if inputs.labels else {"labels": []}
    validate(written, "labels", inputs.labels.name if inputs.labels else "labels")
    clips = index["clips"]
    needs_pictures = any("picture" in label for label in written["labels"])
    pictures = {clip["id"]: pdq(inputs.clips / clip["first_frame"]) for clip in clips} if needs_pictures else {}
    episode = Episode(clips, index["rejects"], str(read_json(inputs.shots / "shots.json")["fps"]), pictures)
    check_labels(written["labels"], episode)
    labels, unmatched = match_labels(written, episode)
    taken = {label["clip"] for label in labels}
    unlabelled = [clip["id"] for clip in clips if clip["id"] not in taken]
    write_json(out / "bootstrap.json", {"labels": labels, "unmatched": unmatched, "unlabelled": unlabelled})


STAGE = Stage(name="bootstrap", inputs=Inputs, parameters=Parameters, outputs={"bootstrap.json": "bootstrap"}, run=run)

if __name__ == "__main__":
    STAGE.main()
