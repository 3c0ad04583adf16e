"""Join clips and reviewed captions of all episodes into the dataset that Wan trainers read.

metadata.json is a JSON array for DiffSynth-Studio: `video` is a path relative to it, `prompt` the text, the other
columns say where a row comes from. wan21_metadata.json has the same rows under every column name that trainers since
Wan2.1 look for.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reelgraph.files import write_json
from reelgraph.stage import Stage
from reelgraph.train.package import Fit, check_episodes, check_rows, dataset_summary, episode_rows
from reelgraph.train.prompts import prompt_of

FRAME_STEP = 4


@dataclass(frozen=True)
class Inputs:
    """Per episode: the clips stage's directory, and the one with reviewed captions."""

    clips: dict[str, Path]
    captions: dict[str, Path]


@dataclass(frozen=True)
class Parameters:
    """Name of the dataset, trigger word, and the shapes that the model accepts."""

    name: str
    trigger: str
    fps: int
    side_multiple: int


def run(inputs: Inputs, parameters: Parameters, out: Path) -> None:
    """Write clips, first frames, both metadata files and dataset.json."""
    check_episodes(inputs.clips, inputs.captions)
    fit = Fit(parameters.fps, parameters.side_multiple, FRAME_STEP)
    rows: list[dict[str, Any]] = []
    for episode, clips in inputs.clips.items():
        rows += episode_rows(
            episode,
            clips,
            inputs.captions[episode],
            fit,
            lambda text, _: prompt_of(text, parameters.trigger),
            lambda clip, target, _, clips=clips: shutil.copyfile(clips / clip["file"], target),
            out,
        )
    check_rows(rows)
    write_json(out / "metadata.json", rows)
    aliases = [
        {"video": row["video"], "prompt": row["prompt"], "file_name": row["video"], "text": row["prompt"]}
        for row in rows
    ]
    write_json(out / "wan21_metadata.json", aliases)
    write_json(out / "dataset.json", dataset_summary(rows, out, parameters.name, parameters.trigger, parameters.fps))


OUTPUTS = {"metadata.json": "metadata", "wan21_metadata.json": "wan21_metadata", "dataset.json": "dataset"}
STAGE = Stage(name="wan22-package", inputs=Inputs, parameters=Parameters, outputs=OUTPUTS, run=run)

if __name__ == "__main__":
    STAGE.main()
