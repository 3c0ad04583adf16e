"""How evaluation grows with the number of episodes: seconds and memory to instantiate every derivation.

Run: ./nixw run .#bench -- evaluation
"""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[2]
EPISODES = (1, 13, 100, 1000)
APPLY = """lib:
let
  smoke = lib.specifications.smoke;
  one = builtins.head (builtins.attrValues smoke.episodes);
  episode = index: { name = "episode-${toString index}"; value = one; };
  pipeline = lib.mkPipeline (smoke // { episodes = builtins.listToAttrs (builtins.genList episode %d); });
in
builtins.foldl' (count: stage: count + (if stage.drvPath == "" then 0 else 1)) 0 (builtins.attrValues pipeline.stages)
"""


def measure(episodes: int) -> tuple[int, float, float]:
    """Return the number of stages, wall seconds and peak MiB of evaluating a made-up set of ``episodes``."""
    command = [ROOT / "nixw", "eval", f"path:{ROOT}#lib.x86_64-linux", "--apply", APPLY % episodes]
    with tempfile.TemporaryFile("w+") as output:
        start = time.monotonic()
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.DEVNULL)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.monotonic() - start
        output.seek(0)
        if status:
            raise SystemExit(f"evaluating {episodes} episodes failed")
        return int(output.read()), seconds, usage.ru_maxrss / 1024


def main() -> None:
    """Print a table; the last column shows that a stage costs the same however many there are."""
    print("episodes  stages  seconds  MiB   ms per stage")
    for episodes in EPISODES:
        stages, seconds, memory = measure(episodes)
        print(f"{episodes:8d}  {stages:6d}  {seconds:7.2f}  {memory:4.0f}  {1000 * seconds / stages:12.2f}", flush=True)


if __name__ == "__main__":
    main()
