"""What one can rely on of transitions: cuts are cuts, and fades, irises, dissolves and flashes are not."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reelgraph.media.transitions import Pictures, Transition, Votes, network_votes, runs, transitions

BLACK = 10


def still(seed: int, count: int = 1) -> np.ndarray:
    """Return ``count`` equal thumbnails of a picture that ``seed`` decides."""
    picture = np.random.default_rng(seed).integers(60, 220, (9, 16)).astype(np.uint8)
    return np.repeat(picture[None], count, axis=0)


def ramp(picture: np.ndarray, count: int, up: bool) -> np.ndarray:
    """Return a picture that fades in or out, from or to black."""
    shares = np.linspace(0, 1, count + 2)[1:-1]
    return np.stack([(picture[0] * share).astype(np.uint8) for share in (shares if up else shares[::-1])])


def black(count: int) -> np.ndarray:
    return np.zeros((count, 9, 16), np.uint8)


def found(
    *parts: np.ndarray, adaptive: tuple[int, ...] = (), network: tuple[int, ...] = (), slow=()
) -> list[Transition]:
    film = np.concatenate(parts)
    luma = [float(picture.mean()) for picture in film]
    return transitions(Pictures(film), luma, BLACK, adaptive, [Votes(frame, 0.9) for frame in network], slow)


def test_a_cut_is_on_its_frame_whoever_votes() -> None:
    for votes in ({"adaptive": (30,)}, {"network": (30,)}, {"adaptive": (30,), "network": (31,)}):
        (cut,) = found(still(1, 30), still(2, 30), **votes)
        assert (cut.kind, cut.frame, cut.start, cut.end) == ("cut", 30, 30, 30)
        assert (cut.adaptive, cut.network) == ("adaptive" in votes, "network" in votes)


def test_a_fade_through_black_is_no_cut_and_its_shot_starts_in_the_black() -> None:
    parts = still(1, 30), ramp(still(1), 12, up=False), black(10), ramp(still(2), 12, up=True), still(2, 30)
    (fade,) = found(*parts, adaptive=(40, 53), network=(41,))
    assert (fade.kind, fade.frame) == ("fade", 47)
    assert fade.start in range(28, 32) and fade.end in range(62, 66)
    assert (fade.adaptive, fade.network) == (True, True)


def test_a_fade_at_the_start_or_the_end_starts_no_shot() -> None:
    fades = found(
        black(5), ramp(still(1), 12, up=True), still(1, 20), ramp(still(1), 12, up=False), black(5), adaptive=(7,)
    )
    assert [(fade.kind, fade.frame) for fade in fades] == [("fade", None), ("fade", None)]


def test_a_cut_to_black_stays_a_cut() -> None:
    cuts = found(still(1, 30), black(12), still(2, 30), adaptive=(30, 42))
    assert [(cut.kind, cut.frame) for cut in cuts] == [("cut", 30), ("cut", 42)]


def test_an_iris_is_told_from_a_fade() -> None:
    picture = still(3)[0]
    rows, columns = np.mgrid[0:9, 0:16]
    distance = np.hypot((rows - 4) * 1.8, columns - 7.5)
    closing = [np.where(distance <= radius, picture, 0).astype(np.uint8) for radius in np.linspace(9, 1.5, 12)]
    (iris,) = found(still(3, 30), np.stack(closing), black(10), still(4, 20), adaptive=(52,))[:1]
    assert iris.kind == "iris"


def test_a_dissolve_is_one_and_its_shot_starts_in_its_middle() -> None:
    first, second = still(1).astype(float), still(2).astype(float)
    blend = np.concatenate([first * (1 - share) + second * share for share in np.linspace(0, 1, 14)[1:-1]])
    (dissolve,) = found(still(1, 30), blend.astype(np.uint8), still(2, 30), network=(36,), slow=((29, 43),))
    assert (dissolve.kind, dissolve.frame) == ("dissolve", 36)
    assert dissolve.start <= 30 and dissolve.end >= 42


@pytest.mark.parametrize("length", [1, 2, 4])
def test_a_flash_splits_no_shot(length: int) -> None:
    white = np.full((length, 9, 16), 255, np.uint8)
    (flash,) = found(still(1, 30), white, still(1, 30), adaptive=(30, 30 + length))
    assert (flash.kind, flash.frame, flash.start, flash.end) == ("flash", None, 30, 30 + length)


def test_the_network_marks_the_last_frame_before_a_cut() -> None:
    assert network_votes([0, 0, 0.6, 0.9, 0.6, 0, 0, 0.7], 0.5) == [Votes(4, 0.9)]


@given(st.lists(st.booleans(), max_size=40))
def test_runs_are_where_flags_hold(flags: list[bool]) -> None:
    held = [index for start, end in runs(flags) for index in range(start, end)]
    assert held == [index for index, flag in enumerate(flags) if flag]


@given(st.data(), st.integers(2, 60))
def test_whatever_is_seen_every_transition_lies_in_the_film(data: st.DataObject, frames: int) -> None:
    greys = data.draw(st.lists(st.sampled_from([0, 5, 40, 200, 255]), min_size=frames, max_size=frames))
    film = np.stack([np.full((9, 16), grey, np.uint8) for grey in greys])
    cuts = data.draw(st.sets(st.integers(1, frames - 1), max_size=5))
    net = data.draw(st.sets(st.integers(1, frames - 1), max_size=5))
    luma = [float(grey) for grey in greys]
    for change in transitions(Pictures(film), luma, BLACK, sorted(cuts), [Votes(frame, 0.9) for frame in sorted(net)]):
        assert 0 <= change.start <= change.end <= frames
        assert change.frame is None or 0 < change.frame < frames
