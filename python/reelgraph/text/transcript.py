"""From Whisper's segments to a transcript: lines by their words, and what nobody is likely to have said dropped."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import groupby, pairwise
from typing import Any, Protocol

from faster_whisper.transcribe import Segment

LONGEST_PHRASE = 8
SENTENCE_END = re.compile("[.!?\u2026][\"'\u201d\u2019)]*$")
TITLES = {"mr.", "mrs.", "ms.", "dr.", "prof.", "st."}


class Thresholds(Protocol):
    """The parameters that the rules need; see schemas/transcript-base.parameters.json."""

    no_speech_threshold: float
    log_probability_threshold: float
    compression_ratio_threshold: float
    repetition_limit: int


def earlier(segment: Segment, seconds: float) -> Segment:
    """Return a segment with its words ``seconds`` earlier."""
    words = [replace(word, start=word.start - seconds, end=word.end - seconds) for word in segment.words or []]
    return replace(segment, start=segment.start - seconds, end=segment.end - seconds, words=words)


def sentences_of(segment: Segment) -> Iterator[Segment]:
    """Yield a segment for each sentence: a window of a batch comes as one, however many people speak in it."""
    words = segment.words or []
    ends = [
        number
        for number, word in enumerate(words, start=1)
        if SENTENCE_END.search(word.word) and word.word.strip().casefold() not in TITLES
    ]
    for first, last in pairwise(dict.fromkeys([0, *ends, len(words)])):
        said = words[first:last]
        text = "".join(word.word for word in said)
        yield replace(segment, start=said[0].start, end=said[-1].end, text=text, words=said)
    if not words:
        yield segment


def repeats_itself(items: Sequence[str], limit: int) -> bool:
    """Return whether a phrase of up to 8 items is said more than ``limit`` times in a row."""
    for length in range(1, LONGEST_PHRASE + 1):
        same = 0
        for position in range(length, len(items)):
            same = same + 1 if items[position] == items[position - length] else 0
            if same >= length * limit:
                return True
    return False


def reason_to_drop(segment: Segment, thresholds: Thresholds) -> str | None:
    """Return why a segment is not to be trusted, or None."""
    if segment.compression_ratio > thresholds.compression_ratio_threshold:
        return "compression"
    if repeats_itself(segment.text.casefold().split(), thresholds.repetition_limit):
        return "repetition"
    unlikely = segment.avg_logprob < thresholds.log_probability_threshold
    if segment.no_speech_prob > thresholds.no_speech_threshold and unlikely:
        return "no speech"
    return None if segment.words else "no words"


def sort_out(segments: Iterable[Segment], thresholds: Thresholds) -> Iterator[tuple[Segment, str | None]]:
    """Yield each segment with the reason to drop it; the same line too often in a row is dropped as a whole."""
    for _, group in groupby(segments, key=lambda segment: segment.text.casefold().strip()):
        run = list(group)
        repeated = "repetition" if len(run) > thresholds.repetition_limit else None
        yield from ((segment, repeated or reason_to_drop(segment, thresholds)) for segment in run)


def lines_of(segment: Segment, offset: float, silence: float) -> list[dict[str, Any]]:
    """Return a segment as lines in seconds of the picture, parted where nothing is said for more than ``silence``.

    Times are those of words: Whisper's own segment times drift by seconds, and it hears sound whose silences were
    taken out, so that one segment may hold what two people say ten seconds apart.
    """
    lines: list[list[dict[str, Any]]] = []
    for heard in segment.words or []:
        word = {
            "start": round(float(heard.start) + offset, 3),
            "end": round(float(heard.end) + offset, 3),
            "text": heard.word,
            "probability": round(float(heard.probability), 3),
        }
        if not lines or word["start"] - lines[-1][-1]["end"] > silence:
            lines.append([])
        lines[-1].append(word)
    return [
        {
            "start": words[0]["start"],
            "end": words[-1]["end"],
            "text": "".join(word["text"] for word in words).strip(),
            "words": words,
        }
        for words in lines
    ]


def describe_dropped(segment: Segment, offset: float, reason: str) -> dict[str, Any]:
    """Return a dropped segment; its times are Whisper's own where it has no words."""
    start, end = (round(float(time) + offset, 3) for time in (segment.start, segment.end))
    return {"start": start, "end": end, "text": segment.text.strip(), "reason": reason}
