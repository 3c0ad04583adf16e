"""The stage wan22-train in Nix's sandbox on this machine's GPU, in two clean stores: one output path?

    python tests/bench/sandboxed_training.py --folder /somewhere/with/10/GB [--nix FOLDER]

Two chained segments on random weights at full width, derivations of nix/stage.nix that ask for the system feature
`cuda`: content-addressed, in the sandbox, seeing the stage's own code. The locked environment is replaced by the Python
that runs this, with its packages and the machine's own libraries, mapped into the sandbox with the GPU: so this
shows Nix, sandbox, stage and GPU together, and nothing of the locked torch. Ends with status 1 if the paths differ.
Needs root, Nix (or FOLDER with a `nix`; tests/system/newer_nix.sh makes one) and PYTHONPATH=python.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import subprocess
import sys
import time
from pathlib import Path

import torch
from train import TI2V, TI2V_5B, TINY
from train_resume import prepare
from training_steps import Sizes

from reelgraph.determinism import restart_in_fixed_environment

ROOT = Path(__file__).resolve().parents[2]
STAND_IN = "/reel-machine"
DRIVER = "/run/opengl-driver/lib"
# What a dynamically linked Python, a C compiler and ldconfig of a distribution need, beside where this Python lies.
SYSTEM = ("/bin", "/sbin", "/lib", "/lib64", "/usr", "/opt", "/etc/ld.so.cache", "/etc/alternatives")


def packages() -> list[str]:
    """Return the folders that this Python imports from, this checkout's own left out: a stage brings its code."""
    own = {str(ROOT / "python"), str(ROOT / "tests/bench")}
    return [folder for folder in map(os.path.realpath, sys.path) if os.path.isdir(folder) and folder not in own]


def mapped_folders() -> list[str]:
    """Return everything of this machine that the sandbox sees, none of it below another."""
    prefixes = [sys.prefix, sys.base_prefix, os.path.dirname(os.path.realpath(sys.executable))]
    wanted = [path for path in dict.fromkeys((*SYSTEM, *prefixes, *packages())) if os.path.exists(path)]
    return [path for path in wanted if not any(path.startswith(f"{other}/") for other in wanted)]


def driver_paths() -> list[str]:
    """Return the GPU's device files, and the folder of the driver's libcuda under nix/builder's name."""
    if not torch.cuda.is_available():
        return []
    torch.cuda.init()
    loaded = Path("/proc/self/maps").read_text().split()
    libcuda = next(Path(word) for word in loaded if "/libcuda.so" in word)
    return [*map(str, sorted(Path("/dev").glob("nvidia*"))), f"{DRIVER}={libcuda.parent}"]


def write_stand_in(folder: Path) -> None:
    """Write bin/python3.11, which starts this Python with its packages and a place for what is compiled on the way."""
    script = folder / "bin/python3.11"
    script.parent.mkdir(parents=True)
    variables = {
        "PATH": "/usr/local/cuda/bin:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin",
        "PYTHONPATH": ":".join(packages()),
        "LD_LIBRARY_PATH": DRIVER,
        "TRITON_LIBCUDA_PATH": DRIVER,
    }
    lines = [f"export {name}={shlex.quote(value)}" for name, value in variables.items()]
    lines += [
        f'export {name}="$NIX_BUILD_TOP/{name}"' for name in ("HOME", "TRITON_CACHE_DIR", "TORCHINDUCTOR_CACHE_DIR")
    ]
    script.write_text("\n".join(["#!/bin/sh", *lines, f'exec {shlex.quote(sys.executable)} "$@"', ""]))
    script.chmod(0o755)


def configuration(folder: Path) -> str:
    """Return Nix's settings: those of nix/builder/cuda-builder.nix with this machine's paths."""
    paths = [f"{STAND_IN}={folder / 'stand-in'}", *mapped_folders(), *driver_paths()]
    settings = {
        "experimental-features": "nix-command flakes ca-derivations",
        "sandbox": "true",
        "sandbox-fallback": "false",
        # Not the extra ones: a distribution's own list may name what is not there.
        "sandbox-paths": " ".join(paths),
        "system-features": "ca-derivations cuda",
        "substituters": "",
        "build-users-group": "",
    }
    return "".join(f"{name} = {value}\n" for name, value in settings.items())


def build(nix: str, store: Path, folder: Path, parameters: dict[str, object]) -> str:
    """Build both segments in a store of their own and return the last one's output path."""
    start = time.monotonic()
    words = {"root": ROOT, "folder": folder, "python": STAND_IN, "parameters": json.dumps(parameters)}
    command = [nix, "build", "--store", store, "--no-link", "--json", "-L"]
    command += ["--file", ROOT / "tests/bench/sandboxed_training.nix"]
    command += [word for name, value in words.items() for word in ("--argstr", name, value)]
    environment = {**os.environ, "NIX_CONFIG": configuration(folder), "NIX_CONF_DIR": str(folder)}
    finished = subprocess.run(list(map(str, command)), env=environment, stdout=subprocess.PIPE, text=True, check=True)
    path = json.loads(finished.stdout)[0]["outputs"]["out"]
    print(f"{store.name}: {path} after {time.monotonic() - start:.1f} s", flush=True)
    return path


def main() -> None:
    """Prepare, build twice, compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True, help="folder to make, on a disk with 10 GB")
    parser.add_argument("--nix", default="", help="folder with the nix to use instead of the one on PATH")
    parser.add_argument("--tiny", action="store_true", help="toy size on the CPU, to try the script")
    parser.add_argument("--layers", type=int, default=8, help="blocks of the model, of 30")
    parser.add_argument("--steps", type=int, default=12, help="steps of a segment")
    arguments = parser.parse_args()
    folder = arguments.folder.resolve()
    cuda = Sizes("cuda", torch.bfloat16, {**TI2V_5B, "num_layers": arguments.layers}, 832, 480, 0, 0)
    sizes = Sizes("cpu", torch.float32, {**TI2V, **TINY}, 64, 64, 0, 0) if arguments.tiny else cuda
    prepare(folder, sizes, arguments.steps)
    write_stand_in(folder / "stand-in")
    dtype = "float32" if arguments.tiny else "bfloat16"
    parameters = {"device": sizes.device, "dtype": dtype, "recompute": "auto", "profile": "exact", "processes": 1}
    nix = os.path.join(arguments.nix, "nix")
    paths = [build(nix, folder / store, folder, parameters) for store in ("store-one", "store-two")]
    print("EQUAL" if paths[0] == paths[1] else "DIFFERENT")
    raise SystemExit(0 if paths[0] == paths[1] else 1)


if __name__ == "__main__":
    restart_in_fixed_environment()
    main()
