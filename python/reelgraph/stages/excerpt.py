"""Cut an episode out of a freely licensed film, frame by frame, and mix spoken sentences over its soundtrack."""

from __future__ import annotations

import shutil
import tarfile
import tempfile
import wave
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from heapq import merge
from itertools import pairwise
from pathlib import Path
from typing import IO, Any

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.container import InputContainer
from av.video.frame import VideoFrame

from reelgraph.errors import StageError
from reelgraph.files import file_hash
from reelgraph.media.encode import add_flac, add_h264, encode_audio, encode_video, write_media
from reelgraph.media.frames import THREADS, frame_rate, open_media, video_stream
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


@dataclass(frozen=True)
class Line:
    """A recording in the mix: its first sample in the episode, and its samples as int32 at the scale of 16 bits."""

    source: str
    start: int
    samples: np.ndarray


def unpack(archive: Path, members: dict[str, Path]) -> None:
    """Copy members of a .tar.gz archive to files, in one pass and piece by piece."""
    wanted = dict(members)
    try:
        with tarfile.open(archive, "r|gz") as opened:
            for entry in opened:
                if entry.isfile() and entry.name in wanted:
                    copy(opened.extractfile(entry), wanted.pop(entry.name))
                if not wanted:
                    return
    except (tarfile.TarError, EOFError, zlib.error) as error:
        raise StageError(f"{archive.name}: cannot be unpacked ({error}); expected a whole .tar.gz, fetch it again") from error
    raise StageError(f"{archive.name}: holds no file '{min(wanted)}'; check the path and the archive's version")


def copy(stream: IO[bytes], target: Path) -> None:
    """Write ``stream`` to ``target`` in pieces of 1 MiB."""
    with target.open("wb") as file:
        shutil.copyfileobj(stream, file, 1 << 20)


def extract_film(archive: Path, parameters: Parameters, directory: Path) -> Path:
    """Unpack the film and check that it is the one that the parameters name."""
    film = directory / "film"
    if parameters.film_archive_member is None:
        unpack(archive, {parameters.film_member: film})
    else:
        unpack(archive, {parameters.film_archive_member: directory / "film.zip"})
        try:
            with zipfile.ZipFile(directory / "film.zip") as opened, opened.open(parameters.film_member) as stream:
                copy(stream, film)
        except (KeyError, zipfile.BadZipFile) as error:
            raise StageError(f"{parameters.film_archive_member}: holds no intact '{parameters.film_member}' ({error})") from error
    found = file_hash(film).removeprefix("sha256:")
    if found != parameters.film_sha256:
        raise StageError(
            f"{parameters.film_member}: SHA-256 is {found}, expected {parameters.film_sha256}; the film was altered, fetch it again"
        )
    return film


def read_speech(archive: Path, parameters: Parameters, rate: int, directory: Path) -> list[Line]:
    """Return the lines at ``rate`` samples a second with the gain asked for, in integer arithmetic throughout."""
    files = {line["source"]: directory / f"{number}.wav" for number, line in enumerate(parameters.dialogue)}
    unpack(archive, files)
    lines = []
    for line in parameters.dialogue:
        with wave.open(str(files[line["source"]])) as recording:
            if (recording.getnchannels(), recording.getsampwidth()) != (1, 2):
                raise StageError(f"{line['source']}: is not a mono 16-bit WAV; give a recording that is")
            samples = np.frombuffer(recording.readframes(recording.getnframes()), "<i2")
            frame = AudioFrame.from_ndarray(samples[np.newaxis], format="s16", layout="mono")
            frame.sample_rate = recording.getframerate()
        resampler = av.AudioResampler(format="s16", layout="mono", rate=rate)
        pieces = [piece.to_ndarray()[0] for part in (frame, None) for piece in resampler.resample(part)]
        loud = np.concatenate(pieces).astype(np.int32) * parameters.speech_gain_percent // 100
        lines.append(Line(line["source"], round(Fraction(str(line["start"])) * rate), loud))
    for before, after in pairwise(lines):
        if after.start < before.start + len(before.samples):
            raise StageError(f"dialogue: '{after.source}' starts before '{before.source}' ends; move one of them")
    return lines


def pictures(container: InputContainer, film: Path, start: Fraction, end: Fraction) -> Iterator[VideoFrame]:
    """Yield the film's frames that are shown at ``start`` or later and before ``end``, in seconds."""
    stream = video_stream(container, film)
    stream.codec_context.thread_count, stream.thread_type = THREADS, "AUTO"
    container.seek(int(start / stream.time_base) + stream.start_time, stream=stream)
    for frame in container.decode(stream):
        time = (frame.pts - stream.start_time) * stream.time_base
        if time >= end:
            return
        if time >= start:
            yield frame


