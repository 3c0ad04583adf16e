"""Qwen2.5-VL and Qwen2.5-Omni at toy width with seeded random weights, in the layout of the released models.

The released code loads them: processor, tokenizer, chat template and sharded weights have the same files, names and
special tokens, only narrower.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from math import prod
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from reelgraph.files import write_json
from reelgraph.train.counter import draw_normal
from reelgraph.train.tensors import write_tensors

# The released tokenizer's special tokens in its order; VL has the first group, Omni renames some and adds two.
VL_TOKENS = (
    *("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|object_ref_start|>", "<|object_ref_end|>"),
    *("<|box_start|>", "<|box_end|>", "<|quad_start|>", "<|quad_end|>"),
    *("<|vision_start|>", "<|vision_end|>", "<|vision_pad|>", "<|image_pad|>", "<|video_pad|>"),
)
OMNI_TOKENS = (
    *("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|AUDIO|>", "<|audio_bos|>", "<|audio_eos|>"),
    *("<|box_end|>", "<|quad_start|>", "<|quad_end|>"),
    *("<|vision_bos|>", "<|vision_eos|>", "<|vision_pad|>", "<|IMAGE|>", "<|VIDEO|>"),
)
OMNI_ROLES = {
    "image_token": "<|IMAGE|>",
    "audio_token": "<|AUDIO|>",
    "video_token": "<|VIDEO|>",
    "vision_bos_token": "<|vision_bos|>",
    "vision_eos_token": "<|vision_eos|>",
    "audio_bos_token": "<|audio_bos|>",
    "audio_eos_token": "<|audio_eos|>",
}
_CHAT = (
    "{% for message in messages %}{% if loop.first and message['role'] != 'system' %}<|im_start|>system\n"
    "You are a helpful assistant.<|im_end|>\n{% endif %}<|im_start|>{{ message['role'] }}\n"
    "{% if message['content'] is string %}{{ message['content'] }}<|im_end|>\n{% else %}"
    "{% for content in message['content'] %}{% if content['type'] == 'image' %}IMAGE"
    "{% elif content['type'] == 'audio' %}AUDIO{% elif content['type'] == 'video' %}VIDEO"
    "{% elif 'text' in content %}{{ content['text'] }}{% endif %}{% endfor %}<|im_end|>\n{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
VL_CHAT = (
    _CHAT.replace("IMAGE", "<|vision_start|><|image_pad|><|vision_end|>")
    .replace("VIDEO", "<|vision_start|><|video_pad|><|vision_end|>")
    .replace("AUDIO", "")
)
OMNI_CHAT = (
    _CHAT.replace("IMAGE", "<|vision_bos|><|IMAGE|><|vision_eos|>")
    .replace("VIDEO", "<|vision_bos|><|VIDEO|><|vision_eos|>")
    .replace("AUDIO", "<|audio_bos|><|AUDIO|><|audio_eos|>")
)


PIXELS = {"shortest_edge": 56 * 56, "longest_edge": 28 * 28 * 1280}


def text_part(width: int, layers: int, vocabulary: int, ids: dict[str, int]) -> dict[str, Any]:
    """Return the configuration of the language model."""
    heads = 4
    head = width // heads
    return {
        "vocab_size": vocabulary,
        "hidden_size": width,
        "intermediate_size": 2 * width,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "num_key_value_heads": 2,
        "rope_parameters": {
            "rope_type": "default",
            "rope_theta": 1e6,
            "mrope_section": [head // 8, head // 8, head // 2 - 2 * (head // 8)],
        },
        "bos_token_id": ids["<|endoftext|>"],
        "eos_token_id": ids["<|im_end|>"],
        "pad_token_id": ids["<|endoftext|>"],
        "tie_word_embeddings": False,
    }


def vision_part(width: int, layers: int) -> dict[str, Any]:
    """Return the configuration of the picture encoder; its last layer sees whole frames, as in the released model."""
    return {
        "depth": layers,
        "hidden_size": width,
        "intermediate_size": 2 * width,
        "num_heads": 2,
        "out_hidden_size": width,
        "fullatt_block_indexes": [layers - 1],
        "window_size": 112,
    }


def ids_of(tokenizer: PreTrainedTokenizerFast, special: tuple[str, ...]) -> dict[str, int]:
    """Return the ids of the special tokens."""
    return {token: tokenizer.convert_tokens_to_ids(token) for token in special}


def byte_tokenizer(special: tuple[str, ...], roles: dict[str, str] | None = None) -> PreTrainedTokenizerFast:
    """Return Qwen's byte-level tokenizer without merges: 256 bytes and the special tokens behind them."""
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE(vocab={letter: number for number, letter in enumerate(letters)}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(list(special))
    extra = {"extra_special_tokens": roles} if roles else {}
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<|endoftext|>", eos_token="<|im_end|>", padding_side="left", **extra
    )


def random_weights(build: Callable[[], torch.nn.Module], seed: int, part: str) -> dict[str, torch.Tensor]:
    """Return float32 weights for the module that ``build`` makes, each drawn by its name and scaled by its fan-in."""
    with torch.device("meta"):
        shapes = {name: tuple(tensor.shape) for name, tensor in build().state_dict().items()}
    weights = {}
    for name, shape in shapes.items():
        if name.endswith("bias"):
            weights[name] = torch.zeros(shape)
        elif len(shape) == 1:
            weights[name] = torch.ones(shape)
        else:
            fan_in = 1 if "embed_tokens" in name else prod(shape[1:])
            weights[name] = torch.from_numpy(draw_normal(shape, seed, part, name)) * fan_in**-0.5
    return weights


def save_model(
    out: Path, config: Any, build: Callable[[], torch.nn.Module], seed: int, processor: Any, prefix: str = ""
) -> None:
    """Write config, processor and the weights with an index, as a released model's repository holds them."""
    weights = {f"{prefix}{name}": tensor for name, tensor in random_weights(build, seed, config.model_type).items()}
    file = "model-00001-of-00001.safetensors"
    write_tensors(out / file, weights, {"format": "pt"})
    size = sum(tensor.numel() * tensor.element_size() for tensor in weights.values())
    index = {"metadata": {"total_size": size}, "weight_map": dict.fromkeys(weights, file)}
    write_json(out / "model.safetensors.index.json", index)
    processor.save_pretrained(out)
    config.save_pretrained(out)
    ids = ids_of(processor.tokenizer, ("<|im_end|>", "<|endoftext|>"))
    settings = {"do_sample": False, "eos_token_id": ids["<|im_end|>"], "pad_token_id": ids["<|endoftext|>"]}
    write_json(out / "generation_config.json", settings)
    for path in sorted(out.glob("*.json")):
        write_json(path, json.loads(path.read_text(encoding="utf-8")))
