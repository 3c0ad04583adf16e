"""Take the names that an episode's words may use, so that editing what somebody looks like rebuilds no transcript."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from reelgraph.files import read_json, write_json
from reelgraph.text.bible import of_episode, only_names
from reelgraph.text.part import PartStage


@dataclass(frozen=True)
class Inputs:
    """The directory with the series' bible.json."""

    bible: Path


@dataclass(frozen=True)
class Parameters:
    """See schemas/episode-names.parameters.json."""

    episode: str


def run(inputs: Inputs, parameters: Parameters, out: Path) -> None:
    """Write names.json."""
    write_json(out / "names.json", only_names(of_episode(read_json(inputs.bible / "bible.json"), parameters.episode)))


STAGE = PartStage(
    name="episode-names", inputs=Inputs, parameters=Parameters, outputs={"names.json": "episode-names"}, run=run
)

if __name__ == "__main__":
    STAGE.main()
