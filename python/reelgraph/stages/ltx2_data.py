"""Join clips, their sound and reviewed captions of all episodes into the dataset that LTX-2's own trainer reads.

dataset.jsonl has `video` and `caption` and is what its preprocessing takes, with the buckets of dataset.json;
metadata.json has the same rows in the same order as the Wan package, for the stages that follow.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reelgraph.errors import StageError
from reelgraph.files import file_hash, read_json, write_json
from reelgraph.media.mux import add_sound
from reelgraph.progress import track
from reelgraph.stage import Stage
from reelgraph.train.ltx_prompts import ltx_prompt
from reelgraph.train.package import check_clip, match_captions

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


def check_episodes(inputs: Inputs) -> None:
    """Raise a StageError unless every episode has clips and captions, and all or none have sound."""
    if alone := sorted(set(inputs.clips) ^ set(inputs.captions)):
        lacking = "captions" if alone[0] in inputs.clips else "clips"
        raise StageError(f"episode '{alone[0]}' has no {lacking}; give both for each episode")
    if inputs.sound and (odd := sorted(set(inputs.clips) ^ set(inputs.sound))):
        raise StageError(
            f"episode '{odd[0]}': sound is given for some episodes only; LTX-2 must not see clips with and without "
            "sound in one set, so give it for all episodes or for none"
        )


def episode_rows(episode: str, inputs: Inputs, parameters: Parameters, out: Path) -> list[dict[str, Any]]:
    """Check one episode, write its files to ``out`` and return its rows in the order of clips.json."""
    clips = inputs.clips[episode]
    index = read_json(clips / "clips.json")
    captions = read_json(inputs.captions[episode] / "captions.json")["captions"]
    by_clip = match_captions(episode, index["clips"], captions)
    sound = sound_files(inputs.sound.get(episode))
    rows = []
    for clip in track(index["clips"], f"ltx2-data {episode}", len(index["clips"]), "clip"):
        name = f"{episode}: clip '{clip['id']}'"
        check_clip(name, clip, index, clips, parameters.fps, SIDE_MULTIPLE, FRAME_STEP)
        video, first_frame = f"clips/{episode}/{clip['id']}.mp4", f"first_frames/{episode}/{clip['id']}.png"
        for target in (video, first_frame):
            (out / target).parent.mkdir(parents=True, exist_ok=True)
        if inputs.sound:
            if clip["id"] not in sound:
                raise StageError(f"{name}: has no sound; cut the sound of these clips again")
            add_sound(clips / clip["file"], sound[clip["id"]], out / video)
        else:
            shutil.copyfile(clips / clip["file"], out / video)
        shutil.copyfile(clips / clip["first_frame"], out / first_frame)
        caption = by_clip[clip["id"]]
        rows.append(
            {
                "video": video,
                "prompt": ltx_prompt(caption["text"], parameters.trigger, name),
                "first_frame": first_frame,
                "episode": episode,
                "clip": clip["id"],
                "shot": clip["shot"],
                "frames": clip["frames"],
                "width": index["width"],
                "height": index["height"],
                "fps": index["fps"],
                "caption_source": caption["source"],
            }
        )
    return rows


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


def dataset_summary(rows: list[dict[str, Any]], out: Path, parameters: Parameters, audio: bool) -> dict[str, Any]:
    """Return counts, buckets, the command's flags, and the hash over all rows and the bytes of the files they name."""
    hashes = [[row, file_hash(out / row["video"]), file_hash(out / row["first_frame"])] for row in rows]
    buckets = Counter((row["width"], row["height"], row["frames"]) for row in rows)
    return {
        "name": parameters.name,
        "trigger": parameters.trigger,
        "hash": f"sha256:{hashlib.sha256(json.dumps(hashes, sort_keys=True).encode()).hexdigest()}",
        "episodes": len({row["episode"] for row in rows}),
        "clips": len(rows),
        "frames": sum(row["frames"] for row in rows),
        "seconds": round(sum(row["frames"] for row in rows) / parameters.fps, 3),
        "distinct_prompts": len({row["prompt"] for row in rows}),
        "buckets": [
            {"width": width, "height": height, "frames": frames, "clips": count}
            for (width, height, frames), count in sorted(buckets.items())
        ],
        "audio": audio,
        "resolution_buckets": ";".join("x".join(map(str, bucket)) for bucket in sorted(buckets)),
    }


def run(inputs: Inputs, parameters: Parameters, out: Path) -> None:
    """Write clips, first frames, dataset.jsonl, metadata.json and dataset.json."""
    check_episodes(inputs)
    rows = [row for episode in inputs.clips for row in episode_rows(episode, inputs, parameters, out)]
    if not rows:
        raise StageError("no clip in any episode; nothing to train on, look at the rejects in clips.json")
    lines = [json.dumps(trainer_row(row, parameters.trigger), ensure_ascii=False) for row in rows]
    (out / "dataset.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    write_json(out / "metadata.json", rows)
    write_json(out / "dataset.json", dataset_summary(rows, out, parameters, bool(inputs.sound)))


OUTPUTS = {"metadata.json": "metadata", "dataset.json": "ltx2-dataset"}
STAGE = Stage(name="ltx2-data", inputs=Inputs, parameters=Parameters, outputs=OUTPUTS, run=run)

if __name__ == "__main__":
    STAGE.main()