def sound(container: InputContainer, film: Path, start: Fraction, end: Fraction) -> Iterator[np.ndarray]:
    """Yield the soundtrack from ``start`` to before ``end`` seconds as int16 arrays [channels, samples]."""
    stream = container.streams.audio[0]
    # FFmpeg's usual AAC decoder computes in floating point, which rounds differently from one CPU to the next.
    decoder = av.CodecContext.create("aac_fixed" if stream.codec_context.name == "aac" else stream.codec_context.name, "r")
    decoder.extradata = stream.codec_context.extradata
    zero = (container.streams.video[0].start_time or 0) * container.streams.video[0].time_base
    resampler = av.AudioResampler(format="s16p", layout=stream.layout, rate=stream.rate)
    first, last = round(start * stream.rate), round(end * stream.rate)
    container.seek(int(max(start + zero - 1, 0) / stream.time_base), stream=stream)
    for packet in container.demux(stream):
        for frame in decoder.decode(packet):
            position = round((frame.pts * stream.time_base - zero) * stream.rate)
            frame.pts = None
            samples = np.concatenate([piece.to_ndarray() for piece in resampler.resample(frame)], axis=1)
            kept = samples[:, max(first - position, 0) : max(last - position, 0)]
            if kept.size:
                yield kept


def mix(soundtrack: Iterator[np.ndarray], lines: list[Line], layout: str) -> Iterator[AudioFrame]:
    """Yield the soundtrack with every line added to all channels; a sum beyond 16 bits raises a StageError."""
    position = 0
    for samples in soundtrack:
        mixed = samples.astype(np.int32)
        end = position + mixed.shape[1]
        for line in lines:
            begin, until = max(line.start, position), min(line.start + len(line.samples), end)
            if begin < until:
                mixed[:, begin - position : until - position] += line.samples[begin - line.start : until - line.start]
                if np.abs(mixed).max() > np.iinfo(np.int16).max:
                    raise StageError(f"dialogue: '{line.source}' over the soundtrack clips; lower speech_gain_percent or move the line")
        interleaved = np.ascontiguousarray(mixed.astype(np.int16).T).reshape(1, -1)
        yield AudioFrame.from_ndarray(interleaved, format="s16", layout=layout)
        position = end
    if lines and lines[-1].start + len(lines[-1].samples) > position:
        raise StageError(f"dialogue: '{lines[-1].source}' ends after the episode; move it or cut a longer episode")


def run(inputs: Inputs, parameters: Parameters, out: Path) -> None:
    """Write episode.mp4: H.264 and FLAC."""
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        film = extract_film(inputs.film, parameters, directory)
        if parameters.start_seconds == 0 and parameters.end_seconds is None and not parameters.dialogue:
            shutil.copyfile(film, out / "episode.mp4")
            return
        encode(film, inputs.speech, parameters, out / "episode.mp4", directory)


def encode(film: Path, speech: Path, parameters: Parameters, episode: Path, directory: Path) -> None:
    """Cut ``film`` as the parameters say and write it with the speech over its sound to ``episode``."""
    with open_media(film) as seen, open_media(film) as heard, write_media(episode) as container:
        source = video_stream(seen, film)
        if not heard.streams.audio:
            raise StageError(f"{parameters.film_member}: has no audio stream; give a film with sound")
        rate = frame_rate(source, film)
        start = Fraction(str(parameters.start_seconds))
        length = source.duration * source.time_base
        end = length if parameters.end_seconds is None else Fraction(str(parameters.end_seconds))
        if not start < end <= length:
            raise StageError(f"{parameters.film_member}: lasts {float(length):.3f} s, so no episode from {start} to {end} s")
        frames = track(pictures(seen, film, start, end), "excerpt", round((end - start) * rate), "frame")
        audio = heard.streams.audio[0]
        layout = audio.layout.name
        lines = read_speech(speech, parameters, audio.rate, directory)
        video_out = add_h264(container, rate, (source.width, source.height), parameters.crf, parameters.preset, True, source)
        audio_out = add_flac(container, audio.rate, layout)
        packets = merge(
            encode_video(video_out, frames),
            encode_audio(audio_out, mix(sound(heard, film, start, end), lines, layout)),
            key=lambda packet: packet.dts * packet.time_base,
        )
        for packet in packets:
            container.mux(packet)


STAGE = Stage(name="excerpt", inputs=Inputs, parameters=Parameters, outputs={}, run=run)

if __name__ == "__main__":
    STAGE.main()
