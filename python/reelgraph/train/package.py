"""What makes a clip and its caption fit to train on; each refusal names the clip and what to do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from reelgraph.errors import StageError
from reelgraph.media.frames import open_media, video_stream

Row = dict[str, Any]


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


def check_clip(
    name: str, clip: Row, index: Row, directory: Path, fps: int, side_multiple: int, frame_step: int = 4
) -> None:
    """Raise a StageError if a clip's files are missing, differ from clips.json (``index``) or do not suit the model."""
    for key in ("file", "first_frame"):
        if not (directory / clip[key]).is_file():
            raise StageError(f"{name}: {clip[key]} is missing; cut the clip again")
    if index["fps"] != fps:
        raise StageError(f"{name}: has {index['fps']} frames a second, the model was trained on {fps}; cut it again")
    width, height, frames = probe_video(directory / clip["file"])
    if frames != clip["frames"]:
        raise StageError(f"{name}: {clip['file']} has {frames} frames, clips.json says {clip['frames']}; cut it again")
    if (width, height) != (index["width"], index["height"]):
        expected = f"{index['width']}x{index['height']}"
        raise StageError(f"{name}: {clip['file']} is {width}x{height}, clips.json says {expected}; cut it again")
    if width % side_multiple or height % side_multiple:
        raise StageError(
            f"{name}: {width}x{height}: the sides must be multiples of {side_multiple}; cut at such a size"
        )
    if frames % frame_step != 1:
        raise StageError(
            f"{name}: {frames} frames; the model takes {frame_step}k+1 (17, 33, 49 ...), cut to such a length"
        )


def probe_video(path: Path) -> tuple[int, int, int]:
    """Return width and height in pixels and the number of frames that a video file decodes to."""
    with open_media(path) as container:
        stream = video_stream(container, path)
        return stream.width, stream.height, sum(1 for _ in container.decode(stream))
