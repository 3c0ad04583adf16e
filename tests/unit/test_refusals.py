"""What a failed build says of a stage is told with the episode and the file as people know them."""

from __future__ import annotations

from pathlib import Path

import pytest

from reelgraph.graph.refusals import own_sentence, refusal

STORE = "/nix/store/5w6107mr25srfhm9a45hwvb4m5nba4c7"


def test_each_episode_and_file_is_named_once() -> None:
    log = (
        "reel-iiw> reelgraph: iiw-105/shots: xx1lcn699n24dpc492cwiryncjw25966-iiw-105.json: corrects another master\n"
        "reel-iiw> reelgraph: iiw-106/shots: is damaged\n"
    )
    ending = f"error: builder for '{STORE}-reel-iiw-105-shots.drv' failed with exit code 1;\n"
    said = ["iiw-105/shots: iiw-105.json: corrects another master", "iiw-106/shots: is damaged"]
    assert own_sentence(log + ending + log.replace("reel-iiw>", ">")).splitlines() == said


@pytest.mark.parametrize(
    "log",
    [
        f"error: getting status of '{STORE}-source/nix/x.nix': No such file or directory\n",
        f"error: path '{STORE}-source/nix/x.nix' does not exist\n",
        "error: Path 'nix/x.nix' in the repository \"/a\" is not tracked by Git.\n",
        "error: Path 'nix/x.nix' does not exist in Git repository \"/a\".\n",
    ],
)
def test_a_file_that_git_does_not_know_is_named_whichever_nix_misses_it(log: str, tmp_path: Path) -> None:
    (tmp_path / "nix").mkdir()
    (tmp_path / "nix/x.nix").touch()
    assert str(refusal(tmp_path, ".#a", log)) == ".#a: git does not know nix/x.nix; run: git add nix/x.nix"


def test_what_no_stage_said_is_told_as_it_is() -> None:
    assert own_sentence("error: reelgraph: model 'wan27' is not locked\n") == "model 'wan27' is not locked"
    refused = "error: reelgraph: stage 'text' reaches a\n       reelgraph: stage 'text' reaches b\n"
    assert own_sentence(refused).splitlines() == ["stage 'text' reaches a", "stage 'text' reaches b"]
    assert own_sentence("error: the disk is full\n") == "error: the disk is full\n"
