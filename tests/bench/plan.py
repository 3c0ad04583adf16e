"""How long `reel plan` takes for many episodes: the whole call, Nix included, with the evaluation and without it.

Run: ./nixw run .#bench -- plan
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "tests/system"))
from built_store import note_as_built  # noqa: E402
from reel import copy_checkout, plant_stage, reel_command, reel_environment  # noqa: E402

from reelgraph.graph.evaluate import Checkout, load_graph, write_sources  # noqa: E402

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
# What is edited in every episode, after all was built.
EDITS = {
    "a parameter of clips": ("nix/pipelines/smoke.nix", r"repeat_change = [\d.]+;", "repeat_change = 0.125;"),
    "the code of shots": ("python/reelgraph/stages/shots.py", r"\Z", "\nEDITED = True\n"),
}


def measure(checkout: Path, target: str, store: Path) -> tuple[str, float, float]:
    """Return the plan's first line, and wall and processor seconds of the call and all that it starts."""
    with tempfile.TemporaryFile("w+") as output:
        start = time.monotonic()
        process = subprocess.Popen(
            reel_command("plan", target, "--store", store),
            cwd=checkout,
            env=reel_environment(),
            stdout=output,
            stderr=subprocess.DEVNULL,
        )
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.monotonic() - start
        output.seek(0)
        if status:
            raise SystemExit(f"planning {target} failed")
        return output.readline().strip(), seconds, usage.ru_utime + usage.ru_stime


def show(case: str, checkout: Path, target: str, store: Path) -> None:
    """Print one line: the first call, which evaluates, and a second one, which finds the evaluation."""
    line, *cold = measure(checkout, target, store)
    line, *warm = measure(checkout, target, store)
    times = "  ".join(f"{wall:6.2f} {processor:6.2f}" for wall, processor in (cold, warm))
    print(f"{case:34s}  {times}  {line.partition(': ')[2]}", flush=True)


def main() -> None:
    """Print a table: wall and processor seconds of the first and of the second call."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        checkout = copy_checkout(folder / "checkout")
        attribute = plant_stage(checkout, "unused", "", [], PIPELINE % " ".join(map(str, EPISODES)))
        print(f"{'':34s}  {'evaluated':>13s}  {'known':>13s}")
        for episodes in EPISODES:
            # The files are others for each, so that none has been evaluated before.
            (checkout / "python/unread").write_text(f"{os.getpid()} {episodes}")
            show(f"{episodes} episodes, nothing built", checkout, f"{attribute}.of-{episodes}", folder / "empty")
        target, store = f"{attribute}.of-{EPISODES[-1]}", folder / "store"
        graph = load_graph(Checkout(checkout), target)
        write_sources(
            Checkout(checkout), graph, list({stage.code: name for name, stage in graph.stages.items()}.values())
        )
        note_as_built(graph, store)
        (checkout / "python/unread").write_text(f"{os.getpid()} built")
        show(f"{EPISODES[-1]} episodes, all built", checkout, target, store)
        for edit, (file, pattern, text) in EDITS.items():
            before = (checkout / file).read_text()
            (checkout / file).write_text(re.sub(pattern, text, before, count=1))
            show(f"then {edit}", checkout, target, store)
            (checkout / file).write_text(before)


if __name__ == "__main__":
    main()
