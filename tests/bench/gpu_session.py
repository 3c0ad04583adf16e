"""What only a GPU can show, most important first, each bench under a limit of its own, all within one of ten minutes.

    sh tests/bench/prepare_gpu.sh                                        at home: what the machine lacks, into .gpu
    python3 tests/bench/gpu_session.py one --output RESULTS              there, on one GPU: as much as fits
    python3 tests/bench/gpu_session.py one --output RESULTS --only ...   there, again: what it names as left
    python3 tests/bench/gpu_session.py two --output RESULTS              on a machine with two

Needs that machine's Python with torch, and .gpu. RESULTS gets the benches' own files as they come, session.log with all
that they print, and session.json with how each one ended. `--tiny` runs the same commands at toy size on a CPU.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
UNPACKED = Path("/tmp/reelgraph-gpu")
SITE, NIX, SCRATCH = UNPACKED / "site", UNPACKED / "nix", UNPACKED / "scratch"
# diffsynth imports this name; nothing here downloads.
MODELSCOPE = 'def snapshot_download(*_, **__):\n    raise RuntimeError("nothing is downloaded here")\n'
LAST_LINES = 12


@dataclass(frozen=True)
class Bench:
    """A bench's command, in which OUT and SCRATCH stand for folders, the seconds it may take, and toy sizes for it."""

    name: str
    seconds: int
    command: str
    tiny: str = ""


ONE = (
    Bench("train-81", 260, "train.py --output OUT/train-81.json --frames 81 --only ours stock --modes"),
    Bench("train-49", 170, "train.py --output OUT/train-49.json --frames 49 --only ours stock --rounds 2 --modes"),
    Bench("train-modes", 200, "train.py --output OUT/train-modes.json --frames 81 49 --only ours --rounds 1"),
    Bench("train-parts", 170, "train_parts.py --output OUT/train-parts.txt"),
    Bench("ltx2", 180, "ltx2.py --output OUT/ltx2.json --only training --frames 49 121 --modes full again"),
    Bench(
        "caption", 180, "caption_gpu.py --clips 32 --single-clips 4", "--clips 2 --single-clips 1 --frames 4 --layers 1"
    ),
    # Enough steps that a line of progress comes well before the last one.
    Bench("resume", 170, "train_resume.py --folder SCRATCH/resume --steps 120", "--steps 4"),
    Bench("sandboxed", 200, f"sandboxed_training.py --folder SCRATCH/sandboxed --nix {NIX} --layers 4", "--steps 2"),
)
TWO = (Bench("two-gpus", 280, "two_gpus.py --output OUT/two-gpus.json"),)


def unpack() -> None:
    """Install the carried wheels and Nix below UNPACKED, in place of what an earlier session left there."""
    shutil.rmtree(UNPACKED, ignore_errors=True)
    SCRATCH.mkdir(parents=True)
    wheels = sorted(map(str, (ROOT / ".gpu/wheels").glob("*.whl")))
    install = [sys.executable, "-m", "pip", "install", "-q", "--no-index", "--no-deps", "--no-compile"]
    subprocess.run([*install, "--no-cache-dir", "--target", str(SITE), *wheels], check=True)
    (SITE / "modelscope.py").write_text(MODELSCOPE)
    with tarfile.open(ROOT / ".gpu/nix.tar.xz") as archive:
        archive.extractall(NIX, filter="data")


def describe() -> str:
    """Return the GPUs, the driver and the versions of what computes on them."""
    query = ["nvidia-smi", "--query-gpu=name,driver_version,memory.total", "--format=csv,noheader"]
    versions = (
        "import torch, triton, transformers as t; print(torch.__version__, torch.backends.cudnn.version(), "
        "triton.__version__, t.__version__)"
    )
    found = []
    for command in (query, [sys.executable, "-c", versions]):
        if shutil.which(command[0]):
            found.append(subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip())
    return "\n".join(found)


def run(bench: Bench, seconds: int, out: Path, tiny: bool, log: Path) -> dict[str, object]:
    """Run a bench, end it with all it started after ``seconds``, and return how it ended with its last lines."""
    words = f"{bench.command} {'--tiny ' + bench.tiny if tiny else ''}".split()
    words = [word.replace("OUT/", f"{out}/").replace("SCRATCH/", f"{SCRATCH}/") for word in words]
    environment = {**os.environ, "PYTHONPATH": f"{SITE}:{ROOT / 'python'}", "PYTHONUNBUFFERED": "1"}
    start, before = time.monotonic(), log.stat().st_size
    with log.open("ab") as output:
        process = subprocess.Popen(
            [sys.executable, str(ROOT / "tests/bench" / words[0]), *words[1:]],
            env=environment,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            status = str(process.wait(seconds))
        except subprocess.TimeoutExpired:
            status = f"ended after {seconds} s"
        finally:
            # Also what a bench that came to its end left running.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    with log.open("rb") as output:
        output.seek(before)
        lines = output.read().decode(errors="replace").splitlines()
    took = round(time.monotonic() - start, 1)
    return {"name": bench.name, "status": status, "seconds": took, "command": words, "last": lines[-LAST_LINES:]}


def main() -> None:
    """Run all that was asked for and still fits; end with status 1 if anything failed or is left."""
    began = time.monotonic()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("gpus", choices=["one", "two"])
    parser.add_argument("--output", type=Path, required=True, help="folder for the results")
    parser.add_argument("--only", nargs="+", choices=[bench.name for bench in (*ONE, *TWO)], help="of these benches")
    parser.add_argument("--seconds", type=int, default=580, help="for all of it")
    parser.add_argument("--tiny", action="store_true", help="toy size on the CPU, to try every command")
    arguments = parser.parse_args()
    out = arguments.output.resolve()
    out.mkdir(parents=True, exist_ok=True)
    log, rows, left = out / "session.log", [], []
    log.touch()
    unpack()
    machine = describe()
    print(machine, flush=True)
    for bench in ONE if arguments.gpus == "one" else TWO:
        if arguments.only and bench.name not in arguments.only:
            continue
        remaining = int(began + arguments.seconds - time.monotonic())
        # The limits are generous: most benches come to their end in two thirds.
        if remaining < bench.seconds * 2 / 3:
            left.append(bench.name)
            continue
        rows.append(run(bench, min(bench.seconds, remaining), out, arguments.tiny, log))
        (out / "session.json").write_text(json.dumps({"machine": machine, "benches": rows}, indent=2) + "\n")
        print(
            f"== {bench.name}: {rows[-1]['status']}, {rows[-1]['seconds']} s", *rows[-1]["last"], sep="\n", flush=True
        )
    if left:
        print(f"left: python3 tests/bench/gpu_session.py {arguments.gpus} --output RESULTS --only {' '.join(left)}")
    raise SystemExit(1 if left or any(row["status"] != "0" for row in rows) else 0)


if __name__ == "__main__":
    main()
