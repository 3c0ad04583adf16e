"""How much memory the stages take for a film's first minute and for all of it.

./nixw run .#bench -- memory FILM [--seconds 60]
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import av
from child import Cost, stage
from clips import CLIPS
from shots import PROBE, SHOTS


def first_seconds(film: Path, seconds: float, out: Path) -> Path:
    """Copy the film's beginning, packet by packet."""
    with av.open(str(film)) as source, av.open(str(out), "w") as target:
        streams = {
            stream.index: target.add_stream_from_template(stream)
            for stream in (source.streams.video[0], *source.streams.audio[:1])
        }
        for packet in source.demux([source.streams[index] for index in streams]):
            if packet.dts is not None and packet.dts * packet.time_base < seconds:
                packet.stream = streams[packet.stream.index]
                target.mux(packet)
    return out


def stages(film: Path, folder: Path) -> dict[str, Cost]:
    """Return what each stage costs on a film."""
    folder.mkdir()
    source, shots = folder / "source", folder / "shots"
    return {
        "source": stage("source", "media", folder, PROBE, master=film),
        "shots": stage("shots", "media", folder, {**SHOTS, "min_scene_frames": 2}, master=film, source=source),
        "clips": stage("clips", "media", folder, CLIPS, master=film, source=source, shots=shots),
    }


def main() -> None:
    """Print both side by side."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("film", type=Path)
    arguments.add_argument("--seconds", type=float, default=60)
    options = arguments.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder, film = Path(name), options.film.resolve()
        short = stages(first_seconds(film, options.seconds, folder / "short.mp4"), folder / "part")
        whole = stages(film, folder / "whole")
    print(f"stage    {options.seconds:.0f} s: MB   whole film: MB")
    for what, cost in short.items():
        print(f"{what:9}{cost.megabytes:8.0f}{whole[what].megabytes:17.0f}")


if __name__ == "__main__":
    main()
