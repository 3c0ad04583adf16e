"""Transcribe an episode with faster-whisper: every word with its time, and what was dropped with the reason."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from faster_whisper import WhisperModel
from faster_whisper.transcribe import Segment
from faster_whisper.vad import VadOptions, get_speech_timestamps

from reelgraph.errors import StageError
from reelgraph.files import read_json, write_json
from reelgraph.progress import progress
from reelgraph.stage import Stage
from reelgraph.text.audio import SAMPLE_RATE, read_audio
from reelgraph.text.transcript import describe_dropped, lines_of, sort_out
from reelgraph.words.windows import Speech, hear_batch, hear_one_by_one

MODEL_FILES = ("config.json", "model.bin", "tokenizer.json")
# What Whisper hears at once; in a batch it hears no further.
WINDOW_SECONDS = 30
# Of so much of an episode about a window is speech.
SECONDS_FOR_A_WINDOW = 120
# Threads on one window of a model up to this size, tiny, wait for each other longer than they save.
SMALL_MODEL_BYTES = 100_000_000


@dataclass(frozen=True)
class Inputs:
    """A media file, the directory with its probe.json, and a faster-whisper model directory."""

    master: Path
    source: Path
    model: Path


@dataclass(frozen=True)
class Parameters:
    """See schemas/transcript-base.parameters.json."""

    language: str
    beam_size: int
    compute_type: str
    device: str
    cpu_threads: int
    batch_size: int
    word_delay_seconds: float
    voice_activity_threshold: float
    minimum_silence_seconds: float
    speech_padding_seconds: float
    no_speech_threshold: float
    log_probability_threshold: float
    compression_ratio_threshold: float
    repetition_limit: int


def check_language(probe: Mapping[str, Any], language: str) -> None:
    """Raise a StageError unless the master is in ``language``: Whisper would translate or invent another one."""
    if probe["language"].split("-")[0].lower() != language:
        raise StageError(
            f"language '{language}': but {probe['episode']} is in '{probe['language']}' by its probe.json; "
            "set the parameter to the master's language"
        )


def workers_for(seconds: float, parameters: Parameters) -> int:
    """Return how many windows of an episode are heard at once: several threads on one gain less than one on each.

    A short episode has no window for each thread; see threads_for. A GPU hears one batch after the other.
    """
    most = parameters.cpu_threads if parameters.device == "cpu" else 1
    return min(most, max(1, int(seconds / SECONDS_FOR_A_WINDOW)))


def threads_for(directory: Path, parameters: Parameters, workers: int) -> int:
    """Return how many threads hear one window: one of a small model, else each worker's share."""
    small = (directory / "model.bin").stat().st_size <= SMALL_MODEL_BYTES
    return 1 if small else parameters.cpu_threads // workers


def load_model(directory: Path, parameters: Parameters, workers: int) -> WhisperModel:
    """Load the model; never from a hub, which faster-whisper would ask for a missing file."""
    if missing := [name for name in MODEL_FILES if not (directory / name).is_file()]:
        raise StageError(f"{directory.name}: holds no {missing[0]}; expected a faster-whisper model directory")
    try:
        model = WhisperModel(
            str(directory),
            device=parameters.device,
            compute_type=parameters.compute_type,
            cpu_threads=threads_for(directory, parameters, workers),
            num_workers=workers,
        )
    except (RuntimeError, ValueError) as error:
        raise StageError(f"{directory.name}: cannot be loaded as a faster-whisper model ({error})") from error
    if parameters.language not in model.supported_languages:
        raise StageError(
            f"language '{parameters.language}': the model in {directory.name} knows only "
            f"{', '.join(model.supported_languages)}; give a multilingual model"
        )
    return model


def speech_in(samples: np.ndarray, parameters: Parameters) -> list[Speech]:
    """Return where somebody speaks, ranges of samples, gathered into parts of a window at most.

    Speech that never stops for that long is cut in a breath for a batch, else heard on, window after window.
    """
    options = VadOptions(
        threshold=parameters.voice_activity_threshold,
        min_silence_duration_ms=round(parameters.minimum_silence_seconds * 1000),
        max_speech_duration_s=WINDOW_SECONDS if parameters.batch_size > 1 else math.inf,
        speech_pad_ms=round(parameters.speech_padding_seconds * 1000),
    )
    parts: list[Speech] = []
    for stretch in get_speech_timestamps(samples, options) if len(samples) else []:
        if not parts or sum(one["end"] - one["start"] for one in (*parts[-1], stretch)) > WINDOW_SECONDS * SAMPLE_RATE:
            parts.append([])
        parts[-1].append(stretch)
    return parts


def transcribe(
    model: WhisperModel, samples: np.ndarray, parts: Sequence[Speech], parameters: Parameters, workers: int
) -> list[Segment]:
    """Return every segment that Whisper hears: its own thresholds would drop the doubtful without a trace."""
    options: dict[str, Any] = {
        "language": parameters.language,
        "beam_size": parameters.beam_size,
        "temperature": 0.0,
        "condition_on_previous_text": False,
        "word_timestamps": True,
        "no_speech_threshold": None,
        "log_prob_threshold": None,
        "compression_ratio_threshold": None,
    }
    hear = hear_batch if parameters.batch_size > 1 else hear_one_by_one
    # Smaller batches where there are fewer windows, so that no worker has nothing to do.
    size = max(1, min(parameters.batch_size, math.ceil(len(parts) / workers)))
    batches = [parts[first : first + size] for first in range(0, len(parts), size)]
    heard: list[Segment] = []
    with (
        progress("transcript-base", round(len(samples) / SAMPLE_RATE), "second") as counter,
        ThreadPoolExecutor(max_workers=workers) as pool,
    ):
        for batch, segments in zip(
            batches, pool.map(lambda batch: hear(model, samples, batch, options), batches), strict=True
        ):
            heard.extend(segments)
            counter.advance(round(batch[-1][-1]["end"] / SAMPLE_RATE) - counter.done)
        counter.advance(counter.total - counter.done)
    return heard


def run(inputs: Inputs, parameters: Parameters, out: Path) -> None:
    """Write transcript.json; sound without speech gives an empty one."""
    probe = read_json(inputs.source / "probe.json")
    check_language(probe, parameters.language)
    number = probe["sound_stream"]
    workers = workers_for(probe["audio"][number]["seconds"], parameters)
    with ThreadPoolExecutor(max_workers=1) as pool:
        # Both leave Python to itself for most of their time, so they take that of the longer one.
        reading = pool.submit(_read, inputs.master, number, parameters)
        model = load_model(inputs.model, parameters, workers)
        samples, offset, parts = reading.result()
    heard = transcribe(model, samples, parts, parameters, workers)
    shift = offset - parameters.word_delay_seconds
    transcript: dict[str, list[Any]] = {"segments": [], "dropped": []}
    for segment, reason in sort_out(heard, parameters):
        if reason is None:
            transcript["segments"].extend(lines_of(segment, shift, parameters.minimum_silence_seconds))
        else:
            transcript["dropped"].append(describe_dropped(segment, shift, reason))
    write_json(out / "transcript.json", transcript)


def _read(master: Path, number: int, parameters: Parameters) -> tuple[np.ndarray, float, list[Speech]]:
    samples, start = read_audio(master, number)
    return samples, start, speech_in(samples, parameters)


STAGE = Stage(
    name="transcript-base",
    inputs=Inputs,
    parameters=Parameters,
    outputs={"transcript.json": "transcript"},
    run=run,
)

if __name__ == "__main__":
    STAGE.main()
