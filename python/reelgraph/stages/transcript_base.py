"""Transcribe an episode with faster-whisper: every word with its time, and what was dropped with the reason."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from faster_whisper import WhisperModel
from faster_whisper.transcribe import Segment
from faster_whisper.vad import VadOptions

from reelgraph.errors import StageError
from reelgraph.files import write_json
from reelgraph.progress import progress
from reelgraph.stage import Stage
from reelgraph.text.audio import SAMPLE_RATE, read_audio

MODEL_FILES = ("config.json", "model.bin", "tokenizer.json")
LONGEST_REPEATED_PHRASE = 8


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
    cpu_threads: int
    voice_activity_threshold: float
    minimum_silence_seconds: float
    speech_padding_seconds: float
    no_speech_threshold: float
    log_probability_threshold: float
    compression_ratio_threshold: float
    repetition_limit: int


def load_model(directory: Path, parameters: Parameters) -> WhisperModel:
    """Load the model on the CPU; never from a hub, which faster-whisper would ask for a missing file."""
    if missing := [name for name in MODEL_FILES if not (directory / name).is_file()]:
        raise StageError(f"{directory.name}: holds no {missing[0]}; expected a faster-whisper model directory")
    try:
        model = WhisperModel(
            str(directory), device="cpu", compute_type=parameters.compute_type, cpu_threads=parameters.cpu_threads
        )
    except (RuntimeError, ValueError) as error:
        raise StageError(f"{directory.name}: cannot be loaded as a faster-whisper model ({error})") from error
    if parameters.language not in model.supported_languages:
        known = ", ".join(model.supported_languages[:5])
        raise StageError(f"language '{parameters.language}': the model in {directory.name} does not know it, only {known}")
    return model


def repeats_itself(items: Sequence[str], limit: int) -> bool:
    """Return whether a phrase of up to 8 items is said more than ``limit`` times in a row."""
    for length in range(1, LONGEST_REPEATED_PHRASE + 1):
        same = 0
        for position in range(length, len(items)):
            same = same + 1 if items[position] == items[position - length] else 0
            if same >= length * limit:
                return True
    return False


def reason_to_drop(segment: Segment, parameters: Parameters) -> str | None:
    """Return why a segment is no speech to be trusted, or None."""
    if not segment.words:
        return "no words"
    if segment.compression_ratio > parameters.compression_ratio_threshold:
        return "compression"
    if repeats_itself(segment.text.casefold().split(), parameters.repetition_limit):
        return "repetition"
    unlikely = segment.avg_logprob < parameters.log_probability_threshold
    return "no speech" if segment.no_speech_prob > parameters.no_speech_threshold and unlikely else None


def sort_out(segments: Iterable[Segment], parameters: Parameters) -> Iterator[tuple[Segment, str | None]]:
    """Yield each segment with the reason to drop it; the same line too often in a row is dropped as a whole."""
    for _, group in groupby(segments, key=lambda segment: segment.text.casefold().strip()):
        run = list(group)
        repeated = "repetition" if len(run) > parameters.repetition_limit else None
        yield from ((segment, repeated or reason_to_drop(segment, parameters)) for segment in run)


def describe(segment: Segment, offset: float) -> dict[str, Any]:
    """Return a segment in seconds of the picture, from its words: Whisper's own segment times drift by seconds."""
    words = [
        {
            "start": round(word.start + offset, 3),
            "end": round(word.end + offset, 3),
            "text": word.word,
            "probability": round(word.probability, 3),
        }
        for word in segment.words or []
    ]
    start, end = (words[0]["start"], words[-1]["end"]) if words else (segment.start + offset, segment.end + offset)
    return {"start": round(start, 3), "end": round(end, 3), "text": segment.text.strip(), "words": words}


def transcribe(model: WhisperModel, samples: Any, parameters: Parameters) -> list[Segment]:
    """Return every segment that Whisper hears, the doubtful too: its own thresholds are off, they drop without trace."""
    with progress("transcript-base", round(len(samples) / SAMPLE_RATE), "second") as counter:
        segments, _ = model.transcribe(
            samples,
            language=parameters.language,
            beam_size=parameters.beam_size,
            temperature=0.0,
            condition_on_previous_text=False,
            word_timestamps=True,
            vad_filter=True,
            vad_parameters=VadOptions(
                threshold=parameters.voice_activity_threshold,
                min_silence_duration_ms=round(parameters.minimum_silence_seconds * 1000),
                speech_pad_ms=round(parameters.speech_padding_seconds * 1000),
            ),
            no_speech_threshold=None,
            log_prob_threshold=None,
            compression_ratio_threshold=None,
        )
        heard = []
        for segment in segments:
            heard.append(segment)
            counter.advance(max(0, round(segment.end) - counter.done))
        counter.advance(counter.total - counter.done)
    return heard


def run(inputs: Inputs, parameters: Parameters, out: Path) -> None:
    """Write transcript.json; sound without speech gives an empty one."""
    samples, offset = read_audio(inputs.master)
    heard = transcribe(load_model(inputs.model, parameters), samples, parameters) if len(samples) else []
    transcript: dict[str, list[Any]] = {"segments": [], "dropped": []}
    for segment, reason in sort_out(heard, parameters):
        entry = describe(segment, offset)
        if reason is None:
            transcript["segments"].append(entry)
        else:
            del entry["words"]
            transcript["dropped"].append({**entry, "reason": reason})
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
