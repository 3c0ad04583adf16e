"""Find an episode's shots with PySceneDetect, TransNetV2's votes and a person's corrections; measure every frame."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from scenedetect import AdaptiveDetector, FrameTimecode

from reelgraph.errors import StageError
from reelgraph.files import read_json, write_json
from reelgraph.media.overrides import read_overrides, shift_boundaries
from reelgraph.media.small import small_pictures
from reelgraph.media.transitions import NEAR_FRAMES, Pictures, Transition, network_votes, runs, transitions
from reelgraph.progress import track
from reelgraph.stage import Stage

DETECTION_WIDTH = 256
THUMBNAIL = (16, 9)  # columns and rows: enough to tell a fade from an iris, and a few MB for a feature film


@dataclass(frozen=True)
class Inputs:
    """A media file, the directories with its probe.json and shot-votes.json, and a person's corrections."""

    master: Path
    source: Path
    votes: Path | None = None
    overrides: Path | None = None


@dataclass(frozen=True)
class Parameters:
    """See schemas/shots.parameters.json."""

    adaptive_threshold: float
    min_scene_frames: int
    window_width: int
    min_content_value: float
    network_threshold: float
    black_luma: float


@dataclass
class Measurements:
    """Of each frame: content value, mean grey, its change, sharpness and thumbnail; and the detector's cuts."""

    content: list[float] = field(default_factory=list)
    luma: list[float] = field(default_factory=list)
    change: list[float] = field(default_factory=list)
    sharpness: list[float] = field(default_factory=list)
    thumbnails: list[np.ndarray] = field(default_factory=list)
    cuts: list[int] = field(default_factory=list)


class ScoringDetector(AdaptiveDetector):
    """The AdaptiveDetector, telling the content value of the frame that it saw last, and getting it in one sum."""

    def __init__(self, **settings: float) -> None:
        super().__init__(**settings)
        self._seen: np.ndarray | None = None

    @property
    def content_value(self) -> float:
        """Mean absolute difference to the frame before, 0 to 255."""
        return float(self._frame_score)

    def _calculate_frame_score(self, timecode: FrameTimecode, frame_img: np.ndarray) -> float:
        seen, self._seen = self._seen, cv2.cvtColor(frame_img, cv2.COLOR_BGR2HSV)
        return 0.0 if seen is None else cv2.norm(seen, self._seen, cv2.NORM_L1) / seen.size


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
        before, grey = grey, cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY)
        look(number)
        found.content.append(round(detector.content_value, 3))
        found.luma.append(round(cv2.mean(grey)[0], 3))
        found.change.append(0.0 if before is None else round(cv2.mean(cv2.absdiff(grey, before))[0], 3))
        _, deviation = cv2.meanStdDev(cv2.Laplacian(grey, cv2.CV_16S))
        found.sharpness.append(round(float(deviation[0, 0]) ** 2, 2))
        found.thumbnails.append(cv2.resize(grey, THUMBNAIL, interpolation=cv2.INTER_AREA))
    for number in range(len(found.luma), len(found.luma) + parameters.window_width):
        look(number)
    return found


def adaptive_ratio(content: list[float], cut: int, window: int) -> float:
    """Return the change at ``cut`` in multiples of the mean of its ``window`` neighbours on each side, at most 255."""
    neighbours = sum(content[max(0, cut - window) : cut] + content[cut + 1 : cut + 1 + window]) / (2 * window)
    return round(min(content[cut] / neighbours, 255.0), 2) if neighbours else 255.0


def join(found: Measurements, votes: Path | None, parameters: Parameters) -> tuple[list[Transition], list[float]]:
    """Return every transition that one of the detectors voted for, and how sure the network is of each frame."""
    frames, pictures = len(found.luma), Pictures(np.stack(found.thumbnails))
    if votes is None:
        return transitions(pictures, found.luma, parameters.black_luma, found.cuts), []
    said = read_json(votes / "shot-votes.json")
    if said["frames"] != frames:
        what = f"shot-votes.json: covers {said['frames']} frames, the film has {frames}"
        raise StageError(f"{what}; the votes are another film's, build them again")
    network = network_votes(said["cut"], parameters.network_threshold)
    slow = list(runs(probability > parameters.network_threshold for probability in said["change"]))
    # The network marks the last frame of the old shot.
    sure = [0.0, *said["cut"][:-1]]
    return transitions(pictures, found.luma, parameters.black_luma, found.cuts, network, slow), sure


def describe(transition: Transition, content: list[float], sure: list[float], window: int) -> dict[str, Any]:
    """Return a transition's entry in shots.json."""
    at = min(transition.start if transition.frame is None else transition.frame, len(content) - 1)
    votes = {"adaptive": {"vote": transition.adaptive, "score": adaptive_ratio(content, at, window)}}
    if sure:
        score = max(sure[max(at - NEAR_FRAMES, 0) : at + NEAR_FRAMES + 1])
        votes["network"] = {"vote": transition.network, "score": score}
    split = transition.kind == "cut" and len({vote["vote"] for vote in votes.values()}) > 1
    return {
        "frame": transition.frame,
        "start": transition.start,
        "end": transition.end,
        "kind": transition.kind,
        "votes": votes,
        "review": split or transition.kind == "other",
    }


def run(inputs: Inputs, parameters: Parameters, out: Path) -> None:
    """Write shots.json and frames.json."""
    # Its pictures are too small to share; the decoder has the other core.
    cv2.setNumThreads(1)
    probe = read_json(inputs.source / "probe.json")
    video: dict[str, Any] = probe["video"]
    pictures = track(small_pictures(inputs.master, video["frames"], DETECTION_WIDTH), "shots", video["frames"], "frame")
    found = measure(pictures, video["fps"], parameters)
    frames = len(found.luma)
    changes, sure = join(found, inputs.votes, parameters)
    if inputs.overrides:
        changes = shift_boundaries(
            changes, read_overrides(inputs.overrides, probe["sha256"], frames)["boundaries"], frames
        )
    starts = [change.frame for change in changes if change.frame is not None and 0 < change.frame < frames]
    shots = [
        {
            "start": start,
            "end": end,
            "score": adaptive_ratio(found.content, start, parameters.window_width) if start else None,
        }
        for start, end in pairwise([0, *sorted(set(starts)), frames])
    ]
    rows = [describe(change, found.content, sure, parameters.window_width) for change in changes]
    write_json(out / "shots.json", {"fps": video["fps"], "frames": frames, "shots": shots, "transitions": rows})
    measured = {name: getattr(found, name) for name in ("content", "luma", "change", "sharpness")}
    write_json(out / "frames.json", measured)


STAGE = Stage(
    name="shots",
    inputs=Inputs,
    parameters=Parameters,
    outputs={"shots.json": "shots", "frames.json": "frames"},
    run=run,
)

if __name__ == "__main__":
    STAGE.main()
