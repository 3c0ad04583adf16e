"""Outputs of an episode's stages, built where they are missing."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import chdir
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from reelgraph.builder.nix import nixw
from reelgraph.errors import StageError
from reelgraph.graph.evaluate import find_checkout
from reelgraph.graph.refusals import NoSuchTarget, refusal
from reelgraph.graph.words import some
from reelgraph.text.yaml import parse_yaml

_MOST_NAMED = 3


def materials_of(episode: str) -> tuple[str, str]:
    """Return pipeline and episode of ``PIPELINE.ID``, or raise a StageError that shows the form."""
    pipeline, dot, name = episode.partition(".")
    name = name.removeprefix("episodes.")
    if not dot or not pipeline or not name:
        raise StageError(f"{episode}: expected PIPELINE.EPISODE, such as smoke.big-buck-bunny-excerpt", status=2)
    return pipeline, name


def build_stages(pipeline: str, episode: str, stages: Sequence[str]) -> dict[str, Path]:
    """Return the output directories of an episode's stages; Nix's own lines go to stderr while it builds."""
    checkout = find_checkout()
    # Nix would name the first stage that is not there, after an error of its own.
    episodes = checkout.evaluate(f".#{pipeline}", "pipeline: builtins.attrNames (pipeline.episodes or { })")
    if episode not in episodes:
        raise _no_episode(pipeline, episode, episodes)
    root = checkout.root
    installables = [f".#{pipeline}.episodes.{episode}.{stage}" for stage in stages]
    # A folder's name would have to be written as Nix reads it.
    with chdir(root):
        finished = nixw(["build", "--no-link", "--json", "-L", *installables])
    if finished.status:
        unexplained = StageError(f"{pipeline}.{episode}: could not be built; what Nix says stands above")
        raise refusal(root, installables[0], finished.log) or unexplained
    # Nix sorts what it prints as it likes, so outputs are known by their names.
    paths = [Path(entry["outputs"]["out"]) for entry in json.loads(finished.output)]
    named = {stage: [path for path in paths if path.name.endswith(f"-reel-{episode}-{stage}")] for stage in stages}
    if missing := [stage for stage, found in named.items() if len(found) != 1]:
        raise StageError(f"{pipeline}.{episode}: Nix named no output of {missing[0]}; is it a stage of this episode?")
    return {stage: found[0] for stage, found in named.items()}


def _no_episode(pipeline: str, episode: str, episodes: Sequence[str]) -> NoSuchTarget:
    like = ", ".join(get_close_matches(episode, episodes, n=_MOST_NAMED, cutoff=0.5))
    hint = f"did you mean {like}?" if like else f"it has {some(episodes, _MOST_NAMED) or 'none'}"
    return NoSuchTarget(f"pipeline '{pipeline}' has no episode '{episode}'; {hint}", like)


def overrides_of(pipeline: str, episode: str) -> Any:
    """Return the corrections that the pipeline has for an episode, as their file says them; None where it has none."""
    attribute = f".#{pipeline}.episodes.{episode}.reviewed.needs.overrides"
    text = "file: if file == null then null else builtins.readFile file"
    with chdir(find_checkout().root):
        finished = nixw(["eval", "--json", attribute, "--apply", text])
    if finished.status:
        raise StageError(f"{pipeline}.{episode}: its corrections cannot be found; what Nix says stands above")
    return parse_yaml(json.loads(finished.output) or "[]", f"overrides of {episode}")
