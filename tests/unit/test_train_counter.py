"""Draws depend on what they are for, not on what was drawn before."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from reelgraph.train.counter import draw_fraction, draw_integer, draw_normal, draw_uniform

seeds = st.integers(min_value=0, max_value=2**63)
labels = st.lists(st.one_of(st.integers(), st.text(max_size=8)), max_size=4)


@given(seeds, labels)
def test_a_draw_does_not_depend_on_draws_before_it(seed, what):
    first = draw_integer(seed, *what)
    draw_normal((3,), seed, "something else")
    np.random.default_rng(0).random()
    assert draw_integer(seed, *what) == first


@given(seeds, labels)
def test_integers_survive_json_and_fractions_are_below_one(seed, what):
    assert 0 <= draw_integer(seed, *what) < 2**53
    assert 0 <= draw_fraction(seed, *what) < 1


def test_labels_are_told_apart_even_when_their_texts_join_alike():
    assert draw_integer(1, "ab", "c") != draw_integer(1, "a", "bc")
    assert draw_integer(1, "epoch", 1) != draw_integer(1, "epoch", 2)
    assert draw_integer(1, "epoch") != draw_integer(2, "epoch")


def test_draws_stay_what_they_are():
    """Changing these numbers changes every trained checkpoint."""
    assert draw_integer(22, "noise", 0, 0, "episode/clip") == 4787968933455648
    assert draw_normal((4,), 22, "noise").tolist() == [
        0.34300699830055237,
        0.6473644971847534,
        -0.31888464093208313,
        1.1875710487365723,
    ]
    assert draw_uniform((2,), 0.5, 22, "lora").tolist() == [-0.09667319059371948, 0.38559913635253906]


def test_normal_numbers_are_standard_normal():
    values = draw_normal((100_000,), 7, "check")
    assert values.dtype == np.float32
    assert abs(values.mean()) < 0.01
    assert abs(values.std() - 1) < 0.01


def test_uniform_numbers_fill_their_range():
    values = draw_uniform((10_000,), 0.25, 7, "check")
    assert values.min() >= -0.25 and values.max() < 0.25
    assert values.max() - values.min() > 0.49
