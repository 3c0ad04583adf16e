"""What graph tests share: a checkout to edit, and what it evaluates to; nothing is built."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from evaluation import evaluate


@pytest.fixture
def derivations() -> Callable[[Path], dict[str, str]]:
    """Return the derivation path of every smoke stage of a checkout, by stage name."""
    return lambda checkout: evaluate(checkout, "smoke.stages", "builtins.mapAttrs (_: stage: stage.drvPath)")
