"""A killed run ends in the bytes of an undisturbed one on this GPU: the stage wan22-train on random weights.

    python tests/bench/train_resume.py --folder /somewhere/with/5/GB

Two segments of steps at two sizes of clip, at full width and with eight of the thirty blocks. Both are trained by the
stage's own command; then the second is trained once more, killed in the middle of its steps, and trained again.
Prints seconds and hashes; ends with status 1 if any byte differs. Needs PYTHONPATH=python.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path

import torch
from diffsynth.models.wan_video_dit import WanModel
from train import TI2V, TI2V_5B, TINY, build, planned, write_clips
from training_steps import Sizes

from reelgraph.determinism import FIXED_ENVIRONMENT, restart_in_fixed_environment
from reelgraph.files import write_json
from reelgraph.train.tensors import write_tensors

RECIPE = {
    "seed": 1,
    "gradient_clip": 1.0,
    "weight_decay": 0.01,
    "lora_rank": 16,
    "timestep_shift": 5.0,
    "expert": "all",
    "held_out": [],
}


def prepare(folder: Path, sizes: Sizes, count: int) -> None:
    """Write model, latents, embedding and a plan of two segments of ``count`` steps as the stages before would have."""
    model = folder / "model"
    model.mkdir(parents=True)
    weights = build(WanModel, sizes, **sizes.dit).state_dict()
    write_tensors(model / "diffusion_pytorch_model.safetensors", weights)
    if sizes.dit["num_layers"] != TI2V_5B["num_layers"]:
        part = {
            "files": ["diffusion_pytorch_model.safetensors"],
            "model_class": "diffsynth.models.wan_video_dit.WanModel",
        }
        write_json(model / "model.json", {"parts": {"dit": {**part, "extra_kwargs": sizes.dit}}})
    rows, steps = [], []
    for number, frames in enumerate((49, 81)):
        write_clips(folder / str(frames), sizes, frames, sizes.dit["text_dim"], 48, 16)
        clip = f"clip-{frames}"
        (folder / "e/latents").mkdir(parents=True, exist_ok=True)
        (folder / str(frames) / "latents/0.safetensors").rename(folder / f"e/latents/{clip}.safetensors")
        shape = [48, (frames - 1) // 4 + 1, sizes.height // 16, sizes.width // 16]
        rows.append({"clip": clip, "file": f"latents/{clip}.safetensors", "shape": shape})
        for step in planned(1, 2 * count, True)[number::2]:
            row = asdict(step)
            row["micro_steps"][0]["clip"] = clip
            steps.append(row)
    (folder / "81/text").rename(folder / "e/text")
    write_json(folder / "e/text.json", {"padded_tokens": 512})
    write_json(folder / "e/latents.json", {"latents": rows})
    (folder / "plan/segments").mkdir(parents=True)
    write_json(folder / "plan/recipe.json", RECIPE)
    steps.sort(key=lambda row: row["step"])
    for segment in (0, 1):
        lines = [json.dumps(row, sort_keys=True) for row in steps[count * segment : count * (segment + 1)]]
        (folder / f"plan/segments/{segment:02d}.jsonl").write_text("\n".join(lines) + "\n")


def train(folder: Path, name: str, segment: int, parameters: dict[str, object], kill_after: str = "") -> None:
    """Train a segment by the stage's own command into ``folder``/``name``; kill it once its log has ``kill_after``."""
    out, start = folder / name, time.monotonic()
    write_json(folder / "parameters.json", {"segment": segment, **parameters})
    inputs = {"plan": "plan", "latents.e": "e", "text.e": "e", "model": "model"}
    if segment:
        inputs["previous"] = "first"
    command = [
        sys.executable,
        "-m",
        "reelgraph.stages.wan22_train",
        "--output",
        str(out),
        "--parameters",
        str(folder / "parameters.json"),
    ]
    command += [word for name, path in inputs.items() for word in ("--input", f"{name}={folder / path}")]
    log = (folder / f"{name}.log").open("w+")
    with subprocess.Popen(
        command, env={**os.environ, **FIXED_ENVIRONMENT}, stdout=log, stderr=subprocess.STDOUT
    ) as process:
        while process.poll() is None:
            time.sleep(0.2)
            text = Path(log.name).read_text()
            if kill_after and kill_after in text:
                process.kill()
                print("killed at: " + text.strip().splitlines()[-1], flush=True)
                break
    if not kill_after and process.returncode != 0:
        raise SystemExit(Path(log.name).read_text()[-3000:])
    assert out.exists() != bool(kill_after)
    print(f"{name}: {'killed' if kill_after else 'done'} after {time.monotonic() - start:.1f} s", flush=True)


def hashes(folder: Path) -> dict[str, str]:
    """Return the hash of each file of a segment's output."""
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.iterdir())}


def main() -> None:
    """Prepare, train, kill, train again, compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True, help="folder to make, on a disk with 5 GB")
    parser.add_argument("--tiny", action="store_true", help="toy size on the CPU, to try the script")
    parser.add_argument("--layers", type=int, default=8, help="blocks of the model, of 30")
    parser.add_argument("--steps", type=int, default=60, help="steps of a segment")
    arguments = parser.parse_args()
    cuda = Sizes("cuda", torch.bfloat16, {**TI2V_5B, "num_layers": arguments.layers}, 832, 480, 0, 0)
    sizes = Sizes("cpu", torch.float32, {**TI2V, **TINY}, 64, 64, 0, 0) if arguments.tiny else cuda
    prepare(arguments.folder, sizes, arguments.steps)
    dtype = "float32" if arguments.tiny else "bfloat16"
    parameters = {"device": sizes.device, "dtype": dtype, "recompute": "auto", "profile": "exact", "processes": 1}
    # On a GPU a line of progress with a loss says that steps are done; the toy has no time for one.
    kill_after = "Using wan_video_dit" if arguments.tiny else ", loss "
    train(arguments.folder, "first", 0, parameters)
    train(arguments.folder, "undisturbed", 1, parameters)
    train(arguments.folder, "resumed", 1, parameters, kill_after)
    train(arguments.folder, "resumed", 1, parameters)
    one, two = (hashes(arguments.folder / name) for name in ("undisturbed", "resumed"))
    print("EQUAL" if one == two else "DIFFERENT", one["state.safetensors"], two["state.safetensors"])
    raise SystemExit(0 if one == two else 1)


if __name__ == "__main__":
    restart_in_fixed_environment()
    main()
