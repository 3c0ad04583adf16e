"""What each part of a training step takes on a CUDA GPU, by itself, and how far its gradients are from float32's.

    python tests/bench/train_parts.py --output parts.txt           TI2V-5B at 81 frames of 480x832, about a minute
    TRITON_INTERPRET=1 python tests/bench/train_parts.py --output parts.txt --tiny     to try the script on a CPU

Run it with the train environment's Python and PYTHONPATH=python:tests/bench. Microseconds are medians of nine, and a
part that fails is said and the others go on. For the whole step see train.py.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
import traceback
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from diffsynth.models.wan_video_dit import WanModel
from train import RANK, RECIPE, TI2V, TI2V_5B, TINY, Sizes, build, planned, write_clips

from reelgraph.determinism import restart_in_fixed_environment
from reelgraph.train.attention import attend
from reelgraph.train.eight_bits import multiplies_eight_bits, round_rows, split
from reelgraph.train.fused import fuse_blocks
from reelgraph.train.lora import LoraLinear, Parameters, inject_lora, make_optimizer
from reelgraph.train.lora_kernels import plan_copies
from reelgraph.train.norm_kernels import normalise, normalise_backward
from reelgraph.train.operands import Operand, make_operand
from reelgraph.train.pointwise_kernels import gated, gelu, gelu_backward
from reelgraph.train.processes import Processes
from reelgraph.train.products import Products, join
from reelgraph.train.rotation_kernels import rotate, rotate_backward, scale_backward
from reelgraph.train.strict import compute_strictly
from reelgraph.train.text_attention import attend_text
from reelgraph.train.trainer import make_trainer
from reelgraph.train.transformer import Transformer

Tensor = torch.Tensor


@dataclass(frozen=True)
class Parts:
    """What is measured and where its lines go: ``sizes`` of the model, ``tokens`` of a clip."""

    sizes: Sizes
    tokens: int
    output: Path

    def say(self, *words: object) -> None:
        """Print a line and keep it."""
        line = " ".join(map(str, words))
        print(line, flush=True)
        with self.output.open("a") as stream:
            stream.write(line + "\n")

    def microseconds(self, work: Callable[[], object]) -> float:
        """Return the median time of ``work`` once warm."""
        times = []
        for _ in range(12):
            self.wait()
            start = time.perf_counter()
            if self.sizes.device == "cpu":
                work()
                times.append(time.perf_counter() - start)
                continue
            begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            begin.record()
            work()
            end.record()
            end.synchronize()
            times.append(begin.elapsed_time(end) / 1000)
        return 1e6 * statistics.median(times[3:])

    def wait(self) -> None:
        """Wait until the GPU has done what it was given."""
        if self.sizes.device == "cuda":
            torch.cuda.synchronize()

    def random(self, rows: int, columns: int) -> Tensor:
        """Return normal numbers."""
        return torch.randn((rows, columns), device=self.sizes.device, dtype=self.sizes.dtype)

    def moved(self, name: str, numbers: float, work: Callable[[], object]) -> None:
        """Say how long ``work`` takes that reads and writes ``numbers`` a token, and how fast it moves them."""
        took = self.microseconds(work)
        gigabytes = numbers * self.tokens * self.sizes.dtype.itemsize / 1e9
        self.say(f"{name}: {took:.0f} us, {gigabytes / took * 1e6:.0f} GB/s")


def distance(one: Tensor, other: Tensor) -> float:
    """Return how far ``one`` is from ``other``, relative to that."""
    return float((one.float() - other.float()).norm() / other.float().norm())


def products(parts: Parts) -> None:
    """The frozen layers with the LoRA in them, beside the same layers without; and the LoRA's own thin products."""
    channels, wide = parts.sizes.dit["dim"], parts.sizes.dit["ffn_dim"]
    shapes = {"qkv": (channels, channels, 3), "o": (channels, channels, 1)}
    for name, (inner, outer, count) in (shapes | {"ffn.0": (channels, wide, 1), "ffn.2": (wide, channels, 1)}).items():
        layers = []
        for _ in range(count):
            base = torch.nn.Linear(inner, outer, device=parts.sizes.device, dtype=parts.sizes.dtype)
            layers.append(LoraLinear(base.requires_grad_(False), RANK))
            torch.nn.init.normal_(layers[-1].lora_B.weight, 0, 0.02)
        joined = join(*layers)
        plan_copies([joined]).run()
        x, gradient = operands(parts, joined)
        narrow_x, narrow_gradient = x.numbers.contiguous(), gradient.numbers.contiguous()
        weight = joined.matrix[: joined.outer, :inner].contiguous()
        for what, work in {
            "forward, no LoRA": lambda x=narrow_x, w=weight, j=joined: torch.addmm(j.bias, x, w.T),
            "forward": lambda x=x, j=joined: j.forward(x),
            "backward, no LoRA": lambda g=narrow_gradient, w=weight: torch.mm(g, w),
            "backward and LoRA's gradients": lambda g=gradient, x=x, j=joined: j.backward(g, x.wide),
        }.items():
            took = parts.microseconds(work)
            parts.say(f"{name} {what}: {took:.0f} us, {2e-6 * parts.tokens * inner * joined.outer / took:.0f} TFLOP/s")
        parts.moved(f"{name} fill", inner, lambda x=x, j=joined: j.fill(x))
        both = inner + 2 * joined.outer
        parts.moved(f"{name} LoRA's gradients", both, lambda g=gradient, x=x.wide, j=joined: j.gradients(g, x))
        joined.fill(x)
        with torch.no_grad():
            plain = torch.cat([layer(narrow_x) for layer in layers], 1)
        parts.say(f"{name} forward against its layers: {distance(joined.forward(x), plain):.1e}")


