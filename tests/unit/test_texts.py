"""What one can rely on of texts: writing is read, credits and cards are rejected, a logo is none of them."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
from small_films import RATE, tone
from test_clips import PARAMETERS, SHOTS_PARAMETERS
from test_clips_plan import RULES

from reelgraph.files import read_json
from reelgraph.media.plan import Frames, Marks, Reject, Timeline, Writing, plan
from reelgraph.media.tags import find_logo
from reelgraph.stages import clips, shots, texts

TEXTS_PARAMETERS = {"looks_per_shot": 3, "seconds_between_looks": 4.0, "width": 640}
CREDITS = (
    "Directed by Anna Miller",
    "Written by Paul Smith",
    "Music by Jane Porter",
    "Edited by Tom Baker",
    "Animation Studio",
)


def write(path: Path, shots_text: list[tuple[str, ...]]) -> Path:
    """Write a film of shots of 30 frames, each with its lines of text over a moving picture."""
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=24)
        video.width, video.height, video.pix_fmt = 640, 352, "yuv420p"
        video.options = {"preset": "ultrafast", "crf": "12"}
        audio = container.add_stream("flac", rate=RATE)
        audio.layout = "stereo"
        samples = np.ascontiguousarray(tone(round(len(shots_text) * 30 * RATE / 24)).T).reshape(1, -1)
        frame = av.AudioFrame.from_ndarray(samples, "s16", "stereo")
        frame.sample_rate, frame.pts, frame.time_base = RATE, 0, Fraction(1, RATE)
        for packet in (*audio.encode(frame), *audio.encode(None)):
            container.mux(packet)
        for shot, lines in enumerate(shots_text):
            for number in range(30):
                image = np.full((352, 640, 3), np.random.default_rng(shot).integers(20, 90, 3), np.uint8)
                cv2.circle(image, (320 + 6 * number, 300), 30, (200, 180, 60), -1)
                for row, line in enumerate(lines):
                    place = (40, 60 + 45 * row) if len(lines) > 1 else (20, 40)
                    cv2.putText(image, line, place, cv2.FONT_HERSHEY_SIMPLEX, 0.8, (255, 255, 255), 2, cv2.LINE_AA)
                for packet in video.encode(av.VideoFrame.from_ndarray(image, "rgb24")):
                    container.mux(packet)
        for packet in video.encode(None):
            container.mux(packet)
    return path


@pytest.fixture(scope="module")
def master(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("written") / "film.mkv", [(), CREDITS, ("STUDIO NINE",)])


def test_lines_are_read_and_credits_are_in_no_clip(
    master: Path, run_stage: Callable[..., Path], probed: Callable[[Path], dict[str, Path]]
) -> None:
    inputs = probed(master)
    inputs["shots"] = run_stage(shots.STAGE, inputs, SHOTS_PARAMETERS)
    inputs["texts"] = run_stage(texts.STAGE, inputs, TEXTS_PARAMETERS)
    samples = read_json(inputs["texts"] / "texts.json")["samples"]
    assert [(sample["start"], sample["end"]) for sample in samples] == [(at, at + 10) for at in range(0, 90, 10)]
    assert [len(sample["boxes"]) for sample in samples] == [0, 0, 0, 5, 5, 5, 1, 1, 1]
    assert samples[3]["boxes"][0]["text"].replace(" ", "") == "DirectedbyAnnaMiller"
    again = run_stage(texts.STAGE, {name: path for name, path in inputs.items() if name != "texts"}, TEXTS_PARAMETERS)
    assert (again / "texts.json").read_bytes() == (inputs["texts"] / "texts.json").read_bytes()
    made = read_json(run_stage(clips.STAGE, inputs, PARAMETERS) / "clips.json")
    # A third of all looks find the same corner text: the studio's mark, which is noted and rejects nothing.
    assert [(row["shot"], row["tags"]) for row in made["clips"]] == [(0, []), (2, ["logo"])]
    assert [(reject["rule"], reject["value"]) for reject in made["rejects"] if reject["start"] == 32] == [
        ("credits", 5)
    ]


def planned(*writing: Writing, frames: int = 60) -> list[Any]:
    timeline = Timeline([Fraction(number, 24) for number in range(frames + 1)], Fraction(24))
    return plan([(0, frames)], Frames([99.0] * frames, [9.0] * frames), timeline, RULES, Marks(writing=writing))


def test_a_card_is_rejected_by_its_size_and_a_line_is_not() -> None:
    large = [piece for piece in planned(Writing(0, 20, 1, 0.2)) if isinstance(piece, Reject)]
    assert (large[0].start, large[0].end, large[0].rule, large[0].value, large[0].threshold) == (
        0,
        20,
        "text",
        0.2,
        0.05,
    )
    assert not any(piece.rule == "text" for piece in planned(Writing(0, 20, 1, 0.01)) if isinstance(piece, Reject))


def test_between_looks_that_find_credits_there_are_credits() -> None:
    looks = [
        Writing(at, at + 10, 9 if at in (0, 20, 50) else 0, 0.1 if at in (0, 20, 50) else 0.0)
        for at in range(0, 60, 10)
    ]
    (credits,) = planned(*looks)
    assert (credits.start, credits.end, credits.rule) == (0, 60, "credits")


def test_a_logo_is_what_stays_in_a_corner() -> None:
    corner = {"text": "CHANNEL", "x": 0.02, "y": 0.02, "width": 0.1, "height": 0.05}
    middle = {"text": "Once upon a time", "x": 0.3, "y": 0.4, "width": 0.4, "height": 0.1}
    assert find_logo([{"boxes": [corner]}] * 5 + [{"boxes": []}] * 5) == "CHANNEL"
    assert find_logo([{"boxes": [middle]}] * 10) is None
    assert find_logo([{"boxes": [corner]}] + [{"boxes": []}] * 9) is None
    assert find_logo([]) is None
