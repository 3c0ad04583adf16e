"""Find the shots of an episode with PySceneDetect's AdaptiveDetector, and measure every frame on the way."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from scenedetect import AdaptiveDetector, FrameTimecode

from reelgraph.files import read_json, write_json
from reelgraph.media.frames import SCALE_DOWN, decoded_frames, open_media, picture_filter, video_stream
from reelgraph.progress import track
from reelgraph.stage import Stage

DETECTION_WIDTH = 256


@dataclass(frozen=True)
class Inputs:
    """A media file, and the directory with its probe.json."""

    master: Path
    source: Path


@dataclass(frozen=True)
class Parameters:
    """See schemas/shots.parameters.json."""

    adaptive_threshold: float
    min_scene_frames: int
    window_width: int
    min_content_value: float


@dataclass
class Measurements:
    """Of each frame: content value, mean grey and mean change of grey; and the frames that start a new shot."""

    content: list[float] = field(default_factory=list)
    luma: list[float] = field(default_factory=list)
    change: list[float] = field(default_factory=list)
    cuts: list[int] = field(default_factory=list)


class ScoringDetector(AdaptiveDetector):
    """The AdaptiveDetector, telling the content value of the frame that it saw last."""

    @property
    def content_value(self) -> float:
        """Mean absolute difference to the frame before, 0 to 255."""
        return float(self._frame_score)


def small_pictures(master: Path, frames: int) -> Iterator[np.ndarray]:
    """Yield every frame as a small BGR picture [height, width, 3], in which noise and grain are averaged away."""
    with open_media(master) as container:
        stream = video_stream(container, master)
        width = min(DETECTION_WIDTH, stream.width)
        size = f"{width}:{max(1, round(stream.height * width / stream.width))}:{SCALE_DOWN}"
        shrink = picture_filter(stream, ("scale", size), ("format", "bgr24"))
    for frame in decoded_frames(master, frames):
        yield shrink(frame).to_ndarray()


def measure(pictures: Iterator[np.ndarray], fps: float, parameters: Parameters) -> Measurements:
    """Run the detector over ``pictures``, and over the last one again and again until a cut before it must show."""
    detector = ScoringDetector(
        adaptive_threshold=parameters.adaptive_threshold,
        min_scene_len=parameters.min_scene_frames,
        window_width=parameters.window_width,
        min_content_val=parameters.min_content_value,
    )
    found, picture, grey = Measurements(), None, None

    def look(number: int) -> None:
        found.cuts.extend(cut.frame_num for cut in detector.process_frame(FrameTimecode(number, fps), picture))

    for number, picture in enumerate(pictures):
        before, grey = grey, cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY).astype(np.int16)
        look(number)
        found.content.append(round(detector.content_value, 3))
        found.luma.append(round(float(grey.mean()), 3))
        found.change.append(0.0 if before is None else round(float(np.abs(grey - before).mean()), 3))
    for number in range(len(found.luma), len(found.luma) + parameters.window_width):
        look(number)
    return found


def adaptive_ratio(content: list[float], cut: int, window: int) -> float:
    """Return the change at ``cut`` in multiples of the mean of its ``window`` neighbours on each side, at most 255."""
    neighbours = sum(content[max(0, cut - window) : cut] + content[cut + 1 : cut + 1 + window]) / (2 * window)
    return round(min(content[cut] / neighbours, 255.0), 2) if neighbours else 255.0


def run(inputs: Inputs, parameters: Parameters, out: Path) -> None:
    """Write shots.json and frames.json."""
    video: dict[str, Any] = read_json(inputs.source / "probe.json")["video"]
    pictures = track(small_pictures(inputs.master, video["frames"]), "shots", video["frames"], "frame")
    found = measure(pictures, video["fps"], parameters)
    bounds = [0, *found.cuts, len(found.luma)]
    shots = [
        {
            "start": start,
            "end": end,
            "score": adaptive_ratio(found.content, start, parameters.window_width) if start else None,
        }
        for start, end in pairwise(bounds)
    ]
    write_json(out / "shots.json", {"fps": video["fps"], "frames": len(found.luma), "shots": shots})
    write_json(out / "frames.json", {"content": found.content, "luma": found.luma, "change": found.change})


STAGE = Stage(
    name="shots",
    inputs=Inputs,
    parameters=Parameters,
    outputs={"shots.json": "shots", "frames.json": "frames"},
    run=run,
)

if __name__ == "__main__":
    STAGE.main()
