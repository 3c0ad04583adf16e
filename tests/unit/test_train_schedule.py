"""A plan sees each clip as often as asked, in an order that nothing later can change."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest
from diffsynth.diffusion import FlowMatchScheduler
from hypothesis import given
from hypothesis import settings as run_settings
from hypothesis import strategies as st

from reelgraph.errors import StageError
from reelgraph.train.schedule import (
    Clip,
    Settings,
    held_out_shots,
    held_out_steps,
    learning_rate_at,
    plan_epoch,
    plan_segments,
    timestep_at,
    timestep_indices,
    token_count,
)

SETTINGS = Settings(
    seed=1,
    epochs=1,
    dataset_repeat=3,
    gradient_accumulation=4,
    segments_per_epoch=2,
    learning_rate=1e-4,
    warmup_steps=5,
    weight_decay=0.01,
    gradient_clip=1.0,
    lora_rank=4,
    timestep_shift=5.0,
    expert="all",
    timestep_minimum=0.0,
    timestep_maximum=1.0,
    first_frame_probability=0.5,
    token_limit=0,
    held_out_shots=0,
    held_out_timesteps=[100, 900],
)


def some_clips(count: int) -> list[Clip]:
    return [Clip("ep", f"clip-{number}", number // 2, f"{number:064x}", 100, 5) for number in range(count)]


counts = st.integers(min_value=1, max_value=12)


@run_settings(deadline=None)
@given(counts, st.integers(1, 4), st.integers(1, 5), st.integers(1, 3), st.integers(1, 3))
def test_segments_hold_every_clip_as_often_as_asked_and_nothing_else(clips, repeat, accumulation, parts, epochs):
    settings = replace(
        SETTINGS, dataset_repeat=repeat, gradient_accumulation=accumulation, segments_per_epoch=parts, epochs=epochs
    )
    if -(-clips * repeat // accumulation) < parts:
        with pytest.raises(StageError, match="segments_per_epoch"):
            plan_segments(some_clips(clips), settings)
        return
    segments = plan_segments(some_clips(clips), settings)
    steps = [step for segment in segments for step in segment]
    assert len(segments) == parts * epochs
    assert [step.step for step in steps] == list(range(1, len(steps) + 1))
    seen = Counter(micro_step.clip for step in steps for micro_step in step.micro_steps)
    assert seen == {clip.clip: repeat * epochs for clip in some_clips(clips)}
    assert max(map(len, segments)) - min(map(len, segments)) <= 1


@run_settings(deadline=None)
@given(counts, st.integers(1, 3))
def test_one_epoch_more_leaves_the_segments_before_as_they_are(clips, epochs):
    settings = replace(SETTINGS, epochs=epochs, segments_per_epoch=1)
    longer = replace(settings, epochs=epochs + 1)
    assert plan_segments(some_clips(clips), longer)[:epochs] == plan_segments(some_clips(clips), settings)


def test_a_clip_more_does_not_change_noise_and_timestep_of_the_others():
    few = {(m.clip, n) for n, m in enumerate_repeats(plan_epoch(some_clips(4), 0, SETTINGS))}
    many = {(m.clip, n) for n, m in enumerate_repeats(plan_epoch(some_clips(5), 0, SETTINGS))}
    assert few < many


def enumerate_repeats(micro_steps):
    for micro_step in micro_steps:
        yield (micro_step.timestep_index, micro_step.noise_seed, micro_step.first_frame), micro_step


def test_no_two_micro_steps_share_their_noise():
    micro_steps = plan_epoch(some_clips(10), 0, SETTINGS) + plan_epoch(some_clips(10), 1, SETTINGS)
    assert len({micro_step.noise_seed for micro_step in micro_steps}) == len(micro_steps)


def test_the_order_of_clips_differs_between_repeats_and_seeds():
    names = [micro_step.clip for micro_step in plan_epoch(some_clips(10), 0, SETTINGS)]
    assert names[:10] != names[10:20]
    assert names != [micro_step.clip for micro_step in plan_epoch(some_clips(10), 0, replace(SETTINGS, seed=2))]


def test_timesteps_are_those_of_diffsynths_scheduler():
    scheduler = FlowMatchScheduler("Wan")
    scheduler.set_timesteps(1000, training=True, shift=5)
    assert max(abs(timestep_at(index, 5.0) - float(scheduler.timesteps[index])) for index in range(1000)) < 2e-3


def test_timesteps_stay_within_the_boundaries_of_an_expert():
    settings = replace(SETTINGS, timestep_minimum=0.417, timestep_maximum=1.0, dataset_repeat=40)
    indices = [micro_step.timestep_index for micro_step in plan_epoch(some_clips(10), 0, settings)]
    assert timestep_indices(settings) == (417, 1000)
    assert 417 <= min(indices) < 450 and 950 < max(indices) < 1000
    assert round(timestep_at(417, 5.0)) == 875


def test_a_still_is_never_given_its_only_frame():
    still = Clip("ep", "still", 0, "0" * 64, 20, 1)
    settings = replace(SETTINGS, first_frame_probability=1.0)
    assert not any(micro_step.first_frame for micro_step in plan_epoch([still], 0, settings))
    assert all(micro_step.first_frame for micro_step in plan_epoch(some_clips(2), 0, settings))


def test_the_learning_rate_rises_linearly_and_then_stays():
    rates = [learning_rate_at(step, SETTINGS) for step in range(1, 8)]
    assert rates == [2e-5, 4e-5, 6e-5, 8e-5, 1e-4, 1e-4, 1e-4]
    assert learning_rate_at(1, replace(SETTINGS, warmup_steps=0)) == 1e-4


def test_whole_shots_are_held_out():
    clips, settings = some_clips(10), replace(SETTINGS, held_out_shots=2)
    shots = held_out_shots(clips, settings)
    assert len(shots) == 2
    assert len(held_out_steps([clip for clip in clips if (clip.episode, clip.shot) in shots], settings)) == 4 * 2


def test_holding_out_every_shot_is_refused():
    with pytest.raises(StageError, match="held_out_shots is 5, but the dataset has 5 shots"):
        held_out_shots(some_clips(10), replace(SETTINGS, held_out_shots=5))


def test_an_empty_timestep_range_is_refused():
    with pytest.raises(StageError, match=r"timestep_minimum 0\.5 is not below timestep_maximum 0\.5"):
        timestep_indices(replace(SETTINGS, timestep_minimum=0.5, timestep_maximum=0.5))


def test_tokens_are_those_of_the_released_model():
    assert token_count([48, 21, 30, 52]) == 8190
