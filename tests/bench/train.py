"""How fast a training step is, ours beside stock DiffSynth's, on random weights of full size; needs no download.

    python tests/bench/train.py --output bench.json            on one CUDA GPU with 80 GB or more, about six minutes
    python tests/bench/train.py --output bench.json --tiny     the same code on a CPU at toy size, in seconds

Run it with the train environment's Python and PYTHONPATH=python. Prints one line a measurement and writes all as JSON:
seconds of a step (median after warm-up), peak memory, the hash of the LoRA after the steps, and ours over stock.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffsynth.diffusion.loss import FlowMatchSFTLoss
from diffsynth.diffusion.training_module import DiffusionTrainingModule
from diffsynth.models.wan_video_dit import WanModel, precompute_freqs_cis_3d
from diffsynth.models.wan_video_text_encoder import WanTextEncoder
from diffsynth.models.wan_video_vae import WanVideoVAE38
from diffsynth.pipelines.wan_video import WanVideoPipeline
from PIL import Image
from training_steps import Report, Sizes, drawing_weights, forget_peak, free, fresh_lora, measure, sha256, synchronize

from reelgraph.determinism import restart_in_fixed_environment
from reelgraph.train.lora import TARGET_LAYERS, inject_lora, make_optimizer
from reelgraph.train.plan import MicroStep, Step
from reelgraph.train.processes import Processes
from reelgraph.train.tensors import write_tensors
from reelgraph.train.trainer import make_trainer
from reelgraph.train.wan import SmallWanVideoVAE38

RECIPE = {"gradient_clip": 1.0, "timestep_shift": 5.0}
RANK = 16


TI2V = {
    "in_dim": 48,
    "out_dim": 48,
    "freq_dim": 256,
    "eps": 1e-6,
    "patch_size": (1, 2, 2),
    "has_image_input": False,
    "seperated_timestep": True,
    "require_vae_embedding": False,
    "require_clip_embedding": False,
    "fuse_vae_embedding_in_latents": True,
}
T2V = {**TI2V, "in_dim": 16, "out_dim": 16, "seperated_timestep": False, "fuse_vae_embedding_in_latents": False}
TI2V_5B = {**TI2V, "dim": 3072, "ffn_dim": 14336, "text_dim": 4096, "num_heads": 24, "num_layers": 30}
T2V_A14B = {**T2V, "dim": 5120, "ffn_dim": 13824, "text_dim": 4096, "num_heads": 40, "num_layers": 40}
TINY = {"dim": 48, "ffn_dim": 96, "text_dim": 64, "num_heads": 2, "num_layers": 2}


def build(model_class: Callable[..., torch.nn.Module], sizes: Sizes, **options: Any) -> torch.nn.Module:
    """Return a model with torch's own random initial weights on the device."""
    with drawing_weights(sizes):
        model = model_class(**options).eval().requires_grad_(False)
    if isinstance(model, WanModel):
        model.freqs = precompute_freqs_cis_3d(options["dim"] // options["num_heads"])
    return model


def write_clips(folder: Path, sizes: Sizes, frames: int, text_dim: int, channels: int, scale: int) -> None:
    """Write two clips' latents and one caption's embedding of 60 tokens as the stages before training do."""
    shape = (channels, (frames - 1) // 4 + 1, sizes.height // scale, sizes.width // scale)
    (folder / "latents").mkdir(parents=True)
    (folder / "text").mkdir()
    generator = torch.Generator().manual_seed(1)
    for clip in ("0", "1"):
        latents = torch.randn(shape, generator=generator).to(sizes.dtype)
        write_tensors(folder / f"latents/{clip}.safetensors", {"latents": latents})
    context = torch.randn((60, text_dim), generator=generator).to(sizes.dtype)
    write_tensors(folder / "text/p.safetensors", {"context": context})
    (folder / "text.json").write_text(json.dumps({"padded_tokens": 512}))


def planned(first: int, count: int, given: bool) -> list[Step]:
    """Return ``count`` steps of one clip each at different noise levels, every second one from its first frame."""
    return [
        Step(n, 1e-4, (MicroStep("e", str(n % 2), "p", 97 * n % 1000, 0.0, n, given and n % 2 == 0),))
        for n in range(first, first + count)
    ]


def ours(
    dit: WanModel, sizes: Sizes, folder: Path, recompute: str, profile: str, given: bool, seed: int = 1
) -> dict[str, Any]:
    """Return the measurement of our trainer on a transformer that already carries a LoRA, from its first step."""
    lora = fresh_lora(dit, profile, seed)
    optimizer = make_optimizer(lora, 1e-4, 0.01)
    forget_peak(sizes)
    trainer = make_trainer(dit, optimizer, {"e": folder}, {"e": folder}, Processes(), RECIPE, recompute, profile)
    count = sizes.warm + 2 * sizes.steps
    row = measure(trainer.steps(planned(1, count, given)), sizes)
    return {**row, "steps_done": count, "lora_sha256": sha256(lora.values())}


def stock(sizes: Sizes, frames: int, tiny: bool) -> dict[str, Any]:
    """Return the measurement of DiffSynth's own step: text, video and transformer every time, its own settings."""
    torch.use_deterministic_algorithms(False)
    pipe = WanVideoPipeline(device=sizes.device, torch_dtype=sizes.dtype)
    pipe.dit = build(WanModel, sizes, **sizes.dit)
    if tiny:
        pipe.vae = build(SmallWanVideoVAE38, sizes, z_dim=48, dim=4, dec_dim=4, num_res_blocks=1)
        small = {"vocab": 1000, "dim": 64, "dim_attn": 64, "dim_ffn": 128, "num_heads": 2, "num_layers": 1}
        text_encoder = build(WanTextEncoder, sizes, **small)
    else:
        pipe.vae, text_encoder = build(WanVideoVAE38, sizes), build(WanTextEncoder, sizes)
    module = DiffusionTrainingModule()
    layers = ["q", "k", "v", "o", "ffn.0", "ffn.2"]
    module.add_lora_to_model(pipe.dit, layers, RANK, upcast_dtype=sizes.dtype)
    pipe.dit.train()
    pipe.scheduler.set_timesteps(1000, training=True)
    parameters = [value for value in pipe.dit.parameters() if value.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=1e-4, weight_decay=0.01)
    pixels = np.random.default_rng(0).integers(0, 255, (frames, sizes.height, sizes.width, 3), dtype=np.uint8)
    pictures = [Image.fromarray(frame) for frame in pixels]
    tokens = torch.randint(1, 900, (1, 512), device=sizes.device)
    mask = torch.ones_like(tokens)
    parts: dict[str, list[float]] = {"text": [], "frames": [], "video": [], "transformer": []}

    def part(name: str, work: Callable[[], Any]) -> Any:
        synchronize(sizes)
        start = time.monotonic()
        result = work()
        synchronize(sizes)
        parts[name].append(time.monotonic() - start)
        return result

    def transformer(latents: torch.Tensor, context: torch.Tensor) -> None:
        loss = FlowMatchSFTLoss(pipe, input_latents=latents, context=context, use_gradient_checkpointing=True)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()

    def steps() -> Iterator[None]:
        while True:
            with torch.no_grad():
                context = part("text", lambda: text_encoder(tokens, mask))
                video = part("frames", lambda: pipe.preprocess_video(pictures))
                latents = part("video", lambda video=video: pipe.vae.encode(video, device=sizes.device, tiled=False))
            latents = latents.to(dtype=sizes.dtype, device=sizes.device)
            part("transformer", lambda x=latents, c=context: transformer(x, c.to(sizes.dtype)))
            yield

    forget_peak(sizes)
    row = measure(steps(), sizes)
    return {**row, "parts": {name: round(statistics.median(values[1:]), 4) for name, values in parts.items()}}


def main() -> None:
    """Measure everything asked for; a measurement that fails is said and the others go on."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, required=True, help="JSON file to write")
    parser.add_argument("--tiny", action="store_true", help="toy size on the CPU, to try the script")
    parser.add_argument("--frames", type=int, nargs="+", default=[81, 49])
    parser.add_argument("--only", nargs="+", default=["ours", "stock", "a14b"], choices=["ours", "stock", "a14b"])
    parser.add_argument("--modes", nargs="*", default=["feed-forward", "full", "fast"])
    parser.add_argument("--rounds", type=int, default=3, help="how often ours and stock take turns")
    arguments = parser.parse_args()
    big = Sizes("cuda", torch.bfloat16, TI2V_5B, 832, 480, 5, 6)
    sizes = Sizes("cpu", torch.float32, {**TI2V, **TINY}, 64, 64, 1, 2) if arguments.tiny else big
    report = Report(arguments.output, sizes)

    with tempfile.TemporaryDirectory() as folder:
        dit = build(WanModel, sizes, **sizes.dit)
        inject_lora(dit, RANK, 1)
        assert sum(".lora_A." in name for name, _ in dit.named_parameters()) == len(TARGET_LAYERS) * len(dit.blocks)
        for frames in arguments.frames:
            clips = Path(folder) / str(frames)
            write_clips(clips, sizes, frames, sizes.dit["text_dim"], 48, 16)

            def add_ours(mode: str, frames: int = frames, clips: Path = clips) -> None:
                recompute, profile = ("none", "fast") if mode == "fast" else (mode, "exact")
                measured = {"recompute": recompute, "profile": profile}
                work = lambda: ours(dit, sizes, clips, recompute, profile, True)  # noqa: E731
                report.add(work, what="ours", frames=frames, **measured)

            # In turns: a card that has worked for a while is slower than one that comes from a pause.
            for _ in range(arguments.rounds):
                if "ours" in arguments.only:
                    add_ours("none")
                if "stock" in arguments.only:
                    report.add(lambda f=frames: stock(sizes, f, arguments.tiny), what="stock", frames=frames)
            for mode in arguments.modes if "ours" in arguments.only else []:
                add_ours(mode)
        del dit
        free()
        if "a14b" in arguments.only:
            large = Sizes(
                sizes.device,
                sizes.dtype,
                {**T2V, **TINY} if arguments.tiny else T2V_A14B,
                sizes.width,
                sizes.height,
                1,
                1,
            )
            dit = build(WanModel, large, **large.dit)
            inject_lora(dit, RANK, 1)
            for frames in arguments.frames:
                clips = Path(folder) / f"a14b-{frames}"
                write_clips(clips, large, frames, large.dit["text_dim"], 16, 8)
                work = lambda c=clips: ours(dit, large, c, "full", "exact", False)  # noqa: E731
                report.add(work, what="ours a14b", frames=frames, recompute="full")
    print_ratios(report.rows)


def print_ratios(rows: list[dict[str, Any]]) -> None:
    """Print stock over ours, medians of their turns, for steps in a row and for steps that are waited for."""

    def median(what: str, frames: int, key: str, **labels: Any) -> float | None:
        wanted = {"what": what, "frames": frames, **labels}
        found = [row[key] for row in rows if key in row and all(row.get(name) == x for name, x in wanted.items())]
        return statistics.median(found) if found else None

    kinds = {(row["frames"], row["profile"], row["recompute"]) for row in rows if row["what"] == "ours"}
    for frames, profile, recompute in sorted(kinds):
        for key in ("seconds", "median_alone"):
            mine, theirs = (
                median("ours", frames, key, profile=profile, recompute=recompute),
                median("stock", frames, key),
            )
            if mine and theirs:
                print(f"{frames} frames, {profile}, recompute {recompute}, {key}: {theirs / mine:.2f} times stock")


if __name__ == "__main__":
    restart_in_fixed_environment()
    main()
