"""How fast, how big and how repeatable an LTX-2 training step is, on random weights of full size; needs no download.

    python tests/bench/ltx2.py --output bench.json             on one CUDA GPU with 80 GB or more, some ten minutes
    python tests/bench/ltx2.py --output bench.json --tiny      the same code on a CPU at toy size, in seconds

Needs torch, diffsynth 2.1.12 with what it imports, and PYTHONPATH=python. Prints one line a measurement and
writes all as JSON: seconds of a step (together, and median alone), peak memory, the hash of the LoRA after the steps.
The same hash twice is run-to-run equality. What does not fit is a row with ``failed`` and the memory it had reached.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.machinery import ModuleSpec
from importlib.util import module_from_spec
from pathlib import Path
from typing import Any

import torch

try:
    import torchaudio  # noqa: F401
except ImportError:
    # diffsynth imports it for spectrograms, which nothing here makes.
    sys.modules["torchaudio"] = module_from_spec(ModuleSpec("torchaudio", None))

from diffsynth.models.ltx2_audio_vae import LTX2AudioEncoder
from diffsynth.models.ltx2_dit import LTXModel
from diffsynth.models.ltx2_text_encoder import Embeddings1DConnector, LTX2TextEncoderPostModules
from diffsynth.models.ltx2_video_vae import LTX2VideoEncoder
from training_steps import (
    Report,
    Sizes,
    drawing_weights,
    forget_peak,
    free,
    fresh_lora,
    measure,
    peak,
    sha256,
    synchronize,
)

from reelgraph.determinism import restart_in_fixed_environment
from reelgraph.train.lora import make_optimizer
from reelgraph.train.ltx_small import SmallLTX2AudioEncoder, SmallLTX2VideoEncoder
from reelgraph.train.ltx_trainer import inject_ltx_lora, make_ltx_trainer
from reelgraph.train.ltx_transformer import LtxTransformer
from reelgraph.train.plan import MicroStep, Step
from reelgraph.train.processes import Processes
from reelgraph.train.strict import compute_strictly
from reelgraph.train.tensors import write_tensors

RANK = 32
PROMPT_TOKENS = 120
FPS = 24


@dataclass(frozen=True)
class LtxSizes(Sizes):
    """The same with the text encoder's width and heads."""

    text_dim: int
    text_heads: int


# With a first frame and without are recorded apart, each in its second step.
FULL = LtxSizes("cuda", torch.bfloat16, {}, 768, 448, 4, 3, text_dim=3840, text_heads=30)
TOY_DIT = {
    "num_attention_heads": 2,
    "attention_head_dim": 16,
    "audio_num_attention_heads": 2,
    "audio_attention_head_dim": 8,
    "cross_attention_dim": 32,
    "audio_cross_attention_dim": 16,
    "caption_channels": 32,
    "num_layers": 2,
}
TINY = LtxSizes("cpu", torch.float32, TOY_DIT, 64, 64, 1, 2, text_dim=32, text_heads=2)


