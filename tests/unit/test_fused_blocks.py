"""What a Wan block computes on CUDA is what it computes elsewhere; its kernels run interpreted, no GPU is here."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from reelgraph.determinism import FIXED_ENVIRONMENT
from reelgraph.train.memory import WAN22

HERE = Path(__file__).parent


def ran(script: str, **environment: str) -> Any:
    """Return what a script beside this one prints as JSON; Triton decides at import whether it interprets."""
    finished = subprocess.run(
        [sys.executable, HERE / script],
        env={**os.environ, **FIXED_ENVIRONMENT, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr[-3000:]
    return json.loads(finished.stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def probed() -> dict[str, Any]:
    """All that the probe prints."""
    return ran("fused_probe.py", TRITON_INTERPRET="1")


@pytest.fixture(scope="module")
def compared(probed) -> list[dict[str, Any]]:
    """A LoRA whose rank is padded on an image, one whose rank is not on a text, and one on weights in eight bits."""
    return probed["blocks"]


def test_prediction_and_gradients_are_those_of_the_plain_blocks(compared):
    assert [(row["gradients"], row["difference"] < 1e-5) for row in compared[:2]] == [(40, True), (40, True)]


def test_eight_bits_change_prediction_and_gradients_little(compared):
    # A number of eight bits is off by up to a sixteenth; interpreted, it is rounded towards zero besides.
    assert 1e-3 < compared[2]["difference"] < 0.2


def test_a_lora_beside_eight_bits_keeps_its_digits(probed):
    # Eight bits alone would be off by up to a sixteenth; interpreted, they are rounded towards zero, to an eighth.
    assert {case: off < 2**-7 for case, off in probed["lora"].items()} == dict.fromkeys(
        ("0.01", "0.1", "1.0", "larger"), True
    )
    assert all(probed["lora"].values())


def test_a_lora_of_any_rank_is_in_its_places_and_nowhere_else(probed):
    assert probed["places"] == [5, 16, 24]


def test_every_recomputation_gives_the_same_bytes(compared):
    assert [row["same modes"] for row in compared] == [["none", "feed-forward", "full"]] * 3


def test_the_model_keeps_its_weights_and_computes_as_before(compared):
    assert [(row["same weights"], row["same plain"]) for row in compared] == [(True, True)] * 3


def test_the_preflight_knows_what_a_block_keeps():
    kept = ran("fused_memory.py")
    assert kept == {mode: pytest.approx(counted, rel=0.02) for mode, counted in WAN22.kept_bytes.items()}
    assert all(kept[mode] <= counted for mode, counted in WAN22.kept_bytes.items())


def test_every_kernel_compiles_for_hopper():
    kernels = ran("fused_kernels.py")
    assert {target for target, _ in kernels.values()} == {"sm_90a"}
    # Wide accesses only: one number at a time would take several times as long. The eight of a table that say where a
    # LoRA's weights are and go are read alone.
    narrow = {name: count for name, (_, count) in kernels.items()}
    assert narrow == {**dict.fromkeys(narrow, 0), "_copy of A": 8, "_copy of B": 8}
