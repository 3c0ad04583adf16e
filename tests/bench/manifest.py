"""How long a manifest of many masters takes: its status, its evaluation, and what another master would rebuild.

./nixw run .#bench -- manifest [--masters 1000]

Masters are files of ten gigabytes with nothing in them, so what reads them would be seen.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from child import ROOT

sys.path.insert(0, str(ROOT / "tests/graph"))
from evaluation import evaluate
from made_manifest import STAGES, episode, lock_models, put_bible, put_manifest

MASTER_BYTES = 10 << 30
WORK = {
    "title": "Made-up masters",
    "kind": "film",
    "licence": "public-domain",
    "attribution": "",
    "source": "made by the bench",
    "package": None,
}
REEL = "from reelgraph.cli.main import main; main(prog_name='reel')"


def make_masters(folder: Path, count: int, remembered: Path) -> list[dict[str, Any]]:
    """Write ``count`` masters and what was remembered of their hashes; return the manifest's episodes."""
    episodes, lines = [], []
    for number in range(count):
        entry = {**episode(number), "bytes": MASTER_BYTES}
        file = folder / entry["file"]
        file.touch()
        os.truncate(file, MASTER_BYTES)
        lines.append(json.dumps([str(file.resolve()), MASTER_BYTES, file.stat().st_mtime_ns, entry["sha256"]]))
        episodes.append(entry)
    remembered.parent.mkdir(parents=True)
    remembered.write_text("\n".join(lines) + "\n")
    return episodes


def timed(what: str, work: Callable[[], Any]) -> Any:
    """Print how long ``work`` takes and return what it returns."""
    start = time.monotonic()
    found = work()
    print(f"{what:60}{time.monotonic() - start:8.1f} s", flush=True)
    return found


def main() -> None:
    """Print the seconds of each step, and how many derivations another master changes."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--masters", type=int, default=1000)
    count = arguments.parse_args().masters
    with tempfile.TemporaryDirectory() as name:
        folder, checkout = Path(name) / "masters", Path(name) / "checkout"
        folder.mkdir()
        files = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
        for file in files.splitlines():
            (checkout / file).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / file, checkout / file)
        episodes = make_masters(folder, count, Path(name) / "cache/reelgraph/manifest/hashes.jsonl")
        put_manifest(checkout, WORK, episodes)
        lock_models(checkout)
        put_bible(checkout)
        environment = {**os.environ, "PYTHONPATH": str(ROOT / "python"), "XDG_CACHE_HOME": f"{name}/cache"}
        command = [sys.executable, "-c", REEL, "manifest", "status", str(folder), "--json"]

        def status() -> dict[str, Any]:
            said = subprocess.run(command, cwd=checkout, env=environment, capture_output=True, text=True, check=False)
            return json.loads(said.stdout)

        found = timed(f"status of {count} masters", status)
        print(
            f"  {len(found['present'])} in the store, {len(found['missing'])} missing, {len(found['altered'])} altered"
        )
        before = timed("every derivation of iiw", lambda: evaluate(checkout, "iiw", STAGES))
        episodes[count // 2]["sha256"] = "0" * 64
        put_manifest(checkout, WORK, episodes)
        after = timed("the same with another master for one episode", lambda: evaluate(checkout, "iiw", STAGES))
    changed = [stage for stage in before if before[stage] != after[stage]]
    own = sum(stage.startswith(f"iiw-{count // 2}/") for stage in changed)
    print(f"  of {len(before)} stages {len(changed)} differ: {own} of that episode, {len(changed) - own} that join all")


if __name__ == "__main__":
    main()
