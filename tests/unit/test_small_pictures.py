"""The pictures that shots are looked for in look the same whatever the master's format is."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from scenedetect import AdaptiveDetector, FrameTimecode

from reelgraph.media.small import small_pictures
from reelgraph.stages.shots import ScoringDetector

FRAMES = 3


def scene(width: int, height: int) -> np.ndarray:
    """Return an RGB picture with soft colours in every corner, black and white in the middle."""
    rows, columns = np.mgrid[0 : 1 : height * 1j, 0 : 1 : width * 1j]
    picture = np.stack([columns * 200 + 20, rows * 200 + 20, (1 - columns) * 180 + 30], axis=2)
    picture[height // 3 : height * 2 // 3, width // 3 : width // 2] = 0
    picture[height // 3 : height * 2 // 3, width // 2 : width * 2 // 3] = 255
    return np.ascontiguousarray(picture.astype(np.uint8))


def write(path: Path, size: tuple[int, int], pixels: str, codec: str = "libx264") -> Path:
    with av.open(str(path), "w") as container:
        video = container.add_stream(codec, rate=24)
        video.width, video.height, video.pix_fmt = *size, pixels
        video.codec_context.time_base = Fraction(1, 24)
        full = pixels.startswith("yuvj")
        video.options = {"crf": "1", "preset": "ultrafast"} if codec == "libx264" else {}
        for number in range(FRAMES):
            frame = av.VideoFrame.from_ndarray(scene(*size), "rgb24")
            frame = frame.reformat(format=pixels, dst_color_range="JPEG" if full else "MPEG")
            frame.pts, frame.time_base = number, Fraction(1, 24)
            for packet in video.encode(frame):
                container.mux(packet)
        for packet in video.encode(None):
            container.mux(packet)
    return path


@pytest.mark.parametrize("pixels", ["yuv420p", "yuvj420p", "yuv422p", "yuv444p", "yuv420p10le", "yuv422p10le"])
def test_a_picture_is_the_same_in_every_format(tmp_path: Path, pixels: str) -> None:
    found = list(small_pictures(write(tmp_path / "film.mkv", (1280, 720), pixels), FRAMES, 256))
    assert [picture.shape for picture in found] == [(144, 256, 3)] * FRAMES
    wanted = cv2.resize(scene(1280, 720)[:, :, ::-1], (256, 144), interpolation=cv2.INTER_AREA)
    apart = np.abs(found[0].astype(int) - wanted)
    # Colour has half the resolution, so it may be off at the edges.
    assert np.median(apart) <= 3 and apart.mean() < 4
    assert found[0].max() >= 250 and found[0].min() <= 5


@pytest.mark.parametrize(("size", "shape"), [((2048, 858), (108, 256)), ((131, 97), (96, 130)), ((64, 48), (48, 64))])
def test_the_shape_is_the_films(tmp_path: Path, size: tuple[int, int], shape: tuple[int, int]) -> None:
    (picture, *_) = small_pictures(write(tmp_path / "film.mkv", size, "yuv444p"), FRAMES, 256)
    assert picture.shape[:2] == shape


def test_the_detector_scores_and_cuts_as_pyscenedetects_own() -> None:
    random = np.random.default_rng(4)
    base = random.integers(0, 256, (4, 72, 128, 3), np.uint8)
    pictures = [
        np.clip(base[number // 15].astype(int) + random.integers(-9, 10, (72, 128, 3)), 0, 255).astype(np.uint8)
        for number in range(60)
    ]
    settings = {"adaptive_threshold": 3.0, "min_scene_len": 2, "window_width": 2, "min_content_val": 15.0}
    ours, stock = ScoringDetector(**settings), AdaptiveDetector(**settings)
    cuts: tuple[list[int], list[int]] = [], []
    for number, picture in enumerate(pictures):
        for detector, found in zip((ours, stock), cuts, strict=True):
            found.extend(cut.frame_num for cut in detector.process_frame(FrameTimecode(number, 24.0), picture))
        assert ours.content_value == pytest.approx(stock._frame_score, rel=1e-12)
    assert cuts[0] == cuts[1] == [15, 30, 45]
