"""Which names of the bible a recognised line may have meant, and the line with one of them in place."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rapidfuzz import fuzz
from rapidfuzz.distance import Levenshtein

from reelgraph.text.names import WORD, canonical_names

# Spellings that sound alike in English, longer ones first.
SOUNDS = (
    *(("sch", "sh"), ("tch", "ch"), ("ght", "t"), ("ph", "f"), ("ck", "k"), ("qu", "kw"), ("wh", "w"), ("kn", "n")),
    *(("ee", "i"), ("ea", "i"), ("oo", "u"), ("ou", "u"), ("ie", "i"), ("ey", "i"), ("x", "ks"), ("c", "k")),
    *(("y", "i"), ("z", "s")),
)


@dataclass(frozen=True)
class Candidate:
    """Words ``first`` to ``last`` of a line (from 0, both included) replaced by ``name``."""

    first: int
    last: int
    name: str
    text: str
    similarity: float


def sound(text: str) -> str:
    """Return letters that are the same for texts that sound much alike: ``"Cranky"`` and ``"kranki"``."""
    letters = re.sub(r"[^a-z]", "", text.casefold())
    for spelling, sounds in SOUNDS:
        letters = letters.replace(spelling, sounds)
    return re.sub(r"(.)\1+", r"\1", letters)


def candidates_of(
    line: Mapping[str, Any], names: Mapping[str, Any], least_similarity: float, largest_distance: float, most: int
) -> list[Candidate]:
    """Return the lines that ``line`` may have been, the likeliest first; none where it may stand as it is."""
    words = [word["text"] for word in line["words"]]
    found: dict[str, Candidate] = {}
    for name in sorted(canonical_names(names)):
        present = re.compile(rf"(?<!\w){re.escape(name)}(?!\w)")
        length = len(name.split())
        for size in range(max(1, length - 1), length + 2):
            for first in range(len(words) - size + 1):
                heard = _bare("".join(words[first : first + size]))
                if candidate := _replace(line, words, first, first + size - 1, name, _likeness(heard, name)):
                    if candidate.similarity < least_similarity or present.search(heard):
                        continue
                    if distance(line["text"], candidate.text) > largest_distance:
                        continue
                    if candidate.text not in found or found[candidate.text].similarity < candidate.similarity:
                        found[candidate.text] = candidate
    found.pop(line["text"], None)
    return sorted(found.values(), key=lambda one: (-one.similarity, one.first, one.text))[:most]


def distance(one: str, other: str) -> float:
    """Return the edits between two lines, in any case, over the length of the longer, 0 to 1."""
    return Levenshtein.normalized_distance(one.casefold(), other.casefold())


def with_candidate(line: Mapping[str, Any], candidate: Candidate) -> dict[str, Any]:
    """Return the line with the candidate's name; its words share the time of those that they replace."""
    replaced = line["words"][candidate.first : candidate.last + 1]
    _, end = _edges("".join(word["text"] for word in replaced))
    parts = candidate.name.split()
    parts[-1] += end
    start, stop = replaced[0]["start"], replaced[-1]["end"]
    letters = [sum(len(part) for part in parts[:count]) for count in range(len(parts) + 1)]
    times = [round(start + (stop - start) * count / letters[-1], 3) for count in letters]
    probability = min(word["probability"] for word in replaced)
    blank = " " if replaced[0]["text"].startswith(" ") else ""
    words = [
        {"start": times[i], "end": times[i + 1], "text": (" " if i else blank) + part, "probability": probability}
        for i, part in enumerate(parts)
    ]
    words = [*line["words"][: candidate.first], *words, *line["words"][candidate.last + 1 :]]
    return {**line, "text": "".join(word["text"] for word in words).strip(), "words": words}


def _replace(
    line: Mapping[str, Any], words: Sequence[str], first: int, last: int, name: str, similarity: float
) -> Candidate | None:
    begin, end = _edges("".join(words[first : last + 1]))
    if begin.strip():
        return None  # An opening quotation mark or the like stands before the word: its place is not the name's.
    text = f"{''.join(words[:first])} {name}{end}{''.join(words[last + 1 :])}".strip()
    return Candidate(first, last, name, text, similarity)


def _likeness(heard: str, name: str) -> float:
    written = fuzz.ratio(heard.casefold(), name.casefold())
    return max(written, fuzz.ratio(sound(heard), sound(name))) / 100


def _edges(text: str) -> tuple[str, str]:
    """Return what stands before the first and behind the last letter; ``'s`` stands behind."""
    letters = list(WORD.finditer(text))
    if not letters:
        return text, ""
    last = letters[-1].group()
    possessive = last[-2:] if last.endswith(("'s", "\u2019s")) else ""
    return text[: letters[0].start()], possessive + text[letters[-1].end() :]


def _bare(text: str) -> str:
    begin, end = _edges(text)
    return text[len(begin) : len(text) - len(end)]
