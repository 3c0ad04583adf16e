"""Masters made of a real film: pieces of its picture and sound, a title card in a real font, spoken sentences."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from heapq import merge
from pathlib import Path

import matplotlib
import numpy as np
from av.video.frame import VideoFrame
from PIL import Image, ImageDraw, ImageFont

from reelgraph.media.encode import H264, add_flac, add_h264, encode_audio, encode_video, write_media
from reelgraph.media.frames import open_media, picture_filter, video_stream
from reelgraph.media.sound import mix, soundtrack
from reelgraph.stages.excerpt import Parameters, pictures, read_lines

RATE = 24  # frames a second, the film's
CARD_FRAMES = 48
FONT = Path(matplotlib.get_data_path()) / "fonts/ttf/DejaVuSerif-Bold.ttf"
SENTENCES = "pocketsphinx-5.1.1/test/data/librivox/sense_and_sensibility_01_austen_64kb-{}.wav"


@dataclass(frozen=True)
class Version:
    """A master: ``spans`` of the film in frames, a title card of some lines after the first of them, or none.

    ``spoken`` are LibriVox sentences, by the second at which each starts; ``size`` is width and height in pixels.
    """

    spans: Sequence[tuple[int, int]]
    title: Sequence[str]
    spoken: dict[float, str]
    size: tuple[int, int]
    crf: int


def title_card(lines: Sequence[str], size: tuple[int, int]) -> VideoFrame:
    """Return the title card of a series: one panel for all episodes, and the title on it."""
    width, height = size
    card = Image.new("RGB", size, (24, 52, 96))
    draw = ImageDraw.Draw(card)
    draw.rectangle((width // 12, height // 8, width * 11 // 12, height * 7 // 8), outline=(240, 200, 80), width=4)
    font = ImageFont.truetype(str(FONT), height // 11)
    for row, line in enumerate(lines):
        draw.text((width // 2, height * (2 + row) // (3 + len(lines))), line, font=font, fill="white", anchor="mm")
    return VideoFrame.from_ndarray(np.asarray(card), "rgb24").reformat(format="yuv420p")


def write_version(path: Path, film: Path, speech: Path, version: Version, excerpt: Parameters) -> Path:
    """Write a master of ``film`` and the archive ``speech``, mixed as the excerpt stage mixes."""
    spans = [(Fraction(start, RATE), Fraction(end, RATE)) for start, end in version.spans]
    frames = sum(end - start for start, end in version.spans) + CARD_FRAMES * bool(version.title)
    with open_media(film) as heard, write_media(path) as container:
        stream, sound = video_stream(heard, film), heard.streams.audio[0]
        fit = picture_filter(stream, ("scale", "{}:{}".format(*version.size)), ("format", "yuv420p"))

        def shown() -> Iterator[VideoFrame]:
            for number, span in enumerate(spans):
                with open_media(film) as seen:
                    yield from map(fit, pictures(seen, film, *span))
                if number == 0 and version.title:
                    yield from (title_card(version.title, version.size) for _ in range(CARD_FRAMES))

        def played() -> Iterator[np.ndarray]:
            for number, span in enumerate(spans):
                yield from soundtrack(sound, film, *span)
                if number == 0 and version.title:
                    yield np.zeros((sound.channels, CARD_FRAMES * sound.rate // RATE), np.int16)

        dialogue = [{"start": at, "source": SENTENCES.format(name)} for at, name in version.spoken.items()]
        said = replace(excerpt, dialogue=dialogue)
        lines = read_lines(speech, said, sound.rate, frames * sound.rate // RATE, path.parent)
        form = H264(version.crf, "veryfast", b_frames=True)
        video = add_h264(container, Fraction(RATE), version.size, form, stream)
        audio = add_flac(container, sound.rate, sound.layout.name)
        packets = merge(
            encode_video(video, shown()),
            encode_audio(audio, mix(played(), lines)),
            key=lambda packet: packet.dts * packet.time_base,
        )
        for packet in packets:
            container.mux(packet)
    return path
