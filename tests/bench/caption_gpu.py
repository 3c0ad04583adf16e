"""Captions a minute of a full-size Qwen2.5-VL-7B on a CUDA GPU, batched against one by one, through the stage's code.

The weights are random, so the words mean nothing, but every kernel, the decoding of the clips and the processor are
those of the released model. Says also how busy the GPU was, how many answers differ from each other, whether a second
run gave the same bytes, and how many clips get one answer in a batch and alone. `--tiny` tries it on a CPU at toy size.

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

from reelgraph.determinism import restart_in_fixed_environment
from reelgraph.words.generate import DTYPES, make_deterministic
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
TINY_TEXT = {
    **TEXT,
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "rope_parameters": {"rope_type": "default", "rope_theta": 1e6, "mrope_section": [2, 3, 3]},
}
TINY_VISION = {
    **VISION,
    "depth": 2,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_heads": 2,
    "out_hidden_size": 64,
    "fullatt_block_indexes": [1],
}
# One question for all clips: answers that differ can only do so by what was seen.
QUESTION = "What is to be seen here? ".ljust(500, "?")  # One token a letter: as many tokens as a real question has.
LETTERS = 256


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
            self.samples.append(torch.cuda.utilization() if torch.cuda.is_available() else 0)

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    @property
    def percent(self) -> float:
        """The mean of the samples."""
        return sum(self.samples) / max(1, len(self.samples))


def write_clip(path: Path, seed: int, width: int, height: int, frames: int) -> None:
    """Write a clip of moving patches of colour, other ones for each seed, H.264, 16 frames a second."""
    patches = np.random.default_rng(seed).integers(0, 256, (height // 80, width // 64, 3), dtype=np.uint8)
    noise = patches.repeat(80, axis=0).repeat(64, axis=1)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=16, options={"crf": "18", "preset": "veryfast"})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for number in range(frames):
            picture = np.ascontiguousarray(np.roll(noise, number * 4, axis=1))
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())


def random_viewer(settings: Settings, text: dict, vision: dict) -> Viewer:
    """Return a viewer with random weights of the given sizes, made on the device."""
    tokenizer = byte_tokenizer(VL_TOKENS)
    ids = ids_of(tokenizer, VL_TOKENS)
    config = Qwen2_5_VLConfig(
        text_config={**text, "pad_token_id": ids["<|endoftext|>"]},
        vision_config=vision,
        image_token_id=ids["<|image_pad|>"],
        video_token_id=ids["<|video_pad|>"],
        vision_start_token_id=ids["<|vision_start|>"],
        vision_end_token_id=ids["<|vision_end|>"],
        tie_word_embeddings=False,
    )
    torch.manual_seed(0)
    torch.set_default_dtype(DTYPES[settings.dtype])
    with torch.device(settings.device):
        model = Qwen2_5_VLForConditionalGeneration(config).eval()
    torch.set_default_dtype(torch.float32)
    # The tokenizer here knows letters only; what the released one calls the other rows would be read as nothing.
    model.lm_head.weight.data[LETTERS:] = 0
    model.generation_config.eos_token_id = ids["<|im_end|>"]
    model.generation_config.pad_token_id = ids["<|endoftext|>"]
    viewer = Viewer.__new__(Viewer)
    viewer.settings, viewer.model = settings, model
    viewer.processor = Qwen2_5_VLProcessor(
        Qwen2VLImageProcessor(size=PIXELS), tokenizer, Qwen2VLVideoProcessor(size=PIXELS), chat_template=VL_CHAT
    )
    return viewer


def measure(viewer: Viewer, looks: list[Look]) -> tuple[dict[str, object], list[str]]:
    """Return captions a minute, the GPU's busy share and the hash of all answers, and the answers."""
    with BusyShare() as busy:
        start = time.monotonic()
        answers = [answer.text for answer in viewer.answers(looks)]
        seconds = time.monotonic() - start
    row = {
        "clips": len(looks),
        "seconds": round(seconds, 2),
        "captions_a_minute": round(60 * len(looks) / seconds, 1),
        "gpu_busy_percent": round(busy.percent, 1),
        "answers": hashlib.sha256("\0".join(answers).encode()).hexdigest()[:16],
        "distinct_answers": len(set(answers)),
    }
    return row, answers


@click.command()
@click.option("--clips", default=64, show_default=True, help="Clips that are captioned in batches.")
@click.option("--single-clips", default=12, show_default=True, help="Clips that are captioned one by one.")
@click.option("--batch-size", "batch_sizes", default=[16], multiple=True, show_default=True)
@click.option("--new-tokens", default=128, show_default=True, help="Tokens of every answer.")
@click.option("--frames", default=16, show_default=True)
@click.option("--pixels", default=200704, show_default=True, help="Largest pixels of a frame.")
@click.option("--layers", default=28, show_default=True, help="Layers of the language model.")
@click.option("--tiny", is_flag=True, help="Toy size on the CPU, to try the script.")
def main(
    clips: int,
    single_clips: int,
    batch_sizes: tuple[int, ...],
    new_tokens: int,
    frames: int,
    pixels: int,
    layers: int,
    tiny: bool,
) -> None:
    """Print one JSON object."""
    make_deterministic()
    device, dtype = ("cpu", "float32") if tiny else ("cuda", "bfloat16")
    single = Settings(device, dtype, frames, pixels, 1, new_tokens, 1.05)
    with TemporaryDirectory() as folder:
        looks = []
        for number in range(clips):
            path = Path(folder) / f"{number:03}.mp4"
            write_clip(path, number, 832, 480, 81)
            looks.append(Look(path, QUESTION))
        sizes = (TINY_TEXT, TINY_VISION) if tiny else ({**TEXT, "num_hidden_layers": layers}, VISION)
        viewer = random_viewer(single, *sizes)
        list(viewer.answers(looks[:1]))
        alone, alone_answers = measure(viewer, looks[:single_clips])
        again, again_answers = measure(viewer, looks[:single_clips])
        result = {
            "machine": "CPU" if tiny else torch.cuda.get_device_name(),
            "torch": torch.__version__,
            "transformers": transformers.__version__,
            "parameters": sum(tensor.numel() for tensor in viewer.model.parameters()),
            "one_by_one": {"first": alone, "second": again, "equal": alone_answers == again_answers},
        }
        print(json.dumps(result), flush=True)
        for size in batch_sizes:
            viewer.settings = replace(single, batch_size=size)
            list(viewer.answers(looks[:size]))
            (first, answers), (second, same_answers) = measure(viewer, looks), measure(viewer, looks)
            rate = alone["captions_a_minute"]
            result[f"batches_of_{size}"] = {
                "first": first,
                "second": second,
                "equal": answers == same_answers,
                "equal_to_one_by_one": sum(a == b for a, b in zip(alone_answers, answers, strict=False)),
                "times_as_fast": round(first["captions_a_minute"] / rate, 2),
                "peak_gib": 0.0 if tiny else round(torch.cuda.max_memory_allocated() / 2**30, 1),
            }
            print(json.dumps(result[f"batches_of_{size}"]), flush=True)
        print(json.dumps(result, indent=2))


if __name__ == "__main__":
    restart_in_fixed_environment()
    main()
