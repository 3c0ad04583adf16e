"""The whole smoke graph as data: a change of it is seen in review."""

from __future__ import annotations

import json
from pathlib import Path

from conftest import ROOT, evaluate

GOLDEN = Path(__file__).parent / "golden/smoke.json"
MEND = "./nixw eval --json .#smoke.graph | python3 -m json.tool --sort-keys > tests/graph/golden/smoke.json"


def test_the_graph_is_the_reviewed_one() -> None:
    assert evaluate(ROOT, "smoke.graph") == json.loads(GOLDEN.read_text()), f"if this is meant: {MEND}"
