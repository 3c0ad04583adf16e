"""Training without Nix: what the flags of run_wan22_train ask for, checked on a packaged folder, and its dry run.

Nothing here loads torch, a model or a GPU.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reelgraph.errors import StageError
from reelgraph.files import read_json
from reelgraph.train.estimates import fitting, run_seconds, table
from reelgraph.train.model import EXPERT_BOUNDARY
from reelgraph.train.prompts import prompt_hash
from reelgraph.train.schedule import Clip, Settings, timestep_at, timestep_indices, token_count

ARCHITECTURES = {"ti2v-5b": "Wan2.2-TI2V-5B", "t2v-a14b": "Wan2.2-T2V-A14B", "i2v-a14b": "Wan2.2-I2V-A14B"}
# Frames a second, pixels that a side must be a multiple of, pixels a latent.
SHAPES = {"ti2v-5b": (24, 32, 16), "t2v-a14b": (16, 16, 8), "i2v-a14b": (16, 16, 8)}


@dataclass(frozen=True)
class Choices:
    """The flags of run_wan22_train."""

    training_data_dir: Path
    output_dir: Path
    wan22_model: Path | None
    model_variant: str
    lora_rank: int
    epochs: int
    dataset_repeat: int
    learning_rate: float
    num_frames: int
    height: int
    width: int
    gradient_accumulation_steps: int
    device: str
    processes: int

    def settings(self, expert: str) -> Settings:
        """Return the parameters of wan22-plan for an expert (``all`` for TI2V-5B)."""
        boundary = EXPERT_BOUNDARY.get(ARCHITECTURES[self.model_variant], 0.0)
        return Settings(
            seed=0,
            epochs=self.epochs,
            dataset_repeat=self.dataset_repeat,
            gradient_accumulation=self.gradient_accumulation_steps,
            segments_per_epoch=1,
            learning_rate=self.learning_rate,
            warmup_steps=10,
            weight_decay=0.01,
            gradient_clip=1.0,
            lora_rank=self.lora_rank,
            timestep_shift=5.0,
            expert=expert,
            timestep_minimum=boundary if expert == "low_noise" else 0.0,
            timestep_maximum=boundary if expert == "high_noise" else 1.0,
            first_frame_probability=0.5 if self.model_variant == "ti2v-5b" else 0.0,
            token_limit=0,
            held_out_shots=0,
            held_out_timesteps=[],
        )

    @property
    def experts(self) -> list[str]:
        """Return the experts to train, one run each."""
        return ["all"] if self.model_variant == "ti2v-5b" else ["high_noise", "low_noise"]


def read_package(choices: Choices) -> tuple[list[dict[str, Any]], list[str]]:
    """Return the package's rows that suit the flags, and a line for each that does not; refuse it if none does."""
    folder = choices.training_data_dir
    if not (folder / "metadata.json").is_file():
        raise StageError(
            f"--training-data-dir {folder}: there is no metadata.json; give a folder that wan22-package made", 3
        )
    fps, multiple, _ = SHAPES[choices.model_variant]
    rows, dropped = [], []
    for row in read_json(folder / "metadata.json"):
        name = f"{row['episode']}/{row['clip']}"
        for key in ("video", "first_frame"):
            if not (folder / row[key]).is_file():
                raise StageError(f"clip {name}: {row[key]} is missing in {folder}; package the dataset again", 3)
        if not row["prompt"].strip():
            raise StageError(f"clip {name}: its prompt is empty; caption it and package the dataset again")
        if row["fps"] != fps:
            raise StageError(
                f"clip {name}: {row['fps']} frames a second; {choices.model_variant} was trained on {fps}, cut it again"
            )
        if row["width"] % multiple or row["height"] % multiple or row["frames"] % 4 != 1:
            raise StageError(
                f"clip {name}: {row['width']}x{row['height']}, {row['frames']} frames; {choices.model_variant} takes "
                f"sides in multiples of {multiple} and 4k+1 frames, cut it again"
            )
        if row["frames"] > choices.num_frames or row["height"] > choices.height or row["width"] > choices.width:
            size = f"{row['width']}x{row['height']}, {row['frames']} frames"
            dropped.append(
                f"left out {name}: {size}, above {choices.width}x{choices.height}, {choices.num_frames} frames"
            )
        else:
            rows.append(row)
    if not rows:
        raise StageError(
            f"no clip of {folder} is within {choices.width}x{choices.height} and {choices.num_frames} frames; raise "
            "--width, --height or --num-frames"
        )
    return rows, dropped


def clips_of(rows: list[dict[str, Any]], variant: str) -> list[Clip]:
    """Return the rows as the plan sees them."""
    scale = SHAPES[variant][2]
    clips = []
    for row in rows:
        frames = (row["frames"] - 1) // 4 + 1
        tokens = token_count([0, frames, row["height"] // scale, row["width"] // scale])
        clips.append(Clip(row["episode"], row["clip"], row["shot"], prompt_hash(row["prompt"]), tokens, frames))
    return clips


def dry_run(choices: Choices) -> list[str]:
    """Return the lines that --dry-run prints: data, plan, memory and time; refuse data that will not do."""
    rows, lines = read_package(choices)
    clips = clips_of(rows, choices.model_variant)
    repeats = choices.dataset_repeat * choices.epochs
    micro_steps = len(clips) * repeats
    steps = choices.epochs * -(-len(clips) * choices.dataset_repeat // choices.gradient_accumulation_steps)
    lines.append(f"data: {len(clips)} clips, {len({clip.prompt for clip in clips})} captions, all files are there")
    buckets = Counter((row["width"], row["height"], row["frames"]) for row in rows)
    lines += [f"  {count} of {w}x{h}, {frames} frames" for (w, h, frames), count in sorted(buckets.items())]
    for expert in choices.experts:
        settings = choices.settings(expert)
        first, last = timestep_indices(settings)
        highest, lowest = timestep_at(first, settings.timestep_shift), timestep_at(last - 1, settings.timestep_shift)
        rate = f"learning rate {settings.learning_rate:g} after {settings.warmup_steps} steps"
        lines += [
            f"plan{'' if expert == 'all' else ' ' + expert}: {steps} optimiser steps of "
            f"{choices.gradient_accumulation_steps} clips ({micro_steps} in all) in {choices.epochs} segments",
            f"  LoRA rank {choices.lora_rank}, {rate}",
            f"  timesteps {highest:g} to {lowest:g} (index {first} to {last - 1})",
        ]
    sizes = Counter({size: count * repeats for size, count in Counter(clip.tokens for clip in clips).items()})
    return lines + cost_lines(choices, dict(sizes))


def cost_lines(choices: Choices, sizes: dict[int, int]) -> list[str]:
    """Return a line for each GPU tier: what to recompute, memory, and time on the GPU that was measured."""
    largest, experts = max(sizes), len(choices.experts)
    lines = [f"largest clip: {largest} tokens; measured on {table()['gpu']}, {table()['conditions']}"]
    for memory in table()["tiers_gb"]:
        found = fitting(choices.model_variant, largest, memory)
        if found is None:
            smaller = ", or ti2v-5b" if experts > 1 else ""
            lines.append(f"  {memory} GB: does not fit; take fewer frames or a smaller size{smaller}")
            continue
        seconds = run_seconds(choices.model_variant, sizes, found.recompute)
        assert seconds is not None
        hours = seconds * experts / 3600
        lines.append(
            f"  {memory} GB: fits with recompute {found.recompute}, about {found.peak_gib:.1f} GiB; "
            f"{hours:.2f} hours if it were as fast as the {table()['gpu']}"
        )
    return lines
