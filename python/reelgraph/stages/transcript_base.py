"""Transcribe an episode with faster-whisper: every word with its time, and what was dropped with the reason."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from faster_whisper import BatchedInferencePipeline, WhisperModel
from faster_whisper.transcribe import Segment
from faster_whisper.vad import VadOptions

from reelgraph.errors import StageError
from reelgraph.files import read_json, write_json
from reelgraph.progress import progress
from reelgraph.stage import Stage
from reelgraph.text.audio import SAMPLE_RATE, read_audio
from reelgraph.text.transcript import describe_dropped, lines_of, sort_out

MODEL_FILES = ("config.json", "model.bin", "tokenizer.json")


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


def load_model(directory: Path, parameters: Parameters) -> WhisperModel:
    """Load the model; never from a hub, which faster-whisper would ask for a missing file."""
    if missing := [name for name in MODEL_FILES if not (directory / name).is_file()]:
        raise StageError(f"{directory.name}: holds no {missing[0]}; expected a faster-whisper model directory")
    try:
        model = WhisperModel(
            str(directory),
            device=parameters.device,
            compute_type=parameters.compute_type,
            cpu_threads=parameters.cpu_threads,
        )
    except (RuntimeError, ValueError) as error:
        raise StageError(f"{directory.name}: cannot be loaded as a faster-whisper model ({error})") from error
    if parameters.language not in model.supported_languages:
        raise StageError(
            f"language '{parameters.language}': the model in {directory.name} knows only "
            f"{', '.join(model.supported_languages)}; give a multilingual model"
        )
    return model


def transcribe(model: WhisperModel, samples: Any, parameters: Parameters) -> list[Segment]:
    """Return every segment that Whisper hears: its own thresholds would drop the doubtful without a trace."""
    options: dict[str, Any] = {
        "language": parameters.language,
        "beam_size": parameters.beam_size,
        "temperature": 0.0,
        "condition_on_previous_text": False,
        "word_timestamps": True,
        "vad_filter": True,
        "vad_parameters": VadOptions(
            threshold=parameters.voice_activity_threshold,
            min_silence_duration_ms=round(parameters.minimum_silence_seconds * 1000),
            speech_pad_ms=round(parameters.speech_padding_seconds * 1000),
        ),
        "no_speech_threshold": None,
        "log_prob_threshold": None,
        "compression_ratio_threshold": None,
    }
    with progress("transcript-base", round(len(samples) / SAMPLE_RATE), "second") as counter:
        if parameters.batch_size > 1:
            segments, _ = BatchedInferencePipeline(model).transcribe(
                samples, batch_size=parameters.batch_size, **options
            )
        else:
            segments, _ = model.transcribe(samples, **options)
        heard = []
        for segment in segments:
            heard.append(segment)
            counter.advance(max(0, round(segment.end) - counter.done))
        counter.advance(counter.total - counter.done)
    return heard


def run(inputs: Inputs, parameters: Parameters, out: Path) -> None:
    """Write transcript.json; sound without speech gives an empty one."""
    check_language(read_json(inputs.source / "probe.json"), parameters.language)
    with ThreadPoolExecutor(max_workers=1) as pool:
        # Decoding and loading leave Python to itself, so they take the time of the longer one.
        reading = pool.submit(read_audio, inputs.master)
        model = load_model(inputs.model, parameters)
        samples, offset = reading.result()
    heard = transcribe(model, samples, parameters) if len(samples) else []
    shift = offset - parameters.word_delay_seconds
    transcript: dict[str, list[Any]] = {"segments": [], "dropped": []}
    for segment, reason in sort_out(heard, parameters):
        if reason is None:
            transcript["segments"].extend(lines_of(segment, shift, parameters.minimum_silence_seconds))
        else:
            transcript["dropped"].append(describe_dropped(segment, shift, reason))
    write_json(out / "transcript.json", transcript)


STAGE = Stage(
    name="transcript-base",
    inputs=Inputs,
    parameters=Parameters,
    outputs={"transcript.json": "transcript"},
    run=run,
)

if __name__ == "__main__":
    STAGE.main()
