"""Make Qwen2.5-VL at toy width with seeded random weights: it proves the code that asks it, and sees nothing."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from transformers import (
    Qwen2_5_VLConfig,
    Qwen2_5_VLForConditionalGeneration,
    Qwen2_5_VLProcessor,
    Qwen2VLImageProcessor,
    Qwen2VLVideoProcessor,
)

from reelgraph.stage import Stage
from reelgraph.words.tiny import PIXELS, VL_CHAT, VL_TOKENS, byte_tokenizer, ids_of, save_model, text_part, vision_part


@dataclass(frozen=True)
class Inputs:
    """The stage makes its output from parameters alone."""


@dataclass(frozen=True)
class Parameters:
    """See schemas/qwen25-vl-tiny.parameters.json."""

    seed: int
    width: int
    layers: int


def run(inputs: Inputs, parameters: Parameters, out: Path) -> None:
    """Write what the repository of a released Qwen2.5-VL holds."""
    tokenizer = byte_tokenizer(VL_TOKENS)
    ids = ids_of(tokenizer, VL_TOKENS)
    config = Qwen2_5_VLConfig(
        text_config=text_part(parameters.width, parameters.layers, len(tokenizer), ids),
        vision_config=vision_part(parameters.width, parameters.layers),
        image_token_id=ids["<|image_pad|>"],
        video_token_id=ids["<|video_pad|>"],
        vision_start_token_id=ids["<|vision_start|>"],
        vision_end_token_id=ids["<|vision_end|>"],
        tie_word_embeddings=False,
        architectures=["Qwen2_5_VLForConditionalGeneration"],
    )
    processor = Qwen2_5_VLProcessor(
        Qwen2VLImageProcessor(size=PIXELS), tokenizer, Qwen2VLVideoProcessor(size=PIXELS), chat_template=VL_CHAT
    )
    save_model(out, config, lambda: Qwen2_5_VLForConditionalGeneration(config), parameters.seed, processor)


STAGE = Stage(name="qwen25-vl-tiny", inputs=Inputs, parameters=Parameters, outputs={}, run=run)

if __name__ == "__main__":
    STAGE.main()
