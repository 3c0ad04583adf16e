"""Released multimodal models behind one call: load, generate greedily, read the answers.

Batches always have the same size, the last filled up with copies of its last request, and texts are padded to steps of
64 tokens, so that a GPU runs the same kernels for the same requests on every run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import torch
from transformers import AutoProcessor
from transformers.utils import logging

from reelgraph.errors import StageError
from reelgraph.words.answers import Answer

TOKEN_STEP = 64
BATCHES_AHEAD = 2
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}
Request = TypeVar("Request")


def load(directory: Path, model_class: type, device: str, dtype: str) -> tuple[Any, Any]:
    """Return a model in evaluation mode and its processor, from ``directory`` and never from a hub.

    A directory that lacks files or weights raises a StageError: transformers would fill missing weights at random.
    """
    logging.disable_progress_bar()
    logging.set_verbosity_error()
    if missing := [name for name in ("config.json", "tokenizer_config.json") if not (directory / name).is_file()]:
        raise StageError(f"{directory.name}: holds no {missing[0]}; expected the files of a released model")
    if device == "cuda" and not torch.cuda.is_available():
        raise StageError("device 'cuda': this machine offers no GPU; build on a CUDA builder or set the device to cpu")
    make_deterministic()
    try:
        processor = AutoProcessor.from_pretrained(directory, local_files_only=True)
        model, loaded = model_class.from_pretrained(
            directory, dtype=DTYPES[dtype], device_map=device, local_files_only=True, output_loading_info=True
        )
    except (OSError, ValueError, KeyError, TypeError, RuntimeError) as error:
        sentence = " ".join(str(error).split())[:300]
        raise StageError(f"{directory.name}: cannot be loaded as {model_class.__name__} ({sentence})") from error
    if loaded["missing_keys"] or loaded["mismatched_keys"]:
        name = sorted(map(str, loaded["missing_keys"] or loaded["mismatched_keys"]))[0]
        raise StageError(f"{directory.name}: its weights lack '{name}'; fetch the model again")
    processor.tokenizer.padding_side = "left"
    return model.eval(), processor


def make_deterministic() -> None:
    """Let torch choose kernels that give the same bits on every run on one kind of processor."""
    torch.use_deterministic_algorithms(True, warn_only=True)
    # Memory that is written before it is read need not be filled; filling takes time and changes no result.
    torch.utils.deterministic.fill_uninitialized_memory = False
    torch.backends.cudnn.benchmark = False
    # Where it only warns torch goes on taking cuDNN's attention, which under a mask gave an H200 other bits each time.
    torch.backends.cuda.enable_cudnn_sdp(False)


def generate(model: Any, processor: Any, inputs: Any, new_tokens: int, repetition_penalty: float) -> list[Answer]:
    """Return one greedy answer for each row of a processed batch."""
    with torch.inference_mode():
        tokens = model.generate(
            **inputs.to(model.device, model.dtype),
            do_sample=False,
            num_beams=1,
            temperature=None,
            top_p=None,
            top_k=None,
            max_new_tokens=new_tokens,
            repetition_penalty=repetition_penalty,
        )
    ends = model.generation_config.eos_token_id
    ends = set(ends if isinstance(ends, list) else [ends])
    answers = []
    for row in tokens[:, inputs["input_ids"].shape[1] :].cpu():
        ended = bool(ends & set(row.tolist()))
        answers.append(Answer(processor.tokenizer.decode(row, skip_special_tokens=True).strip(), ended))
    return answers


def in_batches(
    requests: Sequence[Request],
    size: int,
    prepare: Callable[[Sequence[Request]], Any],
    answer: Callable[[Any], list[Answer]],
    workers: int,
) -> Iterator[Answer]:
    """Yield the answer to each request in order; ``prepare`` runs in threads ahead of ``answer``."""
    batches = [list(requests[start : start + size]) for start in range(0, len(requests), size)]
    with ThreadPoolExecutor(max_workers=workers) as pool:
        pending: list[Future[Any]] = []
        for number, batch in enumerate(batches):
            while len(pending) < BATCHES_AHEAD and number + len(pending) < len(batches):
                coming = batches[number + len(pending)]
                pending.append(pool.submit(prepare, [*coming, *[coming[-1]] * (size - len(coming))]))
            yield from answer(pending.pop(0).result())[: len(batch)]
