"""Fingerprint an episode's shots and its sound, so that episodes can be compared without their masters."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from reelgraph.files import read_json, write_json
from reelgraph.media.fingerprints import SOUND_RATE, SOUND_STEP, pdq, sound_signs
from reelgraph.media.frames import SCALE_DOWN, decoded_frames, open_media, picture_filter, reading, video_stream
from reelgraph.media.sound import audio_stream, integer_decoder, integer_resampler
from reelgraph.progress import track
from reelgraph.stage import Stage

SIZE = "256:144"  # every shape is squeezed into one, so that a variant of another shape is still alike


@dataclass(frozen=True)
class Inputs:
    """A media file, and the directories with its probe.json, its shots.json and its frames.json."""

    master: Path
    source: Path
    shots: Path


@dataclass(frozen=True)
class Parameters:
    """See schemas/fingerprints.parameters.json."""

    frames_per_shot: int
    flat_sharpness: float


def chosen(start: int, end: int, count: int) -> list[int]:
    """Return frames spread over a shot, clear of its cuts."""
    return sorted({start + (end - start) * (2 * number + 1) // (2 * count) for number in range(count)})


def mono(master: Path, number: int) -> Iterator[np.ndarray]:
    """Yield a master's audio stream ``number`` as int16 [samples], 8000 a second."""
    with open_media(master) as container, reading(master):
        resampler = integer_resampler("s16", "mono", SOUND_RATE)
        stream = audio_stream(container, master, number)
        decoder = integer_decoder(stream)
        for packet in container.demux(stream):
            for frame in decoder.decode(packet):
                frame.pts = None
                for piece in resampler.resample(frame):
                    yield piece.to_ndarray()[0]


def run(inputs: Inputs, parameters: Parameters, out: Path) -> None:
    """Write fingerprints.json."""
    probe, found = read_json(inputs.source / "probe.json"), read_json(inputs.shots / "shots.json")
    sharpness = read_json(inputs.shots / "frames.json")["sharpness"]
    total = found["frames"]
    wanted = {
        frame: number
        for number, shot in enumerate(found["shots"])
        for frame in chosen(shot["start"], shot["end"], parameters.frames_per_shot)
        # A black or plain picture is like every other one.
        if sharpness[frame] > parameters.flat_sharpness
    }
    shots = [{"start": shot["start"], "end": shot["end"], "pdq": []} for shot in found["shots"]]
    with open_media(inputs.master) as container:
        shrink = picture_filter(
            video_stream(container, inputs.master), ("scale", f"{SIZE}:{SCALE_DOWN}"), ("format", "gray")
        )
        for number, frame in enumerate(track(decoded_frames(inputs.master, total), "fingerprints", total, "frame")):
            if number in wanted:
                shots[wanted[number]]["pdq"].append(pdq(shrink(frame).to_ndarray()))
    sound = mono(inputs.master, probe["sound_stream"])
    write_json(
        out / "fingerprints.json",
        {
            "sha256": probe["sha256"],
            "title": probe["title"],
            "language": probe["language"],
            "fps": found["fps"],
            "frames": total,
            "shots": shots,
            "sound": {"seconds": SOUND_STEP / SOUND_RATE, "signs": list(sound_signs(sound))},
        },
    )


STAGE = Stage(
    name="fingerprints",
    inputs=Inputs,
    parameters=Parameters,
    outputs={"fingerprints.json": "fingerprints"},
    run=run,
)

if __name__ == "__main__":
    STAGE.main()
