"""Whisper hears the parts of an episode in which somebody speaks, without the silence between them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import accumulate, groupby, pairwise
from typing import Any

import numpy as np
from faster_whisper import BatchedInferencePipeline, WhisperModel
from faster_whisper.transcribe import Segment, restore_speech_timestamps

from reelgraph.text.audio import SAMPLE_RATE
from reelgraph.text.transcript import earlier, sentences_of

# Ranges of samples, ``start`` to ``end``.
Speech = list[dict[str, int]]


def sound_of(samples: np.ndarray, part: Speech) -> np.ndarray:
    """Return the speech of a part without the silence in it."""
    return np.concatenate([samples[stretch["start"] : stretch["end"]] for stretch in part])


def hear_one_by_one(
    model: WhisperModel, samples: np.ndarray, parts: Sequence[Speech], options: Mapping[str, Any]
) -> list[Segment]:
    """Return what is heard in each part, whose windows follow each other until its end."""
    heard: list[Segment] = []
    for part in parts:
        segments, _ = model.transcribe(sound_of(samples, part), **options)
        heard.extend(restore_speech_timestamps(segments, part, SAMPLE_RATE))
    return heard


def hear_batch(
    model: WhisperModel, samples: np.ndarray, parts: Sequence[Speech], options: Mapping[str, Any]
) -> list[Segment]:
    """Return what is heard in parts of at most a window each, all at once, a segment for each sentence."""
    sounds = [sound_of(samples, part) for part in parts]
    edges = list(accumulate((len(sound) / SAMPLE_RATE for sound in sounds), initial=0.0))
    windows = [{"start": start, "end": end} for start, end in pairwise(edges)]
    segments, _ = BatchedInferencePipeline(model).transcribe(
        np.concatenate(sounds), batch_size=len(parts), clip_timestamps=windows, **options
    )
    heard: list[Segment] = []
    for start, part, (_, found) in zip(edges, parts, groupby(segments, lambda segment: segment.seek), strict=False):
        # Window by window: a last word that is heard to end late would else land where the next one speaks.
        for segment in restore_speech_timestamps((earlier(one, start) for one in found), part, SAMPLE_RATE):
            # Of a window in which nothing is heard there is nothing to keep.
            heard.extend(sentences_of(segment) if segment.text.strip() else ())
    return heard
