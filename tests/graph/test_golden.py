"""The whole smoke graph as data: a change of it is seen in review."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]
GOLDEN = Path(__file__).parent / "golden/smoke.json"
MEND = "./nixw eval --json .#smoke.graph | python3 -m json.tool --sort-keys > tests/graph/golden/smoke.json"


def test_the_graph_is_the_reviewed_one() -> None:
    command = [ROOT / "nixw", "eval", "--json", f"{ROOT}#smoke.graph"]
    graph = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
    assert graph == json.loads(GOLDEN.read_text()), f"if this is meant: {MEND}"
