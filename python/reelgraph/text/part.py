"""A stage whose output is a part of its input: what it leaves out of the part leaves no trace in the output either."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from reelgraph.files import read_json, write_json
from reelgraph.stage import Stage


class PartStage(Stage):
    """A stage whose stage.json does not name its inputs' hashes, so that later stages see only a change of the part.

    What the part was taken from stands in the graph; the part's own bytes stand in its stage.json as ever.
    """

    def execute(self, inputs: Mapping[str, Any], parameters: Mapping[str, Any], output: Path) -> None:
        """Check, run, check, and write stage.json without inputs."""
        super().execute(inputs, parameters, output)
        write_json(output / "stage.json", {**read_json(output / "stage.json"), "inputs": {}})
