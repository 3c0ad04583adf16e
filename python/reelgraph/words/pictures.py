"""How alike two pictures are: by their colours, for grouping shots, and by PDQ, for finding the same shot again."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from reelgraph.errors import StageError

COLOUR_BINS = 4
PDQ_SIDE, PDQ_BITS, LARGEST_SIDE = 64, 16, 512


def open_picture(path: Path) -> Image.Image:
    """Return a picture as RGB, or raise a StageError that names the file."""
    try:
        with Image.open(path) as picture:
            return picture.convert("RGB")
    except OSError as error:
        raise StageError(f"{path.name}: is not a picture that can be read ({error}); rebuild or replace it") from error


def colours(path: Path) -> np.ndarray:
    """Return the shares, float64 [64], of a picture's pixels in 4 x 4 x 4 cells of RGB."""
    pixels = np.asarray(open_picture(path).resize((64, 64), Image.Resampling.BOX), np.int64).reshape(-1, 3)
    cells = (pixels * COLOUR_BINS // 256) @ np.array([COLOUR_BINS**2, COLOUR_BINS, 1])
    return np.bincount(cells, minlength=COLOUR_BINS**3) / len(cells)


def colour_distance(one: np.ndarray, other: np.ndarray) -> float:
    """Return the share of pixels, 0 to 1, whose colour would have to change."""
    return float(np.abs(one - other).sum() / 2)


def pdq(path: Path) -> str:
    """Return a picture's PDQ hash as 64 hexadecimal digits, as Facebook's reference computes it.

    Luma, two passes of a box filter, 64 x 64 samples, the lowest 16 x 16 frequencies without the constant one, one bit
    each for those above the median; the first bit is the last digit's lowest.
    """
    picture = open_picture(path)
    picture.thumbnail((LARGEST_SIDE, LARGEST_SIDE))
    luma = np.asarray(picture, np.float64) @ np.array([0.299, 0.587, 0.114])
    height, width = luma.shape
    for _ in range(2):
        luma = _box_filter(_box_filter(luma, _window(width)).T, _window(height)).T
    rows = ((np.arange(PDQ_SIDE) + 0.5) * height / PDQ_SIDE).astype(int)
    columns = ((np.arange(PDQ_SIDE) + 0.5) * width / PDQ_SIDE).astype(int)
    frequency, place = np.arange(1, PDQ_BITS + 1)[:, None], np.arange(PDQ_SIDE)[None]
    transform = np.sqrt(2 / PDQ_SIDE) * np.cos(np.pi / 2 / PDQ_SIDE * frequency * (2 * place + 1))
    waves = transform @ luma[np.ix_(rows, columns)] @ transform.T
    bits = (waves > np.median(waves)).ravel()
    return f"{sum(1 << int(bit) for bit in np.flatnonzero(bits)):064x}"


def hash_distance(one: str, other: str) -> int:
    """Return how many of the 256 bits of two PDQ hashes differ."""
    return (int(one, 16) ^ int(other, 16)).bit_count()


def _window(side: int) -> int:
    return (side + 2 * PDQ_SIDE - 1) // (2 * PDQ_SIDE)


def _box_filter(values: np.ndarray, window: int) -> np.ndarray:
    """Return the mean of ``window`` neighbours along each row, of fewer at the ends."""
    before = (window + 2) // 2 - 1
    places = np.arange(values.shape[1])
    first = np.maximum(places - (window - 1 - before), 0)
    last = np.minimum(places + before + 1, values.shape[1])
    sums = np.concatenate([np.zeros((len(values), 1)), np.cumsum(values, axis=1)], axis=1)
    return (sums[:, last] - sums[:, first]) / (last - first)