def kernels(parts: Parts) -> None:
    """What lies between the products, as it is and with its results in eight bits besides."""
    channels, wide, device = parts.sizes.dit["dim"], parts.sizes.dit["ffn_dim"], parts.sizes.device
    x, branch, weight = parts.random(parts.tokens, channels), parts.random(parts.tokens, channels), None
    scale, shift, gate = torch.randn((3, 2, channels), device=device)
    first, total = parts.tokens // 21, torch.empty_like(x)
    angles = tuple(torch.rand((2, parts.tokens, channels // parts.sizes.dit["num_heads"] // 2), device=device))
    weight, made, three = parts.random(1, channels)[0], parts.random(parts.tokens, 3 * channels), (x, branch, x)
    turned, inverse = rotate(x, weight, 1e-6, angles)
    parts.moved("rotation", 2 * channels, lambda: rotate(x, weight, 1e-6, angles))
    inner, above = parts.random(parts.tokens, wide), parts.random(parts.tokens, wide)
    for eight in (False, True):
        out, out_three, out_wide = (
            make_operand(x, parts.tokens, columns, RANK, eight) for columns in (channels, 3 * channels, wide)
        )
        summed, mean, deviation = normalise(x, scale, shift, first, 1e-6, out, branch, gate)
        name, more = (", eight bits", 0.5) if eight else ("", 0)
        norm = (branch, x, summed, mean, deviation, scale, first, out)
        both = (weight, weight), (inverse, inverse)
        for what, numbers, work in (
            ("norm", 2, lambda out=out: normalise(x, scale, shift, first, 1e-6, out)),
            ("sum and norm", 4, lambda out=out: normalise(x, scale, shift, first, 1e-6, out, branch, gate)),
            ("norm, backward", 4, lambda norm=norm: normalise_backward(*norm)),
            ("sum and norm, backward", 5, lambda norm=norm: normalise_backward(*norm, gate, total)),
            ("scale, backward", 3, lambda out=out: scale_backward(turned, x, weight, inverse, out)),
            (
                "rotations, backward",
                8,
                lambda out=out_three, both=both: rotate_backward(three, made, *both, angles, out),
            ),
            ("gated sum", 3, lambda out=out: gated(x, branch, gate, first, out)),
        ):
            parts.moved(what + name, (numbers + more) * channels, work)
        parts.moved("gelu" + name, (2 + more) * wide, lambda out=out_wide: gelu(inner, out))
        parts.moved("gelu, backward" + name, (3 + more) * wide, lambda out=out_wide: gelu_backward(above, inner, out))


def attentions(parts: Parts) -> None:
    """Attention to the clip: cuDNN's in order and in any order, flex, and torch's choice; and to texts, padded and not.

    Of texts cuDNN's and torch's, padded to 512 tokens, stand beside ours of fewer.
    """
    channels, heads, tokens = parts.sizes.dit["dim"], parts.sizes.dit["num_heads"], parts.tokens
    gradient = parts.random(tokens, channels)
    kinds = ("torch",) if parts.sizes.device == "cpu" else ("cudnn", "free", "flex", "torch")
    cases = [(tokens, kind) for kind in kinds] + [(512, kind) for kind in (*kinds, "text")]
    references: dict[int, tuple[Tensor, ...]] = {}
    for keys, kind in [*cases, (64, kinds[0]), (64, "text"), (128, "text"), (256, "text")]:
        torch.use_deterministic_algorithms(kind in ("cudnn", "flex", "text"))
        torch.manual_seed(0)
        three = [parts.random(rows, channels).requires_grad_() for rows in (tokens, keys)]
        # As in a block: the value lies beside the key and, of a clip, the query.
        three.append(parts.random(keys, 3 * channels)[:, 2 * channels :].requires_grad_())
        bias = torch.zeros(keys, device=parts.sizes.device)

        def forward(three: list[Tensor] = three, kind: str = kind, bias: Tensor = bias) -> Tensor:
            return attend_text(*three, bias, heads, RANK) if kind == "text" else attend(*three, heads, kind, RANK)

        made = forward()

        def backward(out: Tensor = made, three: list[Tensor] = three) -> tuple[Tensor, ...]:
            return torch.autograd.grad(out, three, gradient, retain_graph=True)

        results = (made.detach(), *backward())
        reference = references.setdefault(keys, results)
        equal = all(all(map(torch.equal, backward(), results[1:])) for _ in range(5))
        off = max(map(distance, results, reference))
        times = f"{parts.microseconds(forward):.0f} us, backward {parts.microseconds(backward):.0f} us"
        parts.say(f"attention to {keys}, {kind}: {times}, repeats {equal}, from the first {off:.1e}")


def operands(parts: Parts, joined: Products) -> tuple[Operand, Operand]:
    """Return random operands of products, forward and backward."""
    made = joined.operand(parts.tokens), joined.gradient(parts.tokens)
    for operand in made:
        operand.wide.normal_()
        if operand.small is not None:
            round_rows(operand)
    return made


def eight_bits(parts: Parts) -> None:
    """The same products with frozen weights in eight bits, beside what they would be in the model's own format."""
    channels, wide = parts.sizes.dit["dim"], parts.sizes.dit["ffn_dim"]
    for inner, outer in ((channels, channels), (channels, wide), (wide, channels)):
        base = torch.nn.Linear(inner, outer, device=parts.sizes.device, dtype=parts.sizes.dtype).requires_grad_(False)
        layer = LoraLinear(base, RANK)
        torch.nn.init.normal_(layer.lora_B.weight, 0, 0.02)
        exact, small = join(layer), join(layer, small=True)
        for joined in (exact, small):
            plan_copies([joined]).run()
        x, gradient = operands(parts, small)
        parts.moved(f"rows of {inner} to eight bits", inner, lambda x=x: round_rows(x))
        parts.moved(f"rows of {inner}, room split", small.room, lambda x=x: split(x))
        for what, given, work, same in (
            ("forward", x, small.forward, exact.forward),
            ("backward", gradient, *(lambda g, x=x, j=j: j.backward(g, x.wide)[0] for j in (small, exact))),
        ):
            took, off = (
                parts.microseconds(lambda work=work, given=given: work(given)),
                distance(work(given), same(given)),
            )
            rate = 2e-6 * parts.tokens * inner * outer / took
            parts.say(f"float8 {inner} to {outer} {what}: {took:.0f} us, {rate:.0f} TFLOP/s, off {off:.1e}")


def against_float32(parts: Parts) -> None:
    """Gradients of two blocks: plain in the model's format, and fused with each attention and recomputation."""
    sizes, device = parts.sizes, parts.sizes.device
    torch.manual_seed(0)
    dit = build(WanModel, sizes, **{**sizes.dit, "num_layers": 2})
    lora = inject_lora(dit, RANK, 1)
    for name, parameter in lora.items():
        if ".lora_B." in name:
            torch.nn.init.normal_(parameter, 0, 0.02)
    latents, target = torch.randn((2, 1, 48, 5, sizes.height // 16, sizes.width // 16), device=device)
    context = torch.randn((1, 60, sizes.dit["text_dim"]), device=device)
    inputs = latents, context, torch.full((1,), 700.0, device=device)
    plain = gradients(Transformer(dit), lora, inputs, target)
    fused = fuse_blocks(dit)
    runs = {("plain",): plain}
    kinds = ("torch",) if device == "cpu" else ("cudnn", "free", "flex", "torch")
    for kind, mode in [(kind, "none") for kind in kinds] + [(kinds[0], mode) for mode in ("feed-forward", "full")]:
        torch.use_deterministic_algorithms(kind != "free")
        runs[kind, mode] = gradients(Transformer(dit, mode, fused, kind), lora, inputs, target)
    if multiplies_eight_bits(torch.device(device)):
        torch.use_deterministic_algorithms(False)
        runs["eight bits",] = gradients(
            Transformer(dit, "none", fuse_blocks(dit, small=True), kinds[:2][-1]), lora, inputs, target
        )
    torch.use_deterministic_algorithms(True)
    reference = gradients(Transformer(dit.float()), lora, inputs, target)
    for labels, found in runs.items():
        off = list(map(distance, found, reference))
        equal = all(map(torch.equal, found, runs[kinds[0], "none"]))
        parts.say(*labels, f"off {statistics.median(off):.2e}, at most {max(off):.2e}; as {kinds[0]}: {equal}")


def gradients(
    transformer: Transformer, lora: Parameters, inputs: tuple[Tensor, Tensor, Tensor], target: Tensor
) -> list[Tensor]:
    """Return the LoRA's gradients of a mean square error."""
    for parameter in lora.values():
        parameter.grad = None
    dtype, counts = transformer.dit.patch_embedding.weight.dtype, inputs[1].new_ones(inputs[1].shape[:2])
    prediction = transformer.predict(inputs[0].to(dtype), inputs[1].to(dtype), counts, inputs[2], True)
    ((prediction.float() - target) ** 2).mean().backward()
    return [parameter.grad.clone() for parameter in lora.values()]


def exact_step(parts: Parts) -> None:
    """A recorded step of the exact profile."""
    step(parts, "exact")


def fast_step(parts: Parts) -> None:
    """A recorded step of the fast profile."""
    step(parts, "fast")


def step(parts: Parts, profile: str) -> None:
    """A recorded step: the graph alone, the step with all around it, and its kernels by name."""
    compute_strictly(profile)
    with tempfile.TemporaryDirectory() as folder:
        write_clips(Path(folder), parts.sizes, 81, parts.sizes.dit["text_dim"], 48, 16)
        dit = build(WanModel, parts.sizes, **parts.sizes.dit)
        optimizer = make_optimizer(inject_lora(dit, RANK, 1), 1e-4, 0.01)
        encoded = {"e": Path(folder)}
        trainer = make_trainer(dit, optimizer, encoded, encoded, Processes(), RECIPE, "none", profile)
        steps = trainer.steps(planned(1, 20, False))
        for _ in range(3):
            # Broken numbers take less power, so they would be fast.
            next(steps).check()
        for recording in filter(None, trainer.gradients._recordings.values()):
            parts.say(f"{profile}, graph alone: {parts.microseconds(recording.graph.replay) / 1000:.1f} ms")
        parts.say(f"{profile}, step with all around it: {parts.microseconds(lambda: next(steps)) / 1000:.1f} ms")
        with torch.profiler.profile() as profiled:
            next(steps)
            parts.wait()
    found: dict[str, list[float]] = defaultdict(list)
    for event in profiled.events():
        if event.device_type == torch.autograd.DeviceType.CUDA:
            found[event.name].append(event.time_range.elapsed_us())
    parts.say(f"{sum(map(len, found.values()))} kernels, {sum(map(sum, found.values())) / 1000:.1f} ms")
    for name, times in sorted(found.items(), key=lambda item: -sum(item[1]))[:50]:
        parts.say(f"{sum(times) / 1000:8.2f} ms {len(times):5} x {sum(times) / len(times):7.1f} us  {name[:120]}")


def main() -> None:
    """Measure every part that was asked for."""
    measured = {
        work.__name__: work
        for work in (against_float32, exact_step, fast_step, products, kernels, eight_bits, attentions)
    }
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, required=True, help="text file to write")
    parser.add_argument("--tiny", action="store_true", help="toy size on the CPU, to try the script")
    parser.add_argument("--only", nargs="+", default=list(measured), choices=list(measured))
    arguments = parser.parse_args()
    big = Parts(Sizes("cuda", torch.bfloat16, TI2V_5B, 832, 480, 0, 0), 8190, arguments.output)
    tiny = Parts(Sizes("cpu", torch.float32, {**TI2V, **TINY}, 64, 64, 0, 0), 96, arguments.output)
    parts = tiny if arguments.tiny else big
    arguments.output.write_text("")
    parts.say(torch.__version__, "CPU" if arguments.tiny else torch.cuda.get_device_name(), *sys.argv[1:])
    for name in arguments.only:
        try:
            measured[name](parts)
        except Exception as error:
            traceback.print_exc()
            parts.say(f"{name} failed: {str(error)[:300]}")
        if parts.sizes.device == "cuda":
            torch.cuda.empty_cache()


if __name__ == "__main__":
    restart_in_fixed_environment()
    main()
