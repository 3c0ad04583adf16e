"""How fast clips are cut in one pass, beside the ffmpeg program called once a clip with the same encoder settings.

PYTHONPATH=python:tests/bench python tests/bench/clips.py FILM [--ffmpeg PROGRAM]
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

from shots import PROBE, SHOTS, stage

CLIPS = {
    "fps": 24,
    "width": 640,
    "height": 352,
    "frame_counts": [17, 25, 33, 49, 81, 97, 121],
    "trim_frames": 2,
    "black_luma": 10,
    "repeat_change": 0.1,
    "still_share": 0.95,
    "text_boxes": 5,
    "text_area": 0.05,
    "tag_repeats": 0.8,
    "tag_blur_percentile": 5,
    "crf": 16,
    "preset": "veryfast",
}


def program() -> str:
    """Return an ffmpeg program: the machine's, or the one in the imageio-ffmpeg package."""
    if found := shutil.which("ffmpeg"):
        return found
    import imageio_ffmpeg

    return imageio_ffmpeg.get_ffmpeg_exe()


def ffmpeg(tool: str, film: Path, clips: dict, fps: float, folder: Path) -> float:
    """Cut every clip and its first frame with a call of its own, seeking to it first, and return the seconds."""
    size = f"{CLIPS['width']}:{CLIPS['height']}"
    fit = f"scale={size}:force_original_aspect_ratio=increase:flags=bicubic,crop={size},fps={CLIPS['fps']}"
    start = time.monotonic()
    for clip in clips["clips"]:
        at, out = clip["start"] / fps, folder / f"{clip['id']}.mp4"
        command = [
            tool,
            "-v",
            "error",
            "-y",
            "-ss",
            f"{at:.6f}",
            "-i",
            film,
            "-vf",
            fit,
            "-frames:v",
            clip["frames"],
            "-an",
        ]
        command += ["-c:v", "libx264", "-crf", CLIPS["crf"], "-preset", CLIPS["preset"], "-bf", 0, "-threads", 2, out]
        command += ["-map", "0:v", "-vf", fit, "-frames:v", 1, out.with_suffix(".png")]
        subprocess.run(list(map(str, command)), check=True)
    return time.monotonic() - start


def main() -> None:
    """Print a line for each."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("film", type=Path)
    arguments.add_argument("--ffmpeg", default=None)
    options = arguments.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder, film = Path(name), options.film.resolve()
        stage("source", folder, PROBE, master=film)
        stage("shots", folder, {**SHOTS, "min_scene_frames": 2}, master=film, source=folder / "source")
        ours = stage("clips", folder, CLIPS, master=film, source=folder / "source", shots=folder / "shots")
        cut = json.loads((folder / "clips" / "clips.json").read_text())
        fps = json.loads((folder / "source" / "probe.json").read_text())["video"]["fps"]
        theirs = ffmpeg(options.ffmpeg or program(), film, cut, fps, folder)
    count = len(cut["clips"])
    print(f"clips in one pass, read back   {ours:8.1f} s  {count / ours:6.1f} clips/s")
    print(f"ffmpeg, one call a clip        {theirs:8.1f} s  {count / theirs:6.1f} clips/s")


if __name__ == "__main__":
    main()
