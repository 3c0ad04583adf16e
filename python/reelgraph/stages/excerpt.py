"""Cut an episode out of a freely licensed film, frame by frame, and mix spoken sentences over its soundtrack."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from heapq import merge
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from av.container import InputContainer
from av.video.frame import VideoFrame

from reelgraph.errors import StageError
from reelgraph.files import file_hash
from reelgraph.media.archives import unpack_tar, unpack_zip
from reelgraph.media.encode import H264, add_flac, add_h264, encode_audio, encode_video, write_media
from reelgraph.media.frames import THREADS, frame_rate, open_media, presentation_times, reading, video_stream
from reelgraph.media.sound import Line, mix, read_recording, soundtrack
from reelgraph.progress import track
from reelgraph.stage import Stage


@dataclass(frozen=True)
class Inputs:
    """Two .tar.gz archives: one that holds the film, one that holds the recordings of speech."""

    film: Path
    speech: Path


@dataclass(frozen=True)
class Parameters:
    """See schemas/excerpt.parameters.json."""

    film_archive_member: str | None
    film_member: str
    film_sha256: str
    start_seconds: float
    end_seconds: float | None
    dialogue: list[dict[str, Any]]
    speech_gain_percent: int
    crf: int
    preset: str


def extract_film(archive: Path, parameters: Parameters, directory: Path) -> Path:
    """Unpack the film and check that it is the one that the parameters name."""
    film = directory / Path(parameters.film_member).name
    if parameters.film_archive_member is None:
        unpack_tar(archive, {parameters.film_member: film})
    else:
        nested = directory / Path(parameters.film_archive_member).name
        unpack_tar(archive, {parameters.film_archive_member: nested})
        unpack_zip(nested, parameters.film_member, film)
    found = file_hash(film).removeprefix("sha256:")
    if found != parameters.film_sha256:
        raise StageError(
            f"{film.name}: SHA-256 is {found}, expected {parameters.film_sha256}; the film was altered, fetch it again"
        )
    return film


def read_lines(archive: Path, parameters: Parameters, rate: int, samples: int, directory: Path) -> list[Line]:
    """Return the lines of the dialogue as they go into ``samples`` samples of sound, ``rate`` a second."""
    files = {line["source"]: directory / f"{number}.wav" for number, line in enumerate(parameters.dialogue)}
    unpack_tar(archive, files)
    lines = []
    for line in parameters.dialogue:
        recording = read_recording(files[line["source"]], line["source"], rate).astype(np.int32)
        start = round(Fraction(str(line["start"])) * rate)
        lines.append(Line(line["source"], start, recording * parameters.speech_gain_percent // 100))
    for before, after in pairwise(lines):
        if after.start < before.end:
            raise StageError(f"dialogue: '{after.source}' starts before '{before.source}' ends; move one of them")
    if lines and lines[-1].end > samples:
        raise StageError(
            f"dialogue: '{lines[-1].source}' ends after the episode; start it earlier or cut a longer episode"
        )
    return lines


def pictures(container: InputContainer, film: Path, start: Fraction, end: Fraction) -> Iterator[VideoFrame]:
    """Yield the film's frames that are shown at ``start`` or later and before ``end``, in seconds."""
    stream = video_stream(container, film)
    stream.codec_context.thread_count, stream.thread_type = THREADS, "AUTO"
    zero = stream.start_time or 0
    with reading(film):
        container.seek(int(start / stream.time_base) + zero, stream=stream)
        for frame in container.decode(stream):
            time = (frame.pts - zero) * stream.time_base
            if time >= end:
                return
            if time >= start:
                yield frame


def cut(film: Path, speech: Path, parameters: Parameters, directory: Path, episode: Path) -> None:
    """Write seconds of ``film`` with the speech over its sound to ``episode``: H.264 and FLAC."""
    start, length = Fraction(str(parameters.start_seconds)), presentation_times(film)[-1]
    end = length if parameters.end_seconds is None else Fraction(str(parameters.end_seconds))
    if not start < end <= length:
        raise StageError(
            f"{film.name}: lasts {float(length):.3f} s, so no episode from {float(start)} to {float(end)} s"
        )
    with open_media(film) as seen, open_media(film) as heard:
        if not heard.streams.audio:
            raise StageError(f"{film.name}: has no audio stream; give a film with sound")
        picture, sound = video_stream(seen, film), heard.streams.audio[0]
        rate = frame_rate(picture, film)
        lines = read_lines(speech, parameters, sound.rate, round((end - start) * sound.rate), directory)
        frames = track(pictures(seen, film, start, end), "excerpt", round((end - start) * rate), "frame")
        with write_media(episode) as container:
            size = (picture.width, picture.height)
            video = add_h264(container, rate, size, H264(parameters.crf, parameters.preset, b_frames=True), picture)
            audio = add_flac(container, sound.rate, sound.layout.name)
            for packet in merge(
                encode_video(video, frames),
                encode_audio(audio, mix(soundtrack(sound, film, start, end), lines)),
                key=lambda packet: packet.dts * packet.time_base,
            ):
                container.mux(packet)


def run(inputs: Inputs, parameters: Parameters, out: Path) -> None:
    """Write episode.mp4."""
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        film = extract_film(inputs.film, parameters, directory)
        if parameters.start_seconds == 0 and parameters.end_seconds is None and not parameters.dialogue:
            shutil.copyfile(film, out / "episode.mp4")
        else:
            cut(film, inputs.speech, parameters, directory, out / "episode.mp4")


STAGE = Stage(name="excerpt", inputs=Inputs, parameters=Parameters, outputs={}, run=run)

if __name__ == "__main__":
    STAGE.main()
