"""Draw videos with sound through diffsynth's own pipeline, from text and from a first frame: with the checkpoint, and
the same with the base model beside them."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffsynth.pipelines.ltx2_audio_video import LTX2AudioVideoPipeline, LTX2AudioVideoUnit_InputImagesEmbedder
from PIL import Image

from reelgraph.errors import StageError
from reelgraph.files import read_json
from reelgraph.progress import track
from reelgraph.stage import Stage
from reelgraph.train.ltx import load_ltx
from reelgraph.train.ltx_model import PARTS, describe_ltx
from reelgraph.train.sampling import Sample, SampleParameters, list_videos, write_index
from reelgraph.train.strict import compute_strictly
from reelgraph.train.video import read_frames, write_video

# How strongly LTX-2's pipelines compress a first frame, so that it looks like a frame of a video.
FIRST_FRAME_CRF = 33


@dataclass(frozen=True)
class Inputs:
    """The checkpoint, the dataset (for the first frames of image to video), the model, and Gemma if it lacks it."""

    checkpoint: Path
    package: Path
    model: Path
    text_encoder: Path | None


@dataclass(frozen=True)
class Parameters(SampleParameters):
    """See schemas/ltx2-samples.parameters.json."""


class FirstFrame(LTX2AudioVideoUnit_InputImagesEmbedder):
    """Encodes a first frame as the pipeline does, but compresses it to the same bytes on every CPU."""

    def get_image_latent(
        self, pipe: LTX2AudioVideoPipeline, input_image: Image.Image, height: int, width: int, *tiles: Any
    ) -> torch.Tensor:
        """Return the latents of a picture, [1, 128, 1, height / 32, width / 32]."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "frame.mp4"
            write_video(path, [input_image.resize((width, height))], 1, FIRST_FRAME_CRF)
            frames = read_frames(path, 1)
        return pipe.video_vae_encoder.encode(pipe.preprocess_video(frames), *tiles).to(pipe.device)


def draw(
    pipe: LTX2AudioVideoPipeline, sample: Sample, parameters: Parameters, package: Path
) -> tuple[list[Image.Image], np.ndarray]:
    """Return the frames of a sample and its sound, int16 [2, samples]; the noise is the pipeline's, seeded."""
    first = [Image.open(package / sample.first_frame).convert("RGB")] if sample.first_frame else None
    frames, sound = pipe(
        prompt=sample.prompt,
        negative_prompt=parameters.negative_prompt,
        input_images=first,
        seed=parameters.seed,
        rand_device="cpu",
        width=parameters.width,
        height=parameters.height,
        num_frames=parameters.frames,
        frame_rate=parameters.fps,
        num_inference_steps=parameters.steps,
        cfg_scale=parameters.guidance,
        tiled=False,
        progress_bar_cmd=lambda timesteps: timesteps,
    )
    return frames, (sound.clamp(-1, 1) * 32767).round().to(torch.int16).numpy()


def draw_all(
    pipe: LTX2AudioVideoPipeline, samples: list[Sample], parameters: Parameters, package: Path, out: Path, prefix: str
) -> None:
    """Draw each sample into ``out`` under its name with ``prefix`` in front."""
    rate = pipe.audio_vocoder.output_sampling_rate
    for sample in track(samples, f"ltx2-samples {prefix}".strip(" -"), len(samples), "sample"):
        frames, sound = draw(pipe, sample, parameters, package)
        write_video(out / (prefix + sample.file), frames, parameters.fps, 16, (sound, rate))


def check(parameters: Parameters) -> None:
    """Raise a StageError for a size or length that the model would silently change."""
    if parameters.frames % 8 != 1:
        raise StageError(f"frames {parameters.frames}: LTX-2 draws 8n+1 frames; take 17, 25, 33, ...")
    for name in ("width", "height"):
        if getattr(parameters, name) % 32:
            raise StageError(f"{name} {getattr(parameters, name)}: LTX-2 draws sides in multiples of 32")


def run(inputs: Inputs, parameters: Parameters, out: Path) -> None:
    """Write the videos and samples.json."""
    compute_strictly()
    check(parameters)
    samples = list_videos(parameters, read_json(inputs.package / "metadata.json"))
    model = describe_ltx(inputs.model)
    pipe = load_ltx(inputs.model, list(PARTS), parameters.device, parameters.dtype, inputs.text_encoder)
    pipe.units = [
        FirstFrame() if isinstance(unit, LTX2AudioVideoUnit_InputImagesEmbedder) else unit for unit in pipe.units
    ]
    draw_all(pipe, samples, parameters, inputs.package, out, "base-")
    pipe.load_lora(pipe.dit, str(inputs.checkpoint / "lora.safetensors"))
    draw_all(pipe, samples, parameters, inputs.package, out, "")
    write_index(samples, parameters, model, out, sound=True)


STAGE = Stage(name="ltx2-samples", inputs=Inputs, parameters=Parameters, outputs={"samples.json": "samples"}, run=run)

if __name__ == "__main__":
    STAGE.main()
