"""Frames made small for detectors: halved as often as that goes, so that noise and grain are averaged away."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
from av.video.frame import VideoFrame
from av.video.plane import VideoPlane
from av.video.reformatter import ColorRange

from reelgraph.media.frames import SCALE_DOWN, decoded_frames, open_media, picture_filter, video_stream

# Halved as they are; frames of any other format are made small by libavfilter, which takes several times as long.
PLANAR = {f"yuv{full}{sampling}p" for full in ("", "j") for sampling in ("420", "422", "444")}
LEVELS = np.arange(256)
LUMA = np.rint(16 + LEVELS * 219 / 255).astype(np.uint8)
CHROMA = np.rint(128 + (LEVELS - 128) * 224 / 255).astype(np.uint8)


def small_pictures(master: Path, frames: int, width: int) -> Iterator[np.ndarray]:
    """Yield every frame as BGR [height, width, 3], about ``width`` wide, in the film's shape; both sides are even."""
    with open_media(master) as container:
        stream = video_stream(container, master)
        width = max(2, min(width, stream.width) // 2 * 2)
        size = width, max(2, round(stream.height * width / stream.width / 2) * 2)
        reduce = picture_filter(stream, ("scale", f"{size[0]}:{size[1]}:{SCALE_DOWN}"), ("format", "yuv420p"))
    for frame in decoded_frames(master, frames, rough=True):
        yield _picture(frame if frame.format.name in PLANAR else reduce(frame), size)


def _picture(frame: VideoFrame, size: tuple[int, int]) -> np.ndarray:
    half = size[0] // 2, size[1] // 2
    planes = [_shrink(_samples(plane), side) for plane, side in zip(frame.planes, (size, half, half), strict=True)]
    if frame.color_range == ColorRange.JPEG or frame.format.name.startswith("yuvj"):
        planes = [cv2.LUT(plane, levels) for plane, levels in zip(planes, (LUMA, CHROMA, CHROMA), strict=True)]
    joined = np.concatenate([plane.ravel() for plane in planes]).reshape(-1, size[0])
    return cv2.cvtColor(joined, cv2.COLOR_YUV2BGR_I420)


def _samples(plane: VideoPlane) -> np.ndarray:
    """Return a plane as uint8 [height, width], without a copy."""
    return np.frombuffer(plane, np.uint8).reshape(plane.height, plane.line_size)[:, : plane.width]


def _shrink(plane: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Return a plane at ``size`` (width, height): exact means of 2x2 until the last step, which is a smaller one."""
    while plane.shape[1] >= 2 * size[0] and plane.shape[0] >= 2 * size[1]:
        even = plane[: plane.shape[0] // 2 * 2, : plane.shape[1] // 2 * 2]
        plane = cv2.resize(even, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    return cv2.resize(plane, size, interpolation=cv2.INTER_LINEAR_EXACT) if plane.shape[::-1] != size else plane
