"""The README's picture is that of the graph as it is now."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from reelgraph.cli.main import main
from reelgraph.graph.draw import draw_svg
from reelgraph.graph.evaluate import find_checkout
from reelgraph.graph.plan import make_plan

ROOT = Path(__file__).parents[2]


def test_the_readmes_picture_is_current() -> None:
    plan = make_plan(find_checkout(ROOT), "wan22-smoke", reasons=False)
    mend = "mend it: ./nixw run .#reel -- graph wan22-smoke --plain -o docs/graph.svg"
    assert draw_svg(plan, plain=True) == (ROOT / "docs/graph.svg").read_text(encoding="utf-8"), mend


def test_a_picture_goes_into_a_folder_that_is_not_there_yet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    place = tmp_path / "new/graph.svg"
    finished = CliRunner().invoke(main, ["graph", "smoke.bible", "-o", str(place)])
    assert (finished.exit_code, place.is_file()) == (0, True), finished.output