class Connectors(LTX2TextEncoderPostModules):
    """The released connectors without the projection before them, which training does not use."""

    def __init__(self, width: int, heads: int) -> None:
        torch.nn.Module.__init__(self)
        self.feature_extractor_linear = None
        self.embeddings_connector = Embeddings1DConnector(width // heads, heads)
        self.audio_embeddings_connector = Embeddings1DConnector(width // heads, heads)


def build(model_class: Callable[..., torch.nn.Module], sizes: LtxSizes, **options: Any) -> torch.nn.Module:
    """Return a model with random weights on the device; what torch leaves unset is drawn too."""
    with drawing_weights(sizes):
        model = model_class(**options).eval().requires_grad_(False).to(sizes.dtype)
        for name, tensor in model.named_parameters():
            if "scale_shift_table" in name or "a2v_ca" in name:
                tensor.normal_(0, 0.02)
            elif "of-means" in name:
                tensor.fill_(float("std" in name))
    return model


def write_clips(folder: Path, sizes: LtxSizes, frames: int, sound: bool) -> None:
    """Write two clips' latents, their sound's and one caption's features as the stages before training do."""
    generator = torch.Generator().manual_seed(1)
    draw = lambda *shape: torch.randn(shape, generator=generator).to(sizes.dtype)  # noqa: E731
    for name in ("latents", "text", *(["sound"] if sound else [])):
        (folder / name).mkdir(parents=True)
    shape = (128, (frames - 1) // 8 + 1, sizes.height // 32, sizes.width // 32)
    for clip in ("0", "1"):
        write_tensors(folder / f"latents/{clip}.safetensors", {"latents": draw(*shape)})
        if sound:
            steps = round(frames / FPS * 25)
            write_tensors(folder / f"sound/{clip}.safetensors", {"latents": draw(8, steps, 16)})
    write_tensors(folder / "text/p.safetensors", {"features": draw(PROMPT_TOKENS, sizes.text_dim)})
    (folder / "latents.json").write_text(json.dumps({"fps": FPS}))


def planned(first: int, count: int) -> list[Step]:
    """Return ``count`` steps of one clip each at different noise levels, every second one from its first frame."""
    steps = []
    for number in range(first, first + count):
        index = 97 * number % 1000
        micro_step = MicroStep("e", str(number % 2), "p", index, 1000.0 - index, number, number % 2 == 0)
        steps.append(Step(number, 1e-4, (micro_step,)))
    return steps


def training(
    dit: LTXModel, connectors: torch.nn.Module, sizes: LtxSizes, folder: Path, sound: bool, recompute: str, profile: str
) -> dict[str, Any]:
    """Return the measurement of our trainer on a transformer that already carries a LoRA, from its first step."""
    lora = fresh_lora(dit, profile)
    if not sound:
        lora = {name: value for name, value in lora.items() if ".attn" in name}
    optimizer = make_optimizer(lora, 1e-4, 0.01)
    forget_peak(sizes)
    transformer = LtxTransformer(dit, connectors, recompute)
    heard = {"e": folder} if sound else {}
    recipe = {"gradient_clip": 1.0}
    trainer = make_ltx_trainer(transformer, optimizer, {"e": folder}, heard, {"e": folder}, Processes(), recipe)
    count = sizes.warm + 2 * sizes.steps
    results = []

    def steps() -> Iterator[None]:
        for result in trainer.steps(planned(1, count)):
            results.append(result)
            yield

    row = measure(steps(), sizes)
    losses = [round(result.check()[0], 6) for result in results]
    return {
        **row,
        "steps_done": count,
        "losses": losses,
        "lora_parameters": sum(value.numel() for value in lora.values()),
        "lora_sha256": sha256(lora.values()),
    }


@torch.no_grad()
def encoding(sizes: LtxSizes, frames: int, tiny: bool) -> dict[str, Any]:
    """Return seconds and memory of encoding one clip and its sound, twice, and whether the bytes were the same."""
    compute_strictly()
    video = build(SmallLTX2VideoEncoder, sizes, width=4) if tiny else build(LTX2VideoEncoder, sizes)
    exact = LtxSizes(**{**vars(sizes), "dtype": torch.float32})
    audio = build(SmallLTX2AudioEncoder, exact, ch=8) if tiny else build(LTX2AudioEncoder, exact)
    forget_peak(sizes)
    pixels = torch.rand((1, 3, frames, sizes.height, sizes.width), device=sizes.device, dtype=sizes.dtype)
    mel = torch.rand((1, 2, round(frames / FPS * 100), 64), device=sizes.device)
    outputs, times = [], []
    for _ in range(3):
        synchronize(sizes)
        start = time.monotonic()
        latents = video.encode(pixels * 2 - 1)
        synchronize(sizes)
        middle = time.monotonic()
        heard = audio(mel)
        synchronize(sizes)
        times.append((middle - start, time.monotonic() - middle))
        outputs.append((latents.float().cpu(), heard.cpu()))
    same = all(torch.equal(a, b) for output in outputs[1:] for a, b in zip(outputs[0], output, strict=True))
    seconds = {"video_seconds": round(times[-1][0], 4), "sound_seconds": round(times[-1][1], 4)}
    return {**seconds, "peak_gib": peak(sizes), "equal": same}


def main() -> None:
    """Measure everything asked for; a measurement that fails is said and the others go on."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, required=True, help="JSON file to write")
    parser.add_argument("--tiny", action="store_true", help="toy size on the CPU, to try the script")
    parser.add_argument("--frames", type=int, nargs="+", default=[49, 121], help="8n+1")
    parser.add_argument("--size", default="768x448", help="width and height of a clip, multiples of 32")
    parser.add_argument("--layers", type=int, help="fewer blocks than the released 48, for a smaller GPU")
    parser.add_argument("--only", nargs="+", default=["training", "silent", "encoding"])
    parser.add_argument("--modes", nargs="+", default=["full", "again", "none", "fast"])
    arguments = parser.parse_args()
    sizes = TINY if arguments.tiny else FULL
    if not arguments.tiny:
        width, height = map(int, arguments.size.split("x"))
        layers = {"num_layers": arguments.layers} if arguments.layers else {}
        sizes = LtxSizes(**{**vars(sizes), "width": width, "height": height, "dit": layers})
    report = Report(arguments.output, sizes, more=lambda rows: {"equal": equalities(rows)})

    def add(what: str, frames: int, work: Callable[[], dict[str, Any]], **labels: Any) -> None:
        shape = {"width": sizes.width, "height": sizes.height, "frames": frames}
        shape["tokens"] = ((frames - 1) // 8 + 1) * (sizes.height // 32) * (sizes.width // 32)
        report.add(work, what=what, **shape, **labels)

    with tempfile.TemporaryDirectory() as folder:
        if {"training", "silent"} & set(arguments.only):
            start = time.monotonic()
            dit = build(LTXModel, sizes, **sizes.dit)
            connectors = build(Connectors, sizes, width=sizes.text_dim, heads=sizes.text_heads)
            numbers = sum(value.numel() for model in (dit, connectors) for value in model.parameters())
            inject_ltx_lora(dit, RANK, 1, True)
            print(f"{numbers / 1e9:.2f} billion parameters in {time.monotonic() - start:.0f} s", flush=True)
            for what, sound in (("training", True), ("silent", False)):
                for frames in arguments.frames if what in arguments.only else []:
                    clips = Path(folder) / f"{what}-{frames}"
                    write_clips(clips, sizes, frames, sound)
                    for mode in arguments.modes if sound else ["full"]:
                        recompute = "none" if mode == "none" else "full"
                        profile = "fast" if mode == "fast" else "exact"
                        add(
                            what,
                            frames,
                            lambda c=clips, s=sound, r=recompute, p=profile: training(
                                dit, connectors, sizes, c, s, r, p
                            ),
                            recompute=recompute,
                            profile=profile,
                            again=mode == "again",
                        )
            del dit, connectors
            free()
        if "encoding" in arguments.only:
            for frames in arguments.frames:
                add("encoding", frames, lambda f=frames: encoding(sizes, f, arguments.tiny))
    for line in equalities(report.rows):
        print(line)


def equalities(rows: list[dict[str, Any]]) -> list[str]:
    """Return for each size whether all exact runs, whatever they recompute, ended in one LoRA."""
    lines = []
    for what, frames in dict.fromkeys((row["what"], row["frames"]) for row in rows if "lora_sha256" in row):
        exact = [
            row["lora_sha256"]
            for row in rows
            if (row["what"], row["frames"], row.get("profile")) == (what, frames, "exact") and "lora_sha256" in row
        ]
        verdict = "equal" if len(set(exact)) == 1 else "DIFFERENT"
        lines.append(f"{what}, {frames} frames: {len(exact)} exact runs, {verdict}")
    return lines


if __name__ == "__main__":
    restart_in_fixed_environment()
    main()
