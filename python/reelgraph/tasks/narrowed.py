"""A pipeline seen as some of its stages alone."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reelgraph.errors import StageError
from reelgraph.graph.evaluate import Checkout
from reelgraph.graph.refusals import NoSuchTarget, unknown_to_git
from reelgraph.graph.words import some

FIND = Path(__file__).with_name("find.nix")


class NoStage(StageError):
    """A pipeline has none of the stages that a task is for."""

    def __init__(self, pipeline: str, stages: Sequence[str], task: str = "") -> None:
        named = f"{task}: " if task else ""
        super().__init__(f"{named}pipeline '{pipeline}' has no stage {' or '.join(stages)}", status=3)


@dataclass(frozen=True)
class Narrowed(Checkout):
    """A checkout in which a pipeline is only some of its stages and what these need.

    So a task asks for no model, lock or licence that only later stages reach.
    """

    only: tuple[str, ...] = ()

    def question(self, function: str) -> str:
        """Return a function of a pipeline that answers ``function`` for the wanted stages only."""
        wanted = " ".join(json.dumps(stage) for stage in self.only)
        ours = f"builtins.filter (found: builtins.elem found.stage.stage [ {wanted} ])"
        return f"pipeline: ({function}) (map (found: found.stage) ({ours} (({FIND.read_text()}) pipeline)))"

    def evaluate(self, installable: str, function: str, *options: str) -> Any:
        """Describe the wanted stages; raise a StageError if there is none."""
        name = installable.rpartition("#")[2]
        try:
            described = super().evaluate(installable, function, *options)
        except NoSuchTarget as error:
            raise StageError(self._no_pipeline(name, error.like), status=3) from error
        if not described["ends"]:
            raise NoStage(name, self.only)
        return described

    def _no_pipeline(self, name: str, like: str) -> str:
        """Return why a pipeline is not there: a flake sees only files that git knows."""
        if unknown := unknown_to_git(self.root):
            return (
                f"pipeline '{name}' is not there, and git does not know {some(unknown, 2)}; run: git add nix materials"
            )
        # What makes the licensed pipeline is a task, which is named after this sentence.
        hint = f"; did you mean {like}?" if like else "" if name.startswith("iiw") else "; try smoke"
        return f"there is no pipeline '{name}'{hint}"
