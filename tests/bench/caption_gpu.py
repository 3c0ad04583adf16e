"""Captions a minute of a full-size Qwen2.5-VL-7B on a CUDA GPU, batched against one by one, through the stage's code.

The weights are random, so the words mean nothing, but every kernel, the decoding of the clips and the processor are
those of the released model. Says also how busy the GPU was, and whether a second run gave the same answers.

Example: PYTHONPATH=python python tests/bench/caption_gpu.py --clips 64 --batch-size 16
"""

from __future__ import annotations

import hashlib
import json
import threading
import time
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import av
import click
import numpy as np
import torch
import transformers
from transformers import (
    Qwen2_5_VLConfig,
    Qwen2_5_VLForConditionalGeneration,
    Qwen2_5_VLProcessor,
    Qwen2VLImageProcessor,
    Qwen2VLVideoProcessor,
)

from reelgraph.words.generate import make_deterministic
from reelgraph.words.tiny import PIXELS, VL_CHAT, VL_TOKENS, byte_tokenizer, ids_of
from reelgraph.words.vision import Look, Viewer

# The released model's sizes, from its config.json.
TEXT = {
    "vocab_size": 152064,
    "hidden_size": 3584,
    "intermediate_size": 18944,
    "num_hidden_layers": 28,
    "num_attention_heads": 28,
    "num_key_value_heads": 4,
    "rope_parameters": {"rope_type": "default", "rope_theta": 1e6, "mrope_section": [16, 24, 24]},
    "tie_word_embeddings": False,
}
VISION = {
    "depth": 32,
    "hidden_size": 1280,
    "intermediate_size": 3420,
    "num_heads": 16,
    "out_hidden_size": 3584,
    "fullatt_block_indexes": [7, 15, 23, 31],
    "window_size": 112,
}
QUESTION_LETTERS = 500  # The tokenizer here has one token a letter: as many tokens as a real question has.


@dataclass(frozen=True)
class Settings:
    """What the caption stage's parameters say of looking."""

    device: str
    dtype: str
    frames: int
    largest_frame_pixels: int
    batch_size: int
    new_tokens: int
    repetition_penalty: float


class BusyShare:
    """Samples the GPU's utilisation, as nvidia-smi shows it, ten times a second while the block runs."""

    def __enter__(self) -> BusyShare:
        self.samples: list[int] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._sample)
        self._thread.start()
        return self

    def _sample(self) -> None:
        while not self._stop.wait(0.1):
            self.samples.append(torch.cuda.utilization())

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    @property
    def percent(self) -> float:
        """The mean of the samples."""
        return sum(self.samples) / max(1, len(self.samples))


def write_clip(path: Path, seed: int, width: int, height: int, frames: int) -> None:
    """Write a clip of moving noise, H.264, 16 frames a second."""
    noise = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=16, options={"crf": "18", "preset": "veryfast"})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for number in range(frames):
            smooth = np.roll(noise, number * 4, axis=1) // 4 + 96
            container.mux(stream.encode(av.VideoFrame.from_ndarray(smooth.astype(np.uint8), format="rgb24")))
        container.mux(stream.encode())


def full_size(settings: Settings, layers: int | None) -> Viewer:
    """Return a viewer with random weights of the released model's size, made on the GPU."""
    tokenizer = byte_tokenizer(VL_TOKENS)
    ids = ids_of(tokenizer, VL_TOKENS)
    text = {**TEXT, **({"num_hidden_layers": layers} if layers else {})}
    config = Qwen2_5_VLConfig(
        text_config={**text, "pad_token_id": ids["<|endoftext|>"]},
        vision_config=VISION,
        image_token_id=ids["<|image_pad|>"],
        video_token_id=ids["<|video_pad|>"],
        vision_start_token_id=ids["<|vision_start|>"],
        vision_end_token_id=ids["<|vision_end|>"],
        tie_word_embeddings=False,
    )
    torch.manual_seed(0)
    torch.set_default_dtype(torch.bfloat16)
    with torch.device("cuda"):
        model = Qwen2_5_VLForConditionalGeneration(config).eval()
    torch.set_default_dtype(torch.float32)
    model.generation_config.eos_token_id = ids["<|im_end|>"]
    model.generation_config.pad_token_id = ids["<|endoftext|>"]
    viewer = Viewer.__new__(Viewer)
    viewer.settings, viewer.model = settings, model
    viewer.processor = Qwen2_5_VLProcessor(
        Qwen2VLImageProcessor(size=PIXELS), tokenizer, Qwen2VLVideoProcessor(size=PIXELS), chat_template=VL_CHAT
    )
    return viewer


