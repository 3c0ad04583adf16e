"""What a model's lock costs to evaluate, and what ingesting costs in time and memory.

Run: ./nixw run .#bench -- models [GB]
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "tests/unit"))
from local_hub import LocalHub, Repository, pseudo_random  # noqa: E402

REEL = [sys.executable, "-c", "from reelgraph.cli.main import main; main(prog_name='reel')", "models"]
ENTRY = json.loads((ROOT / "materials/models/whisper-large-v3-turbo.json").read_text())
PIECE = 1 << 18
LOCKED = """
{ root }:
let
  script = attributes: derivation (removeAttrs attributes [ "file" ] // { system = "none"; builder = "none"; });
  permit = (import (/. + root + "/nix/licences.nix") { }).permit;
in
(import (/. + root + "/nix/models") {
  python = { inherit script; };
  inherit permit;
  folder = /. + root + "/materials/models";
}).toy.drvPath
"""


def make_checkout(folder: Path, entry: dict[str, object]) -> Path:
    """Return what of a checkout the commands need, with one model."""
    for name in ("nix/models", "materials/licences"):
        shutil.copytree(ROOT / name, folder / name, dirs_exist_ok=True)
    for name in ("nix/json-folder.nix", "nix/licences.nix", "materials/profile.json", "nixw", "flake.nix"):
        shutil.copy(ROOT / name, folder / name)
    (folder / "materials/models").mkdir(exist_ok=True)
    (folder / "materials/models/toy.json").write_text(json.dumps(entry))
    return folder


def measure(command: list[str], folder: Path, **variables: str) -> tuple[float, float]:
    """Run a command and return its seconds and its peak memory in MiB."""
    start = time.monotonic()
    process = subprocess.Popen(command, cwd=folder, env={**os.environ, **variables}, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{' '.join(command[:1])} failed")
    return time.monotonic() - start, usage.ru_maxrss / 1024


def evaluate(folder: Path) -> None:
    """Print how long locks of many shards take to evaluate."""
    print("shards  seconds  MiB")
    for count in (1, 10, 100, 1000):
        paths = [f"model-{index:05}.safetensors" for index in range(count)]
        files = [{"path": path, "role": "weights", "size": 1, "sha256": f"{n:064x}"} for n, path in enumerate(paths)]
        make_checkout(folder, {**ENTRY, "revision": "0" * 40, "files": files})
        command = ["nix-instantiate", "--eval", "--readonly-mode", "--argstr", "root", str(folder), "--expr", LOCKED]
        seconds, memory = measure(command, folder)
        print(f"{count:6d}  {seconds:7.2f}  {memory:3.0f}", flush=True)


def ingest(folder: Path, size: int) -> None:
    """Print how long a file takes from a hub on this machine into a store of its own, and the peak memory."""
    block, digest = pseudo_random(PIECE), hashlib.sha256()
    for start in range(0, size, PIECE):
        digest.update(block[: min(PIECE, size - start)])

    def read(start: int, end: int) -> bytes:
        return (block + block)[start % PIECE :][: end - start]

    checkout = make_checkout(folder / "checkout", {**ENTRY, "roles": {"weights": ["w.bin"]}, "optional": []})
    variables = {f"NIX_{name}_DIR": str(folder / name) for name in ("STORE", "STATE", "LOG", "CONF")}
    variables |= {"XDG_CACHE_HOME": str(folder / "cache"), "XDG_STATE_HOME": str(folder / "state")}
    with LocalHub() as hub:
        generated = {"w.bin": (size, digest.hexdigest(), read)}
        hub.repositories[str(ENTRY["repository"])] = Repository("0" * 39 + "1", {}, generated=generated)
        variables["HF_ENDPOINT"] = hub.endpoint
        print("what    GB     seconds  MB/s  MiB")
        for verb in ("lock", "ingest", "verify"):
            seconds, memory = measure([*REEL, verb, "toy"], checkout, **variables)
            speed = "" if verb == "lock" else f"{size / 1e6 / seconds:5.0f}"
            print(f"{verb:6}  {size / 1e9:5.2f}  {seconds:7.2f}  {speed:5}  {memory:3.0f}", flush=True)
    subprocess.run(["chmod", "-R", "u+w", str(folder)], check=True)


def main() -> None:
    """Print both tables."""
    size = int(float(sys.argv[1]) * 1e9) if len(sys.argv) > 1 else 1_000_000_000
    with tempfile.TemporaryDirectory() as folder:
        evaluate(Path(folder) / "locks")
    for gigabytes in (size // 10, size):
        with tempfile.TemporaryDirectory() as folder:
            ingest(Path(folder), gigabytes)


if __name__ == "__main__":
    main()
