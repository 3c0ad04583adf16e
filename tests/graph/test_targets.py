"""A target that is not there, or that cannot be evaluated, is one sentence that says what to do."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from evaluation import ROOT

from reelgraph.errors import StageError
from reelgraph.graph.evaluate import Checkout, load_graph
from reelgraph.words.builds import build_stages

MANIFEST = "materials/training-data/iiw_english_source_manifest.json"


def refused(checkout: Path, target: str, flake: str | None = None) -> tuple[str, int]:
    """Return what is said of a target, and the exit status."""
    with pytest.raises(StageError) as caught:
        load_graph(Checkout(checkout), target, flake)
    return str(caught.value), caught.value.status


def as_repository(checkout: Path) -> Path:
    """Make a copy of the checkout a git repository, all of it known."""
    for command in (["init", "--quiet"], ["add", "--all"]):
        subprocess.run(["git", *command], cwd=checkout, check=True)
    return checkout


@pytest.mark.parametrize(
    ("target", "hint"),
    [
        ("smok", "did you mean smoke?"),
        ("smoke.chekpoint", "did you mean checkpoint?"),
        ("nowhere-near", "try wan22-smoke, smoke or smoke.checkpoint"),
        ("iiw.checkpoint", "the licensed pipelines are there once their manifest is: reel manifest build DIR"),
    ],
)
def test_a_target_that_is_not_there_is_named_with_those_like_it(target: str, hint: str) -> None:
    assert refused(ROOT, target) == (f"there is no target '{target}'; {hint}", 2)


@pytest.mark.parametrize(
    ("pipeline", "episode", "sentence"),
    [
        ("smoke", "nobody", "pipeline 'smoke' has no episode 'nobody'; it has big-buck-bunny-excerpt"),
        (
            "smoke",
            "big-buck-bunny",
            "pipeline 'smoke' has no episode 'big-buck-bunny'; did you mean big-buck-bunny-excerpt?",
        ),
        ("smok", "big-buck-bunny-excerpt", "there is no target 'smok'; did you mean smoke?"),
    ],
)
def test_an_episode_that_the_pipeline_does_not_have_is_named_before_nix_is_asked_to_build(
    pipeline: str, episode: str, sentence: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(ROOT)
    with pytest.raises(StageError) as caught:
        build_stages(pipeline, episode, ["source"])
    assert (str(caught.value), caught.value.status) == (sentence, 2)
    assert capfd.readouterr().err == ""


def test_a_licensed_target_says_that_git_does_not_know_its_manifest(checkout: Path) -> None:
    (as_repository(checkout) / MANIFEST).write_text("{}")
    said = f"there is no target 'iiw'; git does not know {MANIFEST}; run: git add nix materials"
    assert refused(checkout, "iiw") == (said, 2)


def test_what_reelgraph_says_of_a_target_stands_alone(checkout: Path) -> None:
    path = checkout / "nix/pipelines/smoke.nix"
    path.write_text(
        path.read_text().replace("speech = models.whisper-tiny-en", "speech = models.whisper-large-v3-turbo")
    )
    said, status = refused(checkout, "smoke", f"path:{checkout}")
    assert said.startswith("model 'whisper-large-v3-turbo' is not locked") and status == 3
    assert said.count("\n") == 0


def test_a_file_that_a_pipeline_names_and_git_does_not_know_is_told(checkout: Path) -> None:
    path = as_repository(checkout) / "nix/pipelines/smoke.nix"
    path.write_text(path.read_text().replace("segments = 3;", "segments = import ./three.nix;"))
    said, status = refused(checkout, "smoke.checkpoint")
    assert (status, said) == (
        3,
        ".#smoke.checkpoint: nix/pipelines/three.nix is not there; write it, or mend the line that names it",
    )
    (checkout / "nix/pipelines/three.nix").write_text("3")
    said, status = refused(checkout, "smoke.checkpoint")
    told = "git does not know nix/pipelines/three.nix; run: git add nix/pipelines/three.nix"
    assert (status, said) == (3, f".#smoke.checkpoint: {told}")


def test_a_mistake_in_nix_is_told_in_the_words_of_nix(checkout: Path) -> None:
    path = checkout / "nix/pipelines/smoke.nix"
    path.write_text(path.read_text().replace("segments = 3;", "segments = three;"))
    said, status = refused(checkout, "smoke", f"path:{checkout}")
    assert said.splitlines()[0] == f"path:{checkout}#smoke: cannot be evaluated" and status == 1
    assert "undefined variable 'three'" in said and "not writing" not in said


def test_a_shallow_clone_evaluates_the_revisions_that_it_has_and_says_how_to_get_others(
    checkout: Path, tmp_path: Path
) -> None:
    identity = ["-c", "user.name=a", "-c", "user.email=a@b.invalid"]
    as_repository(checkout)
    for message in ("first", "second", "third"):
        (checkout / "README.md").write_text(message)
        subprocess.run(["git", *identity, "commit", "--quiet", "--all", "-m", message], cwd=checkout, check=True)
    clone = tmp_path / "shallow"
    subprocess.run(["git", "clone", "--quiet", "--depth", "2", f"file://{checkout}", clone], check=True)
    graph = load_graph(Checkout(clone), "smoke.bible", Checkout(clone).flake_at("HEAD~1"))
    assert "smoke/bible" in graph.stages
    with pytest.raises(StageError) as caught:
        Checkout(clone).flake_at("HEAD~2")
    assert caught.value.status == 3
    assert str(caught.value) == (
        f"git knows no revision 'HEAD~2' in {clone}, and it is no path either; this clone is shallow: fetch its older "
        "revisions with git fetch --unshallow"
    )


def test_an_unpacked_archive_has_no_revisions(checkout: Path) -> None:
    with pytest.raises(StageError, match=r"^/.*: is no git checkout; clone the project to compare revisions$"):
        Checkout(checkout).flake_at("HEAD")


def test_an_earlier_revision_that_is_not_there_is_named(checkout: Path) -> None:
    with pytest.raises(StageError, match=r"^git knows no revision 'HEAD~3' in .*, and it is no path either$"):
        Checkout(as_repository(checkout)).flake_at("HEAD~3")
