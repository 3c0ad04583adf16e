"""Plan a training run before any GPU is used: which clip, noise level, noise and learning rate at each step.

The plan is the dry run: plan.json is for readers, recipe.json and segments/NN.jsonl (one line an optimiser step) are
what wan22-train follows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reelgraph.errors import StageError
from reelgraph.files import read_json
from reelgraph.stage import Stage
from reelgraph.train.planning import embedded_prompts, encoded_clips, write_plan
from reelgraph.train.prompts import prompt_hash
from reelgraph.train.schedule import Clip, Settings, token_count


@dataclass(frozen=True)
class Inputs:
    """The dataset, and per episode the outputs of wan22-latents and wan22-text."""

    package: Path
    latents: dict[str, Path]
    text: dict[str, Path]


@dataclass(frozen=True)
class Parameters(Settings):
    """See schemas/wan22-plan.parameters.json."""


def join_clips(rows: list[dict[str, Any]], latents: Mapping[str, Path], text: Mapping[str, Path]) -> list[Clip]:
    """Join package rows with their latents and embeddings; raise a StageError naming a clip that lacks one."""
    encoded, prompts = encoded_clips(latents, "latents"), embedded_prompts(text)
    clips = []
    for row in rows:
        episode, name = row["episode"], f"{row['episode']}/{row['clip']}"
        if (episode, row["clip"]) not in encoded:
            raise StageError(f"clip {name} of the package has no latents; build wan22-latents for episode '{episode}'")
        shape = encoded[(episode, row["clip"])]["shape"]
        if shape[1] != (row["frames"] - 1) // 4 + 1:
            raise StageError(
                f"clip {name}: {shape[1]} latent frames do not come from {row['frames']} frames; encode it again"
            )
        if (episode, row["prompt"]) not in prompts:
            raise StageError(
                f"the prompt of clip {name} has no embedding; build wan22-text for episode '{episode}' from the same "
                "captions and with the same trigger"
            )
        clips.append(Clip(episode, row["clip"], row["shot"], prompt_hash(row["prompt"]), token_count(shape), shape[1]))
    return clips


def run(inputs: Inputs, parameters: Parameters, out: Path) -> None:
    """Write plan.json, recipe.json and segments/NN.jsonl."""
    if parameters.expert != "all" and parameters.first_frame_probability > 0:
        raise StageError(
            f"first_frame_probability is {parameters.first_frame_probability}, but A14B's expert "
            f"{parameters.expert} is not given first frames in its latents; set it to 0"
        )
    clips = join_clips(read_json(inputs.package / "metadata.json"), inputs.latents, inputs.text)
    write_plan(inputs.package, clips, parameters, "ti2v-5b" if parameters.expert == "all" else "t2v-a14b", out)


OUTPUTS = {"plan.json": "plan", "recipe.json": "recipe"}
STAGE = Stage(name="wan22-plan", inputs=Inputs, parameters=Parameters, outputs=OUTPUTS, run=run)

if __name__ == "__main__":
    STAGE.main()
