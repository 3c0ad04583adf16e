"""What one can rely on of the plan for an episode's clips, for any shots, brightness, motion and frame rate."""

from __future__ import annotations

from fractions import Fraction
from itertools import accumulate, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reelgraph.media.plan import Clip, Frames, Reject, Rules, Timeline, plan

RULES = Rules((17, 25, 33, 49), 2, 10, 0.1, 0.95, text_boxes=5, text_area=0.05)


def timeline(frames: int, source: Fraction = Fraction(24), clips: Fraction = Fraction(24)) -> Timeline:
    return Timeline([number / source for number in range(frames + 1)], clips)


def tiles(lengths: list[int]) -> list[tuple[int, int]]:
    return list(pairwise(accumulate([0, *lengths])))


def planned(lengths: list[int], luma: dict[int, float] | None = None, change: float = 5.0) -> list[Clip | Reject]:
    """Plan bright moving shots at 24 frames a second, with the luma of single frames changed."""
    frames = sum(lengths)
    bright = [(luma or {}).get(number, 100.0) for number in range(frames)]
    return plan(tiles(lengths), Frames(bright, [change] * frames), timeline(frames), RULES)


def summary(pieces: list[Clip | Reject]) -> list[tuple[int, int, str]]:
    return [(piece.start, piece.end, piece.rule if isinstance(piece, Reject) else "clip") for piece in pieces]


def test_a_shot_is_tiled_with_the_longest_clips_that_fit() -> None:
    assert summary(planned([130])) == [
        (0, 49, "clip"),
        (49, 98, "clip"),
        (98, 123, "clip"),
        (123, 130, "remainder"),
    ]


def test_frames_beside_a_cut_are_left_out_but_not_at_the_ends_of_the_episode() -> None:
    assert summary(planned([19, 29, 19])) == [
        (0, 17, "clip"),
        (17, 19, "trim"),
        (19, 21, "trim"),
        (21, 46, "clip"),
        (46, 48, "trim"),
        (48, 50, "trim"),
        (50, 67, "clip"),
    ]


def test_a_short_shot_is_rejected_as_too_short() -> None:
    assert summary(planned([19, 20, 19]))[2:5] == [(19, 21, "trim"), (21, 37, "too-short"), (37, 39, "trim")]


def test_a_shot_shorter_than_the_trim_is_trimmed_whole() -> None:
    assert summary(planned([19, 3, 19]))[2:4] == [(19, 22, "trim"), (22, 24, "trim")]


def test_black_frames_are_dropped_and_the_rest_of_the_shot_kept() -> None:
    pieces = planned([60], luma=dict.fromkeys(range(20, 30), 3.0))
    assert summary(pieces) == [
        (0, 17, "clip"),
        (17, 20, "remainder"),
        (20, 30, "black"),
        (30, 55, "clip"),
        (55, 60, "remainder"),
    ]
    assert pieces[2] == Reject(20, 30, "black", 3.0, 10)


def test_a_still_shot_is_rejected_whole_between_its_trims() -> None:
    pieces = planned([40, 40, 40], change=0.05)
    assert summary(pieces)[1:4] == [(38, 40, "trim"), (40, 42, "trim"), (42, 78, "still")]
    assert pieces[3] == Reject(42, 78, "still", 1.0, 0.95)


def test_a_black_shot_is_called_black_and_not_still() -> None:
    assert summary(planned([40], luma=dict.fromkeys(range(40), 0.0), change=0.0)) == [(0, 40, "black")]


@pytest.mark.parametrize(
    ("source", "clips", "shown"),
    [
        (24, 24, (0, 1, 2, 3, 4, 5, 6, 7)),
        (25, 24, (0, 1, 2, 3, 4, 5, 6, 7)),
        (24, 16, (0, 2, 3, 5, 6, 8, 9, 11)),
        (50, 25, (0, 2, 4, 6, 8, 10, 12, 14)),
        (12, 24, (0, 0, 1, 1, 2, 2, 3, 3)),
    ],
)
def test_another_rate_shows_the_nearest_frame_and_never_retimes(
    source: int, clips: int, shown: tuple[int, ...]
) -> None:
    assert timeline(100, Fraction(source), Fraction(clips)).sample(0, 8) == shown
    start = 30
    assert timeline(100, Fraction(source), Fraction(clips)).sample(start, 8) == tuple(start + frame for frame in shown)


@given(st.integers(0, 900), st.integers(1, 60), st.sampled_from([24, 25, Fraction(24000, 1001), 30, 50, 12]))
def test_rounded_time_stamps_do_not_change_the_frames(start: int, number: int, rate: Fraction) -> None:
    exact = [frame / Fraction(rate) for frame in range(1001)]
    rounded = [Fraction(round(time * 1000), 1000) for time in exact]
    for clips in (Fraction(rate), Fraction(rate) / 2):
        assert Timeline(rounded, clips).frame_at(start, number) == Timeline(exact, clips).frame_at(start, number)


@given(
    st.data(),
    st.lists(st.integers(1, 150), min_size=1, max_size=8),
    st.sampled_from([Fraction(12), Fraction(24000, 1001), Fraction(24), Fraction(25), Fraction(60)]),
    st.sampled_from([Fraction(16), Fraction(24), Fraction(25)]),
    st.integers(0, 6),
)
def test_every_frame_is_in_one_clip_or_one_reject_and_no_clip_leaves_its_shot(
    data: st.DataObject, lengths: list[int], source: Fraction, fps: Fraction, trim: int
) -> None:
    frames, shots = sum(lengths), tiles(lengths)
    luma = data.draw(st.lists(st.sampled_from([0.0, 9.9, 10.0, 200.0]), min_size=frames, max_size=frames))
    change = data.draw(st.lists(st.sampled_from([0.0, 0.1, 4.0]), min_size=frames, max_size=frames))
    rules = Rules((17, 25, 33, 49), trim, 10, 0.1, 0.95, 5, 0.05)
    times = timeline(frames, source, fps)
    pieces = plan(shots, Frames(luma, change), times, rules)
    assert [(piece.start, piece.end) for piece in pieces] == tiles([piece.end - piece.start for piece in pieces])
    assert pieces[-1].end == frames
    for piece in pieces:
        assert piece.start < piece.end
        if isinstance(piece, Clip):
            first, last = shots[piece.shot]
            assert first + (trim if first else 0) <= piece.start
            assert piece.end <= last - (trim if last < frames else 0)
            assert len(piece.frames) in rules.frame_counts
            assert list(piece.frames) == sorted(piece.frames)
            assert piece.frames[0] == piece.start
            assert piece.frames[-1] == piece.end - 1
            assert all(luma[frame] >= rules.black_luma for frame in range(piece.start, piece.end))
            real = (len(piece.frames) - 1) / fps
            assert abs((piece.frames[-1] - piece.frames[0]) / source - real) <= 1 / source
