"""Qwen2.5-VL looks at clips."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import av
import torch
from transformers import Qwen2_5_VLForConditionalGeneration

from reelgraph.errors import StageError
from reelgraph.words.answers import Answer
from reelgraph.words.generate import TOKEN_STEP, generate, in_batches, load

SMALLEST_FRAME_PIXELS = 56 * 56
WORKERS, READERS = 2, 8


@dataclass(frozen=True)
class Look:
    """One question about one clip."""

    video: Path
    question: str


class Settings(Protocol):
    """The parameters that looking needs; see schemas/caption.parameters.json."""

    device: str
    dtype: str
    frames: int
    largest_frame_pixels: int
    batch_size: int
    new_tokens: int
    repetition_penalty: float


class Viewer:
    """A loaded Qwen2.5-VL."""

    def __init__(self, directory: Path, settings: Settings) -> None:
        self.settings = settings
        self.model, self.processor = load(
            directory, Qwen2_5_VLForConditionalGeneration, settings.device, settings.dtype
        )

    def answers(self, looks: Sequence[Look]) -> Iterator[Answer]:
        """Yield the answer to each question, in order."""
        return in_batches(looks, self.settings.batch_size, self.prepare, self.answer, WORKERS)

    def prepare(self, looks: Sequence[Look]) -> Any:
        """Return the model's inputs for a batch: decoded, scaled and tokenised."""
        with ThreadPoolExecutor(max_workers=READERS) as pool:
            read = pool.map(lambda look: read_clip(look.video, self.settings.frames), looks)
            videos, rates = zip(*read, strict=True)
        return self.processor(
            text=[self.prompt(look.question) for look in looks],
            videos=list(videos),
            videos_kwargs={
                "do_sample_frames": False,
                "video_metadata": [{"fps": rate, "total_num_frames": self.settings.frames} for rate in rates],
                "size": {"shortest_edge": SMALLEST_FRAME_PIXELS, "longest_edge": self.settings.largest_frame_pixels},
                "cap_pixels_per_frame": False,
                "device": self.settings.device,
            },
            text_kwargs={"padding": True, "pad_to_multiple_of": TOKEN_STEP},
            return_tensors="pt",
        )

    def answer(self, inputs: Any) -> list[Answer]:
        """Return the model's answers to a prepared batch."""
        settings = self.settings
        return generate(self.model, self.processor, inputs, settings.new_tokens, settings.repetition_penalty)

    def prompt(self, question: str) -> str:
        """Return a question about a video as the model's chat template writes it."""
        content = [{"type": "video"}, {"type": "text", "text": question}]
        chat = [{"role": "user", "content": content}]
        return self.processor.apply_chat_template(chat, tokenize=False, add_generation_prompt=True)


def read_clip(path: Path, count: int) -> tuple[torch.Tensor, float]:
    """Return ``count`` frames of all over a clip, uint8 [count, 3, height, width], and how many that is a second.

    Every frame is one of the file's; a clip of fewer frames shows some twice.
    """
    try:
        with av.open(path) as container:
            stream = container.streams.video[0]
            stream.codec_context.thread_count = 1
            rate = float(stream.average_rate or 0)
            shown = list(container.decode(stream))
    except (av.FFmpegError, IndexError) as error:
        raise StageError(f"{path.name}: cannot be decoded ({error}); rebuild clips") from error
    if not shown or not rate:
        raise StageError(f"{path.name}: holds no frame; rebuild clips")
    chosen = [shown[(2 * number + 1) * len(shown) // (2 * count)] for number in range(count)]
    pictures = torch.stack([torch.from_numpy(frame.to_ndarray(format="rgb24")) for frame in chosen])
    return pictures.permute(0, 3, 1, 2).contiguous(), rate * count / len(shown)
