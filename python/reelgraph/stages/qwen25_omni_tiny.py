"""Make Qwen2.5-Omni at toy width with seeded random weights: it proves the code that asks it, and hears nothing."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from transformers import (
    Qwen2_5OmniConfig,
    Qwen2_5OmniProcessor,
    Qwen2_5OmniThinkerForConditionalGeneration,
    Qwen2VLImageProcessor,
    Qwen2VLVideoProcessor,
    WhisperFeatureExtractor,
)
from transformers.utils import logging

from reelgraph.stage import Stage
from reelgraph.words.tiny import (
    OMNI_CHAT,
    OMNI_ROLES,
    OMNI_TOKENS,
    PIXELS,
    byte_tokenizer,
    ids_of,
    save_model,
    text_part,
    vision_part,
)

MEL_BINS = 128


@dataclass(frozen=True)
class Inputs:
    """The stage makes its output from parameters alone."""


@dataclass(frozen=True)
class Parameters:
    """See schemas/qwen25-omni-tiny.parameters.json."""

    seed: int
    width: int
    layers: int


def run(inputs: Inputs, parameters: Parameters, out: Path) -> None:
    """Write what the repository of a released Qwen2.5-Omni holds, without the part that speaks."""
    # The configuration's unused speaking part has the released model's token ids, beyond its toy vocabulary.
    logging.set_verbosity_error()
    tokenizer = byte_tokenizer(OMNI_TOKENS, OMNI_ROLES)
    ids = ids_of(tokenizer, OMNI_TOKENS)
    width, layers = parameters.width, parameters.layers
    config = Qwen2_5OmniConfig(
        thinker_config={
            "text_config": text_part(width, layers, len(tokenizer), ids),
            "vision_config": vision_part(width, layers),
            "audio_config": {
                "encoder_layers": layers,
                "encoder_attention_heads": 4,
                "encoder_ffn_dim": 2 * width,
                "d_model": width,
                "output_dim": width,
                "num_mel_bins": MEL_BINS,
            },
            "audio_token_index": ids["<|AUDIO|>"],
            "image_token_index": ids["<|IMAGE|>"],
            "video_token_index": ids["<|VIDEO|>"],
            "audio_start_token_id": ids["<|audio_bos|>"],
            "audio_end_token_id": ids["<|audio_eos|>"],
            "vision_start_token_id": ids["<|vision_bos|>"],
            "vision_end_token_id": ids["<|vision_eos|>"],
            "pad_token_id": ids["<|endoftext|>"],
        },
        enable_audio_output=False,
        architectures=["Qwen2_5OmniForConditionalGeneration"],
    )
    processor = Qwen2_5OmniProcessor(
        Qwen2VLImageProcessor(size=PIXELS),
        Qwen2VLVideoProcessor(size=PIXELS),
        WhisperFeatureExtractor(feature_size=MEL_BINS, chunk_length=300),
        tokenizer,
        chat_template=OMNI_CHAT,
    )
    build = lambda: Qwen2_5OmniThinkerForConditionalGeneration(config.thinker_config)  # noqa: E731
    save_model(out, config, build, parameters.seed, processor, prefix="thinker.")


STAGE = Stage(name="qwen25-omni-tiny", inputs=Inputs, parameters=Parameters, outputs={}, run=run)

if __name__ == "__main__":
    STAGE.main()
