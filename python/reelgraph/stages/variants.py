"""Tell which masters are one episode under another title or in another language, and what recurs in all of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from py3langid.langid import MODEL_FILE, LanguageIdentifier

from reelgraph.files import read_json, write_json
from reelgraph.media.matches import same_shots
from reelgraph.media.variants import compare
from reelgraph.progress import track
from reelgraph.stage import Stage


@dataclass(frozen=True)
class Inputs:
    """Of each episode, the directories with its fingerprints.json and its texts.json."""

    fingerprints: dict[str, Path]
    texts: dict[str, Path]


@dataclass(frozen=True)
class Parameters:
    """See schemas/variants.parameters.json."""

    languages: list[str]
    title_seconds: float
    recurring_seconds: float


def titles(samples: Sequence[Mapping[str, Any]], frames: float) -> list[str]:
    """Return the lines that are read in an episode's first ``frames``, each once, in order."""
    lines = [box["text"] for sample in samples if sample["start"] < frames for box in sample["boxes"]]
    return list(dict.fromkeys(lines))


def recurring(pairs: Sequence[Mapping[str, Any]], rates: Mapping[str, float], seconds: float) -> list[dict[str, Any]]:
    """Return what different episodes have in common for at least ``seconds``: the first one keeps it."""
    shared: dict[tuple[str, int, int], list[dict[str, Any]]] = {}
    dropped: dict[str, list[tuple[int, int]]] = {}
    for pair in pairs:
        if pair["verdict"] in ("same", "variant"):
            continue
        for run in pair["runs"]:
            start, end = run["first"]
            inside = any(first < end and start < last for first, last in dropped.get(pair["first"], ()))
            if run["same"] and not inside and (end - start) / rates[pair["first"]] >= seconds:
                entry = {"episode": pair["second"], "start": run["second"][0], "end": run["second"][1]}
                shared.setdefault((pair["first"], start, end), []).append(entry)
                dropped.setdefault(pair["second"], []).append(tuple(run["second"]))
    return [
        {"keep": {"episode": name, "start": start, "end": end}, "drop": others}
        for (name, start, end), others in sorted(shared.items())
    ]


def run(inputs: Inputs, parameters: Parameters, out: Path) -> None:
    """Write variants.json."""
    identifier = LanguageIdentifier.from_model_file(MODEL_FILE)
    identifier.set_languages(parameters.languages)
    episodes = {name: read_json(path / "fingerprints.json") for name, path in inputs.fingerprints.items()}
    described = {}
    for name, episode in episodes.items():
        samples = read_json(inputs.texts[name] / "texts.json")["samples"] if name in inputs.texts else []
        read = titles(samples, parameters.title_seconds * episode["fps"])
        guess = identifier.classify(" ".join(read).lower())[0] if read else None
        described[name] = {
            "sha256": episode["sha256"],
            "title": episode["title"],
            "language": episode["language"],
            "text": read,
            "text_language": guess,
        }
    alike = same_shots(episodes)
    pairs = [
        {"first": first, "second": second, **compare(episodes[first], episodes[second], alike[first, second])}
        for first, second in track(sorted(alike), "variants", max(1, len(alike)), "pair")
    ]
    rates = {name: episode["fps"] for name, episode in episodes.items()}
    write_json(
        out / "variants.json",
        {
            "episodes": described,
            "pairs": pairs,
            "nothing_alike": len(episodes) * (len(episodes) - 1) // 2 - len(pairs),
            "recurring": recurring(pairs, rates, parameters.recurring_seconds),
        },
    )


STAGE = Stage(name="variants", inputs=Inputs, parameters=Parameters, outputs={"variants.json": "variants"}, run=run)

if __name__ == "__main__":
    STAGE.main()
