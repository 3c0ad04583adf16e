"""What goes wrong in a build ends with one sentence that names the thing, and leaves nothing behind."""

from __future__ import annotations

from pathlib import Path

from real_nix import nixw

EPISODE = "big-buck-bunny-excerpt"
CLICK = "lib.x86_64-linux.python.environments.runner"


def replace(path: Path, old: str, new: str) -> None:
    """Replace ``old``, which must be there once or more, in a file."""
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def test_a_wrong_parameter_is_named_before_any_work(checkout: Path) -> None:
    replace(checkout / "nix/pipelines/smoke.nix", "end_seconds = 230;", 'end_seconds = "late";')
    finished = nixw("build", "--no-link", "-L", f"path:{checkout}#smoke.episodes.big-buck-bunny-excerpt.master")
    assert finished.status != 0
    assert f"reelgraph: {EPISODE}/excerpt: parameters: end_seconds: 'late' is not of type" in finished.log


def test_an_altered_film_is_named(checkout: Path) -> None:
    replace(checkout / "nix/materials.nix", "475fbbf3", "00000000")
    finished = nixw("build", "--no-link", "-L", f"path:{checkout}#smoke.episodes.big-buck-bunny-excerpt.master")
    assert finished.status != 0
    assert f"reelgraph: {EPISODE}/excerpt: " in finished.log and "00000000" in finished.log


def test_a_caption_for_a_clip_that_does_not_exist_is_named(checkout: Path) -> None:
    replace(checkout / "materials/smoke/overrides.yaml", "  start: ", "  start: 9")
    finished = nixw("build", "--no-link", "-L", f"path:{checkout}#smoke.episodes.big-buck-bunny-excerpt.reviewed")
    assert finished.status != 0
    assert f"reelgraph: {EPISODE}/reviewed: " in finished.log and "clip" in finished.log


def test_a_wheel_whose_bytes_differ_from_the_lock_fails_by_name(checkout: Path) -> None:
    lock = checkout / "python/locks/x86_64-linux/runner.txt"
    line = next(line for line in lock.read_text().splitlines() if line.startswith("click=="))
    replace(lock, line, line.split("sha256:")[0] + "sha256:" + "0" * 64)
    finished = nixw("build", "--no-link", "-L", f"path:{checkout}#{CLICK}")
    assert finished.status != 0
    assert f"reelgraph: {line.split(' ')[0]}: could not be fetched with the locked hash" in finished.log
