"""Noise levels for LTX-2: as its own trainer draws them, to the thousandth, and each for itself."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from reelgraph.train.counter import draw_normal
from reelgraph.train.ltx_schedule import LtxSettings, logit_normal_index, shift_for, stretched_logit_normal
from reelgraph.train.schedule import Clip, plan_segments

SETTINGS = LtxSettings(
    seed=1,
    epochs=1,
    dataset_repeat=4000,
    gradient_accumulation=1,
    segments_per_epoch=1,
    learning_rate=1e-4,
    warmup_steps=0,
    weight_decay=0.01,
    gradient_clip=1.0,
    lora_rank=4,
    timestep_shift=1.0,
    expert="all",
    timestep_minimum=0.0,
    timestep_maximum=1.0,
    first_frame_probability=0.5,
    token_limit=0,
    held_out_shots=0,
    held_out_timesteps=[],
    uniform_probability=0.0,
)
# ltx_trainer.timestep_samplers at 400fd310, run once with 400,000 draws: quantiles 0.1, 0.5, 0.9 of the share of noise.
REFERENCE = {1024: (0.308, 0.679, 0.902), 4096: (0.502, 0.826, 0.954)}


def drawn(tokens: int, settings: LtxSettings = SETTINGS) -> list[float]:
    clip = Clip("ep", "clip", 0, "p", tokens, 5)
    steps = plan_segments([clip], settings, logit_normal_index)[0]
    return sorted(1 - step.micro_steps[0].timestep_index / 1000 for step in steps)


@pytest.mark.parametrize(("tokens", "shift"), [(1024, 0.95), (4096, 2.05), (2560, 1.5)])
def test_longer_clips_are_shifted_towards_noise(tokens, shift):
    assert math.isclose(shift_for(tokens), shift)


@pytest.mark.parametrize("tokens", REFERENCE)
def test_the_distribution_is_the_trainers_own(tokens):
    shares = drawn(tokens)
    found = [shares[int(len(shares) * quantile)] for quantile in (0.1, 0.5, 0.9)]
    assert found == pytest.approx(REFERENCE[tokens], abs=0.02)


def test_a_share_of_the_noise_levels_is_drawn_evenly():
    few = drawn(4096)
    even = drawn(4096, replace(SETTINGS, uniform_probability=1.0))
    assert sum(share < 0.25 for share in few) < 0.04 * len(few)
    assert sum(share < 0.25 for share in even) == pytest.approx(0.25 * len(even), rel=0.1)


def test_every_share_of_noise_lies_between_clean_and_noise():
    for fraction in (0.0, 1e-9, 0.001, 0.5, 0.999, 1 - 2**-53):
        assert 0 <= stretched_logit_normal(fraction, 2.05) <= 1


def test_a_draw_depends_on_its_own_labels_alone():
    clip = Clip("ep", "clip", 0, "p", 2000, 5)
    assert logit_normal_index(clip, SETTINGS, 0, 7, "x") == logit_normal_index(clip, SETTINGS, 0, 7, "x")
    assert len({logit_normal_index(clip, SETTINGS, 0, n, "x") for n in range(50)}) > 20


def test_picture_and_sound_get_noise_of_their_own():
    assert not (draw_normal((8,), 5) == draw_normal((8,), 5, "sound")).any()
