"""How fast shots are found, beside PySceneDetect's own command on the same file in the same minutes.

PYTHONPATH=python python tests/bench/shots.py FILM [--rounds 3]
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

PROBE = {"episode": "bench", "title": "Bench", "language": "en", "licence": "CC-BY-3.0", "sha256": None}
SHOTS = {
    "adaptive_threshold": 3.0,
    "min_scene_frames": 15,
    "window_width": 2,
    "min_content_value": 15.0,
    "network_threshold": 0.5,
    "black_luma": 10,
}


def stage(name: str, folder: Path, parameters: dict, **inputs: Path) -> float:
    """Run a stage by hand and return its seconds."""
    (folder / f"{name}.parameters").write_text(json.dumps(parameters))
    out = folder / f"{name}-{time.monotonic_ns()}"
    command = [
        sys.executable,
        "-m",
        f"reelgraph.stages.{name}",
        "--output",
        out,
        "--parameters",
        folder / f"{name}.parameters",
    ]
    for key, path in inputs.items():
        command += ["--input", f"{key}={path}"]
    start = time.monotonic()
    subprocess.run(command, check=True, stderr=subprocess.DEVNULL)
    seconds = time.monotonic() - start
    (folder / name).unlink(missing_ok=True)
    (folder / name).symlink_to(out)
    return seconds


def scenedetect(film: Path, folder: Path) -> float:
    """Run PySceneDetect's command with its own defaults and return its seconds."""
    start = time.monotonic()
    command = [
        sys.executable,
        "-m",
        "scenedetect",
        "-q",
        "-i",
        film,
        "-o",
        folder,
        "detect-adaptive",
        "list-scenes",
        "-q",
    ]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.monotonic() - start


def main() -> None:
    """Print a line for each, best of the rounds, which take turns."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("film", type=Path)
    arguments.add_argument("--rounds", type=int, default=3)
    arguments.add_argument("--without-network", action="store_true")
    options = arguments.parse_args()
    seconds: dict[str, list[float]] = {"scenedetect": [], "shots (Adaptive)": []}
    if not options.without_network:
        seconds["shot-votes (TransNetV2)"] = []
    with tempfile.TemporaryDirectory() as name:
        folder, film = Path(name), options.film.resolve()
        stage("source", folder, PROBE, master=film)
        source = folder / "source"
        length = json.loads((source / "probe.json").read_text())["video"]["seconds"]
        for turn in range(options.rounds):
            seconds["scenedetect"].append(scenedetect(film, folder))
            seconds["shots (Adaptive)"].append(stage("shots", folder, SHOTS, master=film, source=source))
            if turn == 0 and not options.without_network:
                taken = stage("shot_votes", folder, {"decimals": 3}, master=film, source=source)
                seconds["shot-votes (TransNetV2)"].append(taken)
    for what, taken in seconds.items():
        print(f"{what:26}{min(taken):8.1f} s{length / min(taken):8.1f} times as fast as the film plays")
    if not options.without_network:
        both = min(seconds["shots (Adaptive)"]) + min(seconds["shot-votes (TransNetV2)"])
        print(f"{'both detectors':26}{both:8.1f} s{length / both:8.1f} times as fast as the film plays")
    print(f"largest process: {resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024:.0f} MB")


if __name__ == "__main__":
    main()