def measure(viewer: Viewer, looks: list[Look]) -> dict[str, object]:
    """Return captions a minute, the GPU's busy share, and the hash of all answers."""
    torch.cuda.synchronize()
    with BusyShare() as busy:
        start = time.monotonic()
        answers = [answer.text for answer in viewer.answers(looks)]
        torch.cuda.synchronize()
        seconds = time.monotonic() - start
    return {
        "clips": len(looks),
        "seconds": round(seconds, 2),
        "captions_a_minute": round(60 * len(looks) / seconds, 1),
        "gpu_busy_percent": round(busy.percent, 1),
        "answers": hashlib.sha256("\0".join(answers).encode()).hexdigest()[:16],
        "distinct_answers": len(set(answers)),
    }


@click.command()
@click.option("--clips", default=64, show_default=True, help="Clips that are captioned in batches.")
@click.option("--single-clips", default=12, show_default=True, help="Clips that are captioned one by one.")
@click.option("--batch-size", "batch_sizes", default=[16], multiple=True, show_default=True)
@click.option("--new-tokens", default=128, show_default=True, help="Tokens of every answer.")
@click.option("--frames", default=16, show_default=True)
@click.option("--pixels", default=200704, show_default=True, help="Largest pixels of a frame.")
@click.option("--layers", type=int, help="Fewer layers than the released model has, for a quick look.")
def main(
    clips: int,
    single_clips: int,
    batch_sizes: tuple[int, ...],
    new_tokens: int,
    frames: int,
    pixels: int,
    layers: int | None,
) -> None:
    """Print one JSON object."""
    make_deterministic()
    single = Settings("cuda", "bfloat16", frames, pixels, 1, new_tokens, 1.05)
    with TemporaryDirectory() as folder:
        looks = []
        for number in range(clips):
            path = Path(folder) / f"{number:03}.mp4"
            write_clip(path, number, 832, 480, 81)
            looks.append(Look(path, f"clip {number} ".ljust(QUESTION_LETTERS, "?")))
        viewer = full_size(single, layers)
        list(viewer.answers(looks[:1]))
        result = {
            "gpu": torch.cuda.get_device_name(),
            "torch": torch.__version__,
            "transformers": transformers.__version__,
            "parameters": sum(tensor.numel() for tensor in viewer.model.parameters()),
            "one_by_one": measure(viewer, looks[:single_clips]),
        }
        print(json.dumps(result), flush=True)
        for size in batch_sizes:
            viewer.settings = replace(single, batch_size=size)
            list(viewer.answers(looks[:size]))
            first, second = measure(viewer, looks), measure(viewer, looks)
            result[f"batches_of_{size}"] = {
                "first": first,
                "second": second,
                "equal": first["answers"] == second["answers"],
            }
            result[f"batches_of_{size}"]["peak_gib"] = round(torch.cuda.max_memory_allocated() / 2**30, 1)
            rate = result["one_by_one"]["captions_a_minute"]
            result[f"batches_of_{size}"]["times_as_fast"] = round(first["captions_a_minute"] / rate, 2)
            print(json.dumps(result[f"batches_of_{size}"]), flush=True)
        print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
