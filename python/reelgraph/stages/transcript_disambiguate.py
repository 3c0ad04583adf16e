"""Let Qwen2.5-Omni hear each line that may hold a name of the bible, and choose among what it may have been.

It chooses by number among candidates that are close to what was recognised; whatever else it answers, the recognised
line stays, and the answer is kept for a person to see.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reelgraph.files import read_json, write_json
from reelgraph.progress import track
from reelgraph.stage import Stage
from reelgraph.text.audio import SAMPLE_RATE, read_audio
from reelgraph.words.answers import Answer, parse
from reelgraph.words.candidates import Candidate, candidates_of, with_candidate


@dataclass(frozen=True)
class Inputs:
    """A media file, directories with its probe.json, transcript.json and names.json, and a Qwen2.5-Omni."""

    master: Path
    source: Path
    transcript: Path
    names: Path
    model: Path


@dataclass(frozen=True)
class Parameters:
    """See schemas/transcript-disambiguate.parameters.json."""

    device: str
    dtype: str
    batch_size: int
    new_tokens: int
    least_similarity: float
    most_candidates: int
    largest_distance: float
    padding_seconds: float


def question(line: str, candidates: Sequence[Candidate]) -> str:
    """Return what the model is asked about a line."""
    choices = "\n".join(f"{number}: {text}" for number, text in enumerate((line, *(one.text for one in candidates))))
    return (
        "Listen to this line of an animated series. A speech recogniser wrote it as number 0 and may have misheard a "
        f"name. Which of these is said?\n{choices}\n"
        'Answer with one JSON object and nothing else: {"choice": number}. If you are not sure, choose 0.'
    )


def decide(answer: Answer, candidates: Sequence[Candidate]) -> tuple[Candidate | None, str]:
    """Return the chosen candidate, or None for the recognised line, and what became of the answer."""
    parsed = parse(answer, {"choice": int})
    if parsed.failure:
        return None, parsed.failure
    choice = parsed.fields["choice"]
    if choice == 0:
        return None, "kept"
    return (candidates[choice - 1], "changed") if 0 < choice <= len(candidates) else (None, "not a candidate")


def run(inputs: Inputs, parameters: Parameters, out: Path) -> None:
    """Write transcript.json and disambiguation.json."""
    transcript = read_json(inputs.transcript / "transcript.json")
    names: Mapping[str, Any] = read_json(inputs.names / "names.json")
    lines = list(transcript["segments"])
    limits = (parameters.least_similarity, parameters.largest_distance, parameters.most_candidates)
    doubtful = {n: found for n, line in enumerate(lines) if (found := candidates_of(line, names, *limits))}
    answers: list[dict[str, Any]] = []
    for (number, candidates), answer in zip(doubtful.items(), hear(inputs, parameters, lines, doubtful), strict=True):
        original = lines[number]
        chosen, outcome = decide(answer, candidates)
        lines[number] = with_candidate(original, chosen) if chosen else original
        answers.append(
            {
                "line": number,
                "original": original["text"],
                "candidates": [original["text"], *(one.text for one in candidates)],
                "answer": answer.text,
                "chosen": lines[number]["text"],
                "outcome": outcome,
            }
        )
    write_json(out / "transcript.json", {"segments": lines, "dropped": transcript["dropped"]})
    outcomes = Counter(answer["outcome"] for answer in answers)
    changed, kept = outcomes.pop("changed", 0), outcomes.pop("kept", 0)
    counts = {"lines": len(lines), "asked": len(answers), "changed": changed, "kept": kept}
    write_json(out / "disambiguation.json", {**counts, "fallbacks": outcomes.total(), "answers": answers})


def hear(
    inputs: Inputs, parameters: Parameters, lines: Sequence[Mapping[str, Any]], doubtful: Mapping[int, list[Candidate]]
) -> list[Answer]:
    """Return the model's answer for each doubtful line; without any, neither model nor sound is read."""
    if not doubtful:
        return []
    # Loading torch takes seconds, and most episodes of a series without odd names have no doubtful line.
    from reelgraph.words.hearing import Listen, Listener

    samples, offset = read_audio(inputs.master, read_json(inputs.source / "probe.json")["sound_stream"])
    listener = Listener(inputs.model, parameters)
    questions = []
    for number, candidates in doubtful.items():
        first = round((lines[number]["start"] - offset - parameters.padding_seconds) * SAMPLE_RATE)
        last = round((lines[number]["end"] - offset + parameters.padding_seconds) * SAMPLE_RATE)
        heard = samples[max(0, first) : max(0, last)]
        questions.append(Listen(heard, question(lines[number]["text"], candidates)))
    return list(track(listener.answers(questions), "transcript-disambiguate", len(questions), "line"))


STAGE = Stage(
    name="transcript-disambiguate",
    inputs=Inputs,
    parameters=Parameters,
    outputs={"transcript.json": "transcript", "disambiguation.json": "disambiguation"},
    run=run,
)

if __name__ == "__main__":
    STAGE.main()
