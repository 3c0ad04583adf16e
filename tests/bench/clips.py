"""How fast clips are cut in one pass, beside the ffmpeg program called once a clip with the same encoder settings.

Both write the same clips and their first frames. Ours also reads every clip back, decodes the frames between clips, and
scales so that every processor gives the same bytes; ffmpeg seeks, so it decodes no more than from the key frame before
a clip, and scales as it does by default.

./nixw run .#bench -- clips FILM [--rounds 2] [--ffmpeg PROGRAM]

The programs take turns. On a busy machine only processor seconds say something.
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
from pathlib import Path

from child import Cost, run, stage
from shots import PROBE, SHOTS

from reelgraph.media.encode import ENCODER_THREADS

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


def ffmpeg(tool: str, film: Path, clips: dict, fps: float, folder: Path) -> Cost:
    """Cut every clip and its first frame with a call of its own, seeking to it first."""
    size = f"{CLIPS['width']}:{CLIPS['height']}"
    fit = f"scale={size}:force_original_aspect_ratio=increase:flags=bicubic,crop={size},fps={CLIPS['fps']}"
    calls = []
    encoder = ["-c:v", "libx264", "-crf", CLIPS["crf"], "-preset", CLIPS["preset"], "-bf", 0]
    encoder += ["-threads", ENCODER_THREADS, "-x264-params", "cpu-independent=1", "-flags", "+bitexact"]
    for clip in clips["clips"]:
        at, out = clip["start"] / fps, folder / f"{clip['id']}.mp4"
        command = [tool, "-v", "error", "-y", "-ss", f"{at:.6f}", "-i", film]
        command += ["-vf", fit, "-frames:v", clip["frames"], "-an", *encoder, out]
        command += ["-map", "0:v", "-vf", fit, "-frames:v", 1, out.with_suffix(".png")]
        calls.append(run(command))
    seconds, processor = sum(call.seconds for call in calls), sum(call.processor for call in calls)
    return Cost(seconds, processor, max(call.megabytes for call in calls))


def main() -> None:
    """Print the best of the rounds for each."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("film", type=Path)
    arguments.add_argument("--rounds", type=int, default=2)
    arguments.add_argument("--ffmpeg", default=None)
    options = arguments.parse_args()
    costs: dict[str, list[Cost]] = {"clips, one pass, read back": [], "ffmpeg, one call a clip": []}
    with tempfile.TemporaryDirectory() as name:
        folder, film = Path(name), options.film.resolve()
        source, shots = folder / "source", folder / "shots"
        stage("source", "media", folder, PROBE, master=film)
        stage("shots", "media", folder, {**SHOTS, "min_scene_frames": 2}, master=film, source=source)
        fps = json.loads((source / "probe.json").read_text())["video"]["fps"]
        for _ in range(options.rounds):
            ours = stage("clips", "media", folder, CLIPS, master=film, source=source, shots=shots)
            costs["clips, one pass, read back"].append(ours)
            cut = json.loads((folder / "clips" / "clips.json").read_text())
            theirs = ffmpeg(options.ffmpeg or program(), film, cut, fps, folder)
            costs["ffmpeg, one call a clip"].append(theirs)
    count = len(cut["clips"])
    print(f"{count} clips{'':24}seconds  processor seconds  clips a second     MB")
    for what, found in costs.items():
        seconds, processor = min(cost.seconds for cost in found), min(cost.processor for cost in found)
        memory = max(cost.megabytes for cost in found)
        print(f"{what:30}{seconds:9.1f}{processor:19.2f}{count / seconds:16.1f}{memory:7.0f}")


if __name__ == "__main__":
    main()
