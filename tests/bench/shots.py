"""How fast shots are found, beside PySceneDetect's own command on the same file in the same minutes.

./nixw run .#bench -- shots FILM [--rounds 5] [--without-network]

The programs take turns. On a busy machine only processor seconds say something.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path

from child import Cost, python, run, stage

PROBE = {"episode": "bench", "title": "Bench", "language": "en", "licence": "CC-BY-3.0", "sha256": None}
SHOTS = {
    "adaptive_threshold": 3.0,
    "min_scene_frames": 15,
    "window_width": 2,
    "min_content_value": 15.0,
    "network_threshold": 0.5,
    "black_luma": 10,
}


def scenedetect(film: Path, folder: Path) -> Cost:
    """Run PySceneDetect's command with its own defaults."""
    options = ["-q", "-i", film, "-o", folder, "detect-adaptive", "list-scenes", "-q"]
    return run([python("media"), "-m", "scenedetect", *options])


def main() -> None:
    """Print the best of the rounds for each."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("film", type=Path)
    arguments.add_argument("--rounds", type=int, default=5)
    arguments.add_argument("--without-network", action="store_true")
    options = arguments.parse_args()
    costs: dict[str, list[Cost]] = {"scenedetect": [], "shots, Adaptive alone": []}
    with tempfile.TemporaryDirectory() as name:
        folder, film = Path(name), options.film.resolve()
        stage("source", "media", folder, PROBE, master=film)
        source = folder / "source"
        length = json.loads((source / "probe.json").read_text())["video"]["seconds"]
        for _ in range(options.rounds):
            costs["scenedetect"].append(scenedetect(film, folder))
            costs["shots, Adaptive alone"].append(stage("shots", "media", folder, SHOTS, master=film, source=source))
        if not options.without_network:
            network = stage("shot_votes", "shots", folder, {"decimals": 3}, master=film, source=source)
            alone = min(costs["shots, Adaptive alone"], key=lambda cost: cost.seconds)
            costs["shot-votes, TransNetV2"] = [network]
            both = (alone.seconds + network.seconds, alone.processor + network.processor, network.megabytes)
            costs["both detectors"] = [Cost(*both)]
    print(f"film of {length:.0f} s{'':18}seconds  processor seconds  film seconds a second     MB")
    for what, found in costs.items():
        seconds, processor = min(cost.seconds for cost in found), min(cost.processor for cost in found)
        memory = max(cost.megabytes for cost in found)
        print(f"{what:30}{seconds:12.1f}{processor:19.2f}{length / seconds:23.1f}{memory:7.0f}")


if __name__ == "__main__":
    main()
