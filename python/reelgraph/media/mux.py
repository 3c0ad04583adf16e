"""Picture and sound of several files in one, nothing encoded again."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from av.stream import Stream

from reelgraph.errors import StageError
from reelgraph.media.encode import write_media
from reelgraph.media.frames import open_media, reading, video_stream


def add_sound(video: Path, sound: Path, out: Path) -> None:
    """Write the MP4 ``out`` with the packets of the video stream of ``video`` and the audio stream of ``sound``."""
    if not sound.is_file():
        raise StageError(f"{sound.name}: is missing; cut the sound of these clips again")
    with open_media(video) as pictures, open_media(sound) as heard, write_media(out) as target:
        sources = (video_stream(pictures, video), heard.streams.audio[0])
        streams = [target.add_stream_from_template(source) for source in sources]
        with reading(video), reading(sound):
            copy_packets(sources, streams)


def copy_packets(sources: Sequence[Stream], streams: Sequence[Stream]) -> None:
    """Write the packets of ``sources``, each of its own container, to ``streams`` of one container by their time."""
    packets = [
        (packet.dts * packet.time_base, number, packet)
        for number, source in enumerate(sources)
        for packet in source.container.demux(source)
        if packet.dts is not None
    ]
    for _, number, packet in sorted(packets, key=lambda entry: entry[:2]):
        packet.stream = streams[number]
        streams[number].container.mux(packet)
