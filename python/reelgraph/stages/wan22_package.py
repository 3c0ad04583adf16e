"""Join clips and reviewed captions of all episodes into the dataset that Wan trainers read.

metadata.json is a JSON array for DiffSynth-Studio: `video` is a path relative to it, `prompt` the text, the other
columns say where a row comes from. wan21_metadata.json has the same rows under every column name that trainers since
Wan2.1 look for.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reelgraph.errors import StageError
from reelgraph.files import file_hash, read_json, write_json
from reelgraph.progress import track
from reelgraph.stage import Stage
from reelgraph.train.package import check_clip, match_captions
from reelgraph.train.prompts import prompt_of


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


def episode_rows(episode: str, clips: Path, captions: Path, parameters: Parameters, out: Path) -> list[dict[str, Any]]:
    """Check one episode, copy its files to ``out`` and return its rows in the order of clips.json."""
    index = read_json(clips / "clips.json")
    by_clip = match_captions(episode, index["clips"], read_json(captions / "captions.json")["captions"])
    rows = []
    for clip in track(index["clips"], f"wan22-package {episode}", len(index["clips"]), "clip"):
        name = f"{episode}: clip '{clip['id']}'"
        check_clip(name, clip, index, clips, parameters.fps, parameters.side_multiple)
        video, first_frame = f"clips/{episode}/{clip['id']}.mp4", f"first_frames/{episode}/{clip['id']}.png"
        for source, target in ((clip["file"], video), (clip["first_frame"], first_frame)):
            (out / target).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(clips / source, out / target)
        caption = by_clip[clip["id"]]
        rows.append(
            {
                "video": video,
                "prompt": prompt_of(caption["text"], parameters.trigger),
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


def dataset_summary(rows: list[dict[str, Any]], out: Path, parameters: Parameters) -> dict[str, Any]:
    """Return counts, the bucket table and the hash over all rows and the bytes of the files they name."""
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
    }


def run(inputs: Inputs, parameters: Parameters, out: Path) -> None:
    """Write clips, first frames, both metadata files and dataset.json."""
    if alone := sorted(set(inputs.clips) ^ set(inputs.captions)):
        lacking = "captions" if alone[0] in inputs.clips else "clips"
        raise StageError(f"episode '{alone[0]}' has no {lacking}; give both for each episode")
    rows: list[dict[str, Any]] = []
    for episode in inputs.clips:
        rows += episode_rows(episode, inputs.clips[episode], inputs.captions[episode], parameters, out)
    if not rows:
        raise StageError("no clip in any episode; nothing to train on, look at the rejects in clips.json")
    write_json(out / "metadata.json", rows)
    aliases = [
        {"video": row["video"], "prompt": row["prompt"], "file_name": row["video"], "text": row["prompt"]}
        for row in rows
    ]
    write_json(out / "wan21_metadata.json", aliases)
    write_json(out / "dataset.json", dataset_summary(rows, out, parameters))


OUTPUTS = {"metadata.json": "metadata", "wan21_metadata.json": "wan21_metadata", "dataset.json": "dataset"}
STAGE = Stage(name="wan22-package", inputs=Inputs, parameters=Parameters, outputs=OUTPUTS, run=run)

if __name__ == "__main__":
    STAGE.main()
