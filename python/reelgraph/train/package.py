"""Clips and captions as rows of a dataset, whatever the model; each refusal names the clip and what to do."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reelgraph.errors import StageError
from reelgraph.files import file_hash, read_json
from reelgraph.media.frames import open_media, video_stream
from reelgraph.progress import track

Row = dict[str, Any]


@dataclass(frozen=True)
class Fit:
    """What a model takes: frames a second, sides in multiples of pixels, clips of ``frame_step`` k + 1 frames."""

    fps: int
    side_multiple: int
    frame_step: int


# Makes the prompt of a clip: (caption's text, how messages call the clip).
MakePrompt = Callable[[str, str], str]
# Writes a clip's video: (clip of clips.json, file to write, how messages call the clip).
WriteVideo = Callable[[Row, Path, str], None]


def check_episodes(clips: Mapping[str, Path], captions: Mapping[str, Path]) -> None:
    """Raise a StageError unless every episode has both clips and captions."""
    if alone := sorted(set(clips) ^ set(captions)):
        lacking = "captions" if alone[0] in clips else "clips"
        raise StageError(f"episode '{alone[0]}' has no {lacking}; give both for each episode")


def episode_rows(
    episode: str, clips: Path, captions: Path, fit: Fit, make_prompt: MakePrompt, write_video: WriteVideo, out: Path
) -> list[Row]:
    """Check one episode, write its files to ``out`` and return its rows in the order of clips.json."""
    index = read_json(clips / "clips.json")
    by_clip = match_captions(episode, index["clips"], read_json(captions / "captions.json")["captions"])
    rows = []
    for clip in track(index["clips"], f"package {episode}", len(index["clips"]), "clip"):
        name = f"{episode}: clip '{clip['id']}'"
        check_clip(name, clip, index, clips, fit)
        video, first_frame = f"clips/{episode}/{clip['id']}.mp4", f"first_frames/{episode}/{clip['id']}.png"
        for target in (video, first_frame):
            (out / target).parent.mkdir(parents=True, exist_ok=True)
        write_video(clip, out / video, name)
        shutil.copyfile(clips / clip["first_frame"], out / first_frame)
        caption = by_clip[clip["id"]]
        rows.append(
            {
                "video": video,
                "prompt": make_prompt(caption["text"], name),
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


def check_rows(rows: list[Row]) -> None:
    """Raise a StageError if no episode has a clip."""
    if not rows:
        raise StageError("no clip in any episode; nothing to train on, look at the rejects in clips.json")


def dataset_summary(rows: list[Row], out: Path, name: str, trigger: str, fps: int) -> Row:
    """Return counts, the bucket table and the hash over all rows and the bytes of the files they name."""
    hashes = [[row, file_hash(out / row["video"]), file_hash(out / row["first_frame"])] for row in rows]
    frames = sum(row["frames"] for row in rows)
    return {
        "name": name,
        "trigger": trigger,
        "hash": f"sha256:{hashlib.sha256(json.dumps(hashes, sort_keys=True).encode()).hexdigest()}",
        "episodes": len({row["episode"] for row in rows}),
        "clips": len(rows),
        "frames": frames,
        "seconds": round(frames / fps, 3),
        "distinct_prompts": len({row["prompt"] for row in rows}),
        "buckets": [
            {"width": width, "height": height, "frames": length, "clips": count}
            for (width, height, length), count in sorted(
                Counter((row["width"], row["height"], row["frames"]) for row in rows).items()
            )
        ],
    }


def match_captions(episode: str, clips: list[Row], captions: list[Row]) -> dict[str, Row]:
    """Return the one caption of each clip by clip id; raise a StageError naming a clip or caption without partner."""
    known = {clip["id"]: clip for clip in clips}
    by_clip: dict[str, Row] = {}
    for caption in captions:
        name = f"{episode}: caption for clip '{caption['clip']}'"
        clip = known.get(caption["clip"])
        if clip is None:
            raise StageError(f"{name}: there is no such clip; remove the caption or cut that clip")
        if caption["clip"] in by_clip:
            raise StageError(f"{name} is there twice; keep one")
        if not caption["text"].strip():
            raise StageError(f"{name} is empty; write one or reject the clip")
        if (caption["start"], caption["end"]) != (clip["start"], clip["end"]):
            raise StageError(
                f"{name} is for frames {caption['start']} to {caption['end']}, but the clip is {clip['start']} to "
                f"{clip['end']}; captions have slipped, caption that clip again"
            )
        by_clip[caption["clip"]] = caption
    for clip in clips:
        if clip["id"] not in by_clip:
            raise StageError(f"{episode}: clip '{clip['id']}' has no caption; caption it or reject the clip")
    return by_clip


def check_clip(name: str, clip: Row, index: Row, directory: Path, fit: Fit) -> None:
    """Raise a StageError if a clip's files are missing, differ from clips.json (``index``) or do not suit the model."""
    for key in ("file", "first_frame"):
        if not (directory / clip[key]).is_file():
            raise StageError(f"{name}: {clip[key]} is missing; cut the clip again")
    if index["fps"] != fit.fps:
        raise StageError(
            f"{name}: has {index['fps']} frames a second, the model was trained on {fit.fps}; cut it again"
        )
    width, height, frames = probe_video(directory / clip["file"])
    if frames != clip["frames"]:
        raise StageError(f"{name}: {clip['file']} has {frames} frames, clips.json says {clip['frames']}; cut it again")
    if (width, height) != (index["width"], index["height"]):
        expected = f"{index['width']}x{index['height']}"
        raise StageError(f"{name}: {clip['file']} is {width}x{height}, clips.json says {expected}; cut it again")
    if width % fit.side_multiple or height % fit.side_multiple:
        raise StageError(
            f"{name}: {width}x{height}: the sides must be multiples of {fit.side_multiple}; cut at such a size"
        )
    if frames % fit.frame_step != 1:
        raise StageError(
            f"{name}: {frames} frames; the model takes {fit.frame_step}k+1 (17, 33, 49 ...), cut to such a length"
        )


def probe_video(path: Path) -> tuple[int, int, int]:
    """Return width and height in pixels and the number of frames that a video file decodes to."""
    with open_media(path) as container:
        stream = video_stream(container, path)
        return stream.width, stream.height, sum(1 for _ in container.decode(stream))
