"""How `reel plan` grows with the number of episodes: processor and wall seconds of the whole call, Nix included.

Run: ./nixw run .#bench -- plan
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "tests/system"))
from reel import copy_checkout, plant_stage, reel_command, reel_environment  # noqa: E402

EPISODES = (1, 13, 100, 1000)
PIPELINE = """builtins.listToAttrs (map (count: {
  name = "of-${toString count}";
  value = (mkPipeline (specifications.smoke // {
    name = "many";
    episodes = builtins.listToAttrs (builtins.genList (number: {
      name = "episode-${toString number}";
      value = builtins.head (builtins.attrValues specifications.smoke.episodes);
    }) count);
  })).checkpoint;
}) [ %s ])"""


def measure(checkout: Path, target: str) -> tuple[str, float, float]:
    """Return the plan's first line, and processor and wall seconds of the call and all that it starts."""
    with tempfile.TemporaryFile("w+") as output:
        start = time.monotonic()
        command = reel_command("plan", target)
        process = subprocess.Popen(
            command, cwd=checkout, env=reel_environment(), stdout=output, stderr=subprocess.DEVNULL
        )
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.monotonic() - start
        output.seek(0)
        if status:
            raise SystemExit(f"planning {target} failed")
        return output.readline().strip(), usage.ru_utime + usage.ru_stime, seconds


def main() -> None:
    """Print a table."""
    with tempfile.TemporaryDirectory() as folder:
        checkout = copy_checkout(Path(folder) / "checkout")
        target = plant_stage(checkout, "unused", "", [], PIPELINE % " ".join(map(str, EPISODES)))
        print("episodes  processor s  wall s  plan")
        for episodes in EPISODES:
            line, processor, wall = measure(checkout, f"{target}.of-{episodes}")
            print(f"{episodes:8d}  {processor:11.2f}  {wall:6.2f}  {line.partition(': ')[2]}", flush=True)


if __name__ == "__main__":
    main()
