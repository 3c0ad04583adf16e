"""Cut the sound of each clip out of its master, to the sample, as stereo FLAC."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
from av import AudioStream

from reelgraph.errors import StageError
from reelgraph.files import read_json, write_json
from reelgraph.media.encode import add_flac, encode_audio, write_media
from reelgraph.media.frames import open_media, presentation_times
from reelgraph.media.sound import audio_stream, soundtrack, to_stereo
from reelgraph.progress import track
from reelgraph.stage import Stage


@dataclass(frozen=True)
class Inputs:
    """A media file, the directory with its probe.json, and the clips that were cut from it."""

    master: Path
    source: Path
    clips: Path


@dataclass(frozen=True)
class Parameters:
    """None: the sound keeps its sample rate."""


def sound_of(stream: AudioStream, master: Path, start: Fraction, end: Fraction) -> np.ndarray:
    """Return an audio stream between two times in seconds as int16 [2, samples], silent where it has gaps."""
    pieces = [np.zeros((stream.channels, 0), np.int16), *soundtrack(stream, master, start, end)]
    return to_stereo(np.concatenate(pieces, axis=1), stream.layout.name, stream.rate)


def run(inputs: Inputs, parameters: Parameters, out: Path) -> None:
    """Write sound/<clip>.flac and sound.json."""
    index = read_json(inputs.clips / "clips.json")
    number = read_json(inputs.source / "probe.json")["sound_stream"]
    times = presentation_times(inputs.master)
    if len(times) - 1 != index["frames"]:
        raise StageError(
            f"{inputs.master.name}: has {len(times) - 1} frames, but its clips were cut from {index['frames']}; "
            "they are another film's, cut the clips of this one"
        )
    (out / "sound").mkdir()
    rows = []
    with open_media(inputs.master) as container:
        stream = audio_stream(container, inputs.master, number)
        for clip in track(index["clips"], "clip-sound", len(index["clips"]), "clip"):
            start = times[clip["start"]]
            samples = sound_of(stream, inputs.master, start, start + Fraction(clip["frames"], index["fps"]))
            file = f"sound/{clip['id']}.flac"
            with write_media(out / file) as target:
                for packet in encode_audio(add_flac(target, stream.rate, "stereo"), [samples]):
                    target.mux(packet)
            rows.append({"clip": clip["id"], "file": file, "samples": samples.shape[1]})
        rate = stream.rate
    write_json(out / "sound.json", {"rate": rate, "sound": rows})


STAGE = Stage(name="clip-sound", inputs=Inputs, parameters=Parameters, outputs={"sound.json": "sound"}, run=run)

if __name__ == "__main__":
    STAGE.main()
