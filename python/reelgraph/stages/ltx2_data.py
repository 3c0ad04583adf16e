"""Join clips, their sound and reviewed captions of all episodes into the dataset that LTX-2's own trainer reads.

dataset.jsonl has `video` and `caption` and is what its preprocessing takes, with the buckets of dataset.json;
metadata.json has the same rows in the same order as the Wan package, for the stages that follow.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reelgraph.errors import StageError
from reelgraph.files import read_json, write_json
from reelgraph.media.mux import add_sound
from reelgraph.stage import Stage
from reelgraph.train.ltx_prompts import ltx_prompt
from reelgraph.train.package import Fit, check_episodes, check_rows, dataset_summary, episode_rows

SIDE_MULTIPLE, FRAME_STEP = 32, 8


@dataclass(frozen=True)
class Inputs:
    """Per episode: the clips stage's directory, the one with reviewed captions, and clip-sound's for all or none."""

    clips: dict[str, Path]
    captions: dict[str, Path]
    sound: dict[str, Path]


@dataclass(frozen=True)
class Parameters:
    """Name of the dataset, trigger word, and frames a second of the clips."""

    name: str
    trigger: str
    fps: int


def check_sound(inputs: Inputs) -> None:
    """Raise a StageError unless all episodes or none have sound."""
    if inputs.sound and (odd := sorted(set(inputs.clips) ^ set(inputs.sound))):
        raise StageError(
            f"episode '{odd[0]}': sound is given for some episodes only; LTX-2 must not see clips with and without "
            "sound in one set, so give it for all episodes or for none"
        )


def rows_of(episode: str, inputs: Inputs, parameters: Parameters, out: Path) -> list[dict[str, Any]]:
    """Write one episode's files to ``out``, each clip with its sound if there is any; return its rows."""
    clips, sound = inputs.clips[episode], sound_files(inputs.sound.get(episode))

    def write_video(clip: dict[str, Any], target: Path, name: str) -> None:
        if not inputs.sound:
            shutil.copyfile(clips / clip["file"], target)
        elif clip["id"] not in sound:
            raise StageError(f"{name}: has no sound; cut the sound of these clips again")
        else:
            add_sound(clips / clip["file"], sound[clip["id"]], target)

    return episode_rows(
        episode,
        clips,
        inputs.captions[episode],
        Fit(parameters.fps, SIDE_MULTIPLE, FRAME_STEP),
        lambda text, name: ltx_prompt(text, parameters.trigger, name),
        write_video,
        out,
    )


def sound_files(directory: Path | None) -> dict[str, Path]:
    """Return the sound of each clip of an episode, by clip id."""
    if directory is None:
        return {}
    return {row["clip"]: directory / row["file"] for row in read_json(directory / "sound.json")["sound"]}


def trainer_row(row: Mapping[str, Any], trigger: str) -> dict[str, str]:
    """Return a row as LTX-2's preprocessing reads it: it puts the trigger in front of the caption itself."""
    return {
        "video": row["video"],
        "caption": row["prompt"].removeprefix(f"{trigger.strip()} ") if trigger else row["prompt"],
    }


def ltx_summary(rows: list[dict[str, Any]], out: Path, parameters: Parameters, audio: bool) -> dict[str, Any]:
    """Return the dataset's summary, with the flags of LTX-2's preprocessing command."""
    summary = dataset_summary(rows, out, parameters.name, parameters.trigger, parameters.fps)
    buckets = [f"{bucket['width']}x{bucket['height']}x{bucket['frames']}" for bucket in summary["buckets"]]
    return {**summary, "audio": audio, "resolution_buckets": ";".join(buckets)}


def run(inputs: Inputs, parameters: Parameters, out: Path) -> None:
    """Write clips, first frames, dataset.jsonl, metadata.json and dataset.json."""
    check_episodes(inputs.clips, inputs.captions)
    check_sound(inputs)
    rows = [row for episode in inputs.clips for row in rows_of(episode, inputs, parameters, out)]
    check_rows(rows)
    lines = [json.dumps(trainer_row(row, parameters.trigger), ensure_ascii=False) for row in rows]
    (out / "dataset.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    write_json(out / "metadata.json", rows)
    write_json(out / "dataset.json", ltx_summary(rows, out, parameters, bool(inputs.sound)))


OUTPUTS = {"metadata.json": "metadata", "dataset.json": "ltx2-dataset"}
STAGE = Stage(name="ltx2-data", inputs=Inputs, parameters=Parameters, outputs=OUTPUTS, run=run)

if __name__ == "__main__":
    STAGE.main()
