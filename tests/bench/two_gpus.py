"""One plan on one GPU and on several of one host: how much faster, and the same bytes? Random weights of full size.

    python tests/bench/two_gpus.py --output bench.json            on a host with two CUDA GPUs, about three minutes
    python tests/bench/two_gpus.py --output bench.json --tiny     the same code on a CPU at toy size, in seconds

Needs PYTHONPATH=python. Trains the plan twice with all processes, then with one. Prints for each run the seconds of an
optimiser step and the hash of the LoRA after the steps; for several processes also what of a step is spent on
exchanging and adding gradients, measured alone, and on reading samples. Ends with status 1 if the bytes differ.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from diffsynth.models.wan_video_dit import WanModel
from train import RANK, RECIPE, TI2V, TI2V_5B, TINY, build, write_clips
from training_steps import Report, Sizes, peak, sha256, synchronize

from reelgraph.determinism import restart_in_fixed_environment
from reelgraph.files import read_json, write_json
from reelgraph.train.lora import inject_lora, make_optimizer
from reelgraph.train.plan import MicroStep, Step
from reelgraph.train.processes import Processes, run_together
from reelgraph.train.strict import compute_strictly
from reelgraph.train.trainer import Trainer, make_trainer

ROUNDS_ALONE = 10


def planned(count: int, micro_steps: int) -> list[Step]:
    """Return steps of several clips each at different noise levels, as gradient accumulation plans them."""
    steps = []
    for number in range(1, count + 1):
        draws = range(micro_steps * (number - 1), micro_steps * number)
        given = number % 2 == 0
        clips = tuple(MicroStep("e", str(draw % 2), "p", 97 * draw % 1000, 0.0, draw, given) for draw in draws)
        steps.append(Step(number, 1e-4, clips))
    return steps


def exchange_seconds(trainer: Trainer, micro_steps: int, sizes: Sizes) -> float:
    """Return the seconds that a step of this trainer spends on exchanging and adding gradients, measured alone."""
    parameters = trainer.optimizer.param_groups[0]["params"]
    loss, sums = torch.ones((), device=parameters[0].device), None
    start = 0.0
    # The first one opens the connections.
    for number in range(ROUNDS_ALONE + 1):
        if number == 1:
            synchronize(sizes)
            start = time.monotonic()
        sums, _ = trainer.processes.add_up(parameters, sums, loss, trainer.processes.count)
    synchronize(sizes)
    return (time.monotonic() - start) / ROUNDS_ALONE * -(-micro_steps // trainer.processes.count)


def reading_seconds(trainer: Trainer, steps: list[Step]) -> float:
    """Return the seconds that it takes to read one step's share of samples, nothing else being done."""
    mine = [micro_step for step in steps for micro_step in trainer.processes.share(step.micro_steps)]
    start = time.monotonic()
    for _ in trainer.loader.samples(mine):
        pass
    return (time.monotonic() - start) / len(steps)


def train(processes: Processes, folder: Path, sizes: Sizes, micro_steps: int) -> None:
    """Train in this process; the first writes what it measured to ``folder``/run.json."""
    compute_strictly("exact")
    device = f"cuda:{processes.rank}" if sizes.device == "cuda" else sizes.device
    here = Sizes(**{**vars(sizes), "device": device})
    dit = build(WanModel, here, **sizes.dit)
    lora = inject_lora(dit, RANK, 1)
    optimizer = make_optimizer(lora, 1e-4, 0.01)
    trainer = make_trainer(dit, optimizer, {"e": folder}, {"e": folder}, processes, RECIPE, "none", "exact")
    steps = planned(sizes.warm + sizes.steps, micro_steps)
    times = []
    for result in trainer.steps(steps):
        result.check()
        synchronize(sizes)
        times.append(time.monotonic())
    seconds = (times[-1] - times[sizes.warm - 1]) / sizes.steps
    row: dict[str, Any] = {"processes": processes.count, "seconds": round(seconds, 4), "peak_gib": peak(sizes)}
    row["lora_sha256"] = sha256(lora.values())
    if processes.count > 1:
        row["exchange_seconds"] = round(exchange_seconds(trainer, micro_steps, sizes), 4)
    row["reading_seconds"] = round(reading_seconds(trainer, steps[:2]), 4)
    if processes.rank == 0:
        write_json(folder / "run.json", row)


def main() -> None:
    """Train twice with all processes and once with one; compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, required=True, help="JSON file to write")
    parser.add_argument("--tiny", action="store_true", help="toy size on the CPU, to try the script")
    parser.add_argument("--frames", type=int, default=81)
    parser.add_argument("--micro-steps", type=int, default=4, help="clips of an optimiser step")
    parser.add_argument("--processes", type=int, default=2)
    arguments = parser.parse_args()
    # The first steps compile and record: both kinds of clip, given first frame and none, are then done twice.
    big = Sizes("cuda", torch.bfloat16, TI2V_5B, 832, 480, 4, 6)
    sizes = Sizes("cpu", torch.float32, {**TI2V, **TINY}, 64, 64, 2, 4) if arguments.tiny else big
    report = Report(arguments.output, sizes)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_clips(folder, sizes, arguments.frames, sizes.dit["text_dim"], 48, 16)

        def together(count: int) -> dict[str, Any]:
            run_together(count, train, folder, sizes, arguments.micro_steps)
            return read_json(folder / "run.json")

        # The single one comes last: it computes in this process, whose memory on the GPU others would miss.
        for count in (arguments.processes, arguments.processes, 1):
            report.add(lambda count=count: together(count), frames=arguments.frames, micro_steps=arguments.micro_steps)
    *several, single = report.rows
    hashes = {row.get("lora_sha256") for row in report.rows}
    same = len(hashes) == 1 and None not in hashes
    print("EQUAL" if same else "DIFFERENT OR FAILED")
    if same:
        print(f"speed-up {single['seconds'] / max(row['seconds'] for row in several):.2f}")
    raise SystemExit(0 if same else 1)


if __name__ == "__main__":
    restart_in_fixed_environment()
    main()
