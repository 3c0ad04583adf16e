"""Train one segment of a planned LoRA run: from the previous segment's state to the next, bit for bit as if never stopped."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from diffsynth.pipelines.wan_video import WanVideoPipeline

from reelgraph.errors import StageError
from reelgraph.files import file_hash, read_json, write_json
from reelgraph.progress import progress
from reelgraph.stage import Stage
from reelgraph.train.flow import planned_loss
from reelgraph.train.lora import export_state, import_state, inject_lora, make_optimizer
from reelgraph.train.plan import MicroStep, Step, read_held_out, read_recipe, read_segment, segment_file
from reelgraph.train.tensors import read_tensors, write_tensors
from reelgraph.train.wan import load_pipeline


@dataclass(frozen=True)
class Inputs:
    """The plan, what the clips and prompts were encoded to, the model, and the segment before this one."""

    plan: Path
    latents: dict[str, Path]
    text: dict[str, Path]
    model: Path
    previous: Path | None


@dataclass(frozen=True)
class Parameters:
    """Which segment, and where and how exactly to compute."""

    segment: int
    device: str
    dtype: str
    checkpointing: str


@dataclass(frozen=True)
class Trainer:
    """The model with its LoRA, and where the clips lie."""

    pipe: WanVideoPipeline
    inputs: Inputs
    padded_tokens: int
    checkpointing: bool

    def loss(self, micro_step: MicroStep) -> torch.Tensor:
        """Return the loss of one clip at its planned noise level and noise."""
        latents = self._read(self.inputs.latents, micro_step, f"latents/{micro_step.clip}.safetensors", "latents")
        context = self._read(self.inputs.text, micro_step, f"text/{micro_step.prompt}.safetensors", "context")
        context = torch.nn.functional.pad(context, (0, 0, 0, self.padded_tokens - context.shape[1]))
        return planned_loss(
            self.pipe,
            latents,
            context,
            micro_step.timestep_index,
            micro_step.noise_seed,
            micro_step.first_frame,
            self.checkpointing,
        )

    def held_out_loss(self, micro_steps: list[MicroStep]) -> float | None:
        """Return the mean loss over the held-out triples, or None without any."""
        with torch.no_grad():
            losses = [float(self.loss(micro_step)) for micro_step in micro_steps]
        return significant(sum(losses) / len(losses)) if losses else None

    def _read(self, episodes: dict[str, Path], micro_step: MicroStep, file: str, key: str) -> torch.Tensor:
        path = episodes.get(micro_step.episode, Path()) / file
        if not path.is_file():
            raise StageError(f"clip {micro_step.name}: its {key} ({file}) is missing; encode what was planned, or plan again")
        return read_tensors(path)[key].to(self.pipe.device, self.pipe.torch_dtype).unsqueeze(0)


def significant(value: float) -> float:
    """Return ``value`` with seven significant digits, what float32 holds."""
    return float(f"{value:.7g}")


def take_step(trainer: Trainer, optimizer: torch.optim.Optimizer, clip_norm: float, step: Step) -> tuple[float, float]:
    """Do one optimiser step and return its mean loss and gradient norm; raise a StageError if they are not finite."""
    optimizer.zero_grad(set_to_none=True)
    total = 0.0
    for micro_step in step.micro_steps:
        loss = trainer.loss(micro_step)
        if not torch.isfinite(loss):
            raise StageError(
                f"step {step.step}: the loss of clip {micro_step.name} is {float(loss.detach())} at timestep index "
                f"{micro_step.timestep_index}; look at that clip, or lower the learning rate"
            )
        (loss / len(step.micro_steps)).backward()
        total += float(loss.detach())
    parameters = optimizer.param_groups[0]["params"]
    norm = float(torch.nn.utils.clip_grad_norm_(parameters, clip_norm or float("inf"), foreach=False))
    if not norm < float("inf"):
        clips = ", ".join(micro_step.name for micro_step in step.micro_steps)
        raise StageError(f"step {step.step}: the gradient over clips {clips} is not finite; lower the learning rate")
    optimizer.param_groups[0]["lr"] = step.learning_rate
    optimizer.step()
    return total / len(step.micro_steps), norm


def check_chain(previous: Path | None, segment: int, first: int, recipe: str) -> None:
    """Raise a StageError unless ``previous`` is the segment before this one, of the same recipe."""
    if (previous is None) != (segment == 0):
        expected = "starts from nothing, leave previous out" if segment == 0 else f"needs segment {segment - 1} as previous"
        raise StageError(f"segment {segment} {expected}")
    if previous is not None:
        state = read_json(previous / "state.json")
        if (state["last"] + 1, state["recipe"]) != (first, recipe):
            raise StageError(
                f"segment {segment} starts at step {first}, but the previous one ended at {state['last']} or had another recipe; "
                f"give segment {segment - 1} of the same plan"
            )


def run(inputs: Inputs, parameters: Parameters, out: Path) -> None:
    """Write state.safetensors, loss.jsonl (one line an optimiser step) and state.json."""
    torch.use_deterministic_algorithms(True)
    recipe, steps = read_recipe(inputs.plan), read_segment(inputs.plan, parameters.segment)
    recipe_hash = file_hash(inputs.plan / "recipe.json")
    check_chain(inputs.previous, parameters.segment, steps[0].step, recipe_hash)
    padded_tokens = read_json(next(iter(inputs.text.values())) / "text.json")["padded_tokens"]
    pipe = load_pipeline(inputs.model, ["dit"], parameters.device, parameters.dtype)
    pipe.scheduler.set_timesteps(1000, training=True, shift=recipe["timestep_shift"])
    lora = inject_lora(pipe.dit, recipe["lora_rank"], recipe["seed"])
    optimizer = make_optimizer(lora, steps[0].learning_rate, recipe["weight_decay"])
    if inputs.previous is not None:
        import_state(lora, optimizer, read_tensors(inputs.previous / "state.safetensors"))
    trainer = Trainer(pipe, inputs, padded_tokens, parameters.checkpointing == "full")
    held_out = read_held_out(recipe)
    loss_before = trainer.held_out_loss(held_out)
    rows: list[dict[str, Any]] = []
    with progress("wan22-train", len(steps), "step") as counter:
        for step in steps:
            loss, norm = take_step(trainer, optimizer, recipe["gradient_clip"], step)
            rows.append(
                {
                    "step": step.step,
                    "loss": significant(loss),
                    "learning_rate": significant(step.learning_rate),
                    "gradient_norm": significant(norm),
                    "clips": [micro_step.name for micro_step in step.micro_steps],
                }
            )
            counter.what = f"wan22-train segment {parameters.segment}, loss {loss:.4f}"
            counter.advance()
    write_tensors(out / "state.safetensors", export_state(lora, optimizer, steps[-1].step))
    (out / "loss.jsonl").write_text("".join(json.dumps(row, sort_keys=True) + "\n" for row in rows), encoding="utf-8")
    write_json(
        out / "state.json",
        {
            "segment": parameters.segment,
            "first": steps[0].step,
            "last": steps[-1].step,
            "recipe": recipe_hash,
            "steps": file_hash(inputs.plan / segment_file(parameters.segment)),
            "mean_loss": significant(sum(row["loss"] for row in rows) / len(rows)),
            "held_out_loss_before": loss_before,
            "held_out_loss_after": trainer.held_out_loss(held_out),
            "lora_parameters": sum(parameter.numel() for parameter in lora.values()),
            "device": parameters.device,
            "dtype": parameters.dtype,
        },
    )


STAGE = Stage(name="wan22-train", inputs=Inputs, parameters=Parameters, outputs={"state.json": "state"}, run=run)

if __name__ == "__main__":
    STAGE.main()
