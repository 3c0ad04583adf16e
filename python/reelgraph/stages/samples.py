"""Draw pictures and videos through diffsynth's own pipeline, from text and from a first frame: with the checkpoint, and
the same with the base model beside them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from diffsynth.pipelines.wan_video import WanVideoPipeline
from PIL import Image

from reelgraph.files import read_json
from reelgraph.progress import track
from reelgraph.stage import Stage
from reelgraph.train.model import describe_model, transformer_parts
from reelgraph.train.sampling import Sample, SampleParameters, list_videos, write_index
from reelgraph.train.strict import compute_strictly
from reelgraph.train.video import write_video
from reelgraph.train.wan import load_pipeline


@dataclass(frozen=True)
class Inputs:
    """The checkpoint, the dataset (for the first frames of image to video), and the model.

    For an A14B model ``checkpoint`` is the high-noise expert's, ``low_noise_checkpoint`` the other's.
    """

    checkpoint: Path
    low_noise_checkpoint: Path | None
    package: Path
    model: Path


@dataclass(frozen=True)
class Parameters(SampleParameters):
    """See schemas/samples.parameters.json."""

    text_to_image: list[str]


def list_samples(parameters: Parameters, rows: list[dict[str, Any]]) -> list[Sample]:
    """Return what to draw, in order."""
    pictures = [Sample(f"text-to-image-{n}.png", "text-to-image", p, 1) for n, p in enumerate(parameters.text_to_image)]
    return pictures + list_videos(parameters, rows)


def draw(pipe: WanVideoPipeline, sample: Sample, parameters: Parameters, package: Path) -> list[Image.Image]:
    """Return the frames of a sample; the noise comes from the pipeline's CPU generator, seeded."""
    size = (parameters.width, parameters.height)
    first_frame = Image.open(package / sample.first_frame).convert("RGB").resize(size) if sample.first_frame else None
    return pipe(
        prompt=sample.prompt,
        negative_prompt=parameters.negative_prompt,
        input_image=first_frame,
        seed=parameters.seed,
        rand_device="cpu",
        width=parameters.width,
        height=parameters.height,
        num_frames=sample.frames,
        num_inference_steps=parameters.steps,
        cfg_scale=parameters.guidance,
        tiled=False,
        progress_bar_cmd=lambda timesteps: timesteps,
    )


def draw_all(
    pipe: WanVideoPipeline, samples: list[Sample], parameters: Parameters, package: Path, out: Path, prefix: str
) -> None:
    """Draw each sample into ``out`` under its name with ``prefix`` in front."""
    for sample in track(samples, f"samples {prefix}".strip(" -"), len(samples), "sample"):
        frames = draw(pipe, sample, parameters, package)
        if sample.frames == 1:
            frames[0].save(out / (prefix + sample.file))
        else:
            write_video(out / (prefix + sample.file), frames, parameters.fps, crf=16)


def load_checkpoints(pipe: WanVideoPipeline, inputs: Inputs) -> None:
    """Merge each checkpoint into the transformer that it was trained on, which its file names."""
    for directory in filter(None, (inputs.checkpoint, inputs.low_noise_checkpoint)):
        expert = read_json(directory / "checkpoint.json")["metadata"]["reelgraph.expert"]
        pipe.load_lora(pipe.dit2 if expert == "low_noise" else pipe.dit, str(directory / "lora.safetensors"))


def run(inputs: Inputs, parameters: Parameters, out: Path) -> None:
    """Write the pictures, the videos and samples.json."""
    compute_strictly()
    samples = list_samples(parameters, read_json(inputs.package / "metadata.json"))
    model = describe_model(inputs.model)
    parts = [*transformer_parts(model), "text_encoder", "vae"]
    pipe = load_pipeline(inputs.model, parts, parameters.device, parameters.dtype)
    draw_all(pipe, samples, parameters, inputs.package, out, "base-")
    load_checkpoints(pipe, inputs)
    draw_all(pipe, samples, parameters, inputs.package, out, "")
    write_index(samples, parameters, model, out)


STAGE = Stage(name="samples", inputs=Inputs, parameters=Parameters, outputs={"samples.json": "samples"}, run=run)

if __name__ == "__main__":
    STAGE.main()
