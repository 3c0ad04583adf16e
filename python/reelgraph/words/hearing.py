"""Qwen2.5-Omni listens to lines."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from transformers import Qwen2_5OmniThinkerForConditionalGeneration

from reelgraph.text.audio import SAMPLE_RATE
from reelgraph.words.answers import Answer
from reelgraph.words.generate import TOKEN_STEP, generate, in_batches, load

WORKERS = 2
# The released configuration's own values; Whisper's encoder has no shorter input than two frames of 10 ms.
REPETITION_PENALTY = 1.0
SHORTEST_SECONDS = 0.1


@dataclass(frozen=True)
class Listen:
    """One question about a stretch of sound: float32 mono samples at 16 kHz."""

    samples: np.ndarray
    question: str


class Settings(Protocol):
    """The parameters that listening needs; see schemas/transcript-disambiguate.parameters.json."""

    device: str
    dtype: str
    batch_size: int
    new_tokens: int


class Listener:
    """The part of a loaded Qwen2.5-Omni that hears and writes."""

    def __init__(self, directory: Path, settings: Settings) -> None:
        self.settings = settings
        self.model, self.processor = load(
            directory, Qwen2_5OmniThinkerForConditionalGeneration, settings.device, settings.dtype
        )

    def answers(self, questions: Sequence[Listen]) -> Iterator[Answer]:
        """Yield the answer to each question, in order."""
        return in_batches(questions, self.settings.batch_size, self.prepare, self.answer, WORKERS)

    def prepare(self, questions: Sequence[Listen]) -> Any:
        """Return the model's inputs for a batch."""
        least = round(SHORTEST_SECONDS * SAMPLE_RATE)
        sounds = [np.pad(one.samples, (0, max(0, least - len(one.samples)))) for one in questions]
        return self.processor(
            text=[self.prompt(one.question) for one in questions],
            audio=sounds,
            audio_kwargs={"sampling_rate": SAMPLE_RATE},
            text_kwargs={"padding": True, "pad_to_multiple_of": TOKEN_STEP},
            return_tensors="pt",
        )

    def answer(self, inputs: Any) -> list[Answer]:
        """Return the model's answers to a prepared batch."""
        return generate(self.model, self.processor, inputs, self.settings.new_tokens, REPETITION_PENALTY)

    def prompt(self, question: str) -> str:
        """Return a question about a sound as the model's chat template writes it."""
        content = [{"type": "audio"}, {"type": "text", "text": question}]
        chat = [{"role": "user", "content": content}]
        return self.processor.apply_chat_template(chat, tokenize=False, add_generation_prompt=True)
