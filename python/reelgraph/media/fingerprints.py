"""Fingerprints that survive another size and bit rate: PDQ of a picture, signs of band energies of sound."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cache
from itertools import pairwise

import numpy as np

BITS = 256
SIDE, COEFFICIENTS = 64, 16
SOUND_RATE = 8000  # samples a second
SOUND_STEP = 2000  # samples: four fingerprints a second
SOUND_WINDOW = 4096
SOUND_BANDS = 17  # give 16 bits
LOWEST_HZ, HIGHEST_HZ = 200, 3000


@cache
def _cosines() -> np.ndarray:
    """Return the DCT's first rows but the constant one, as integers, so that sums are the same on every machine."""
    rows = np.arange(1, COEFFICIENTS + 1)[:, None]
    return np.rint(np.cos(np.pi / 2 / SIDE * rows * (2 * np.arange(SIDE) + 1)) * 4096).astype(np.int64)


def _blur(grey: np.ndarray, axis: int) -> np.ndarray:
    """Return sums over a box that is as wide as 1/128 of the picture, at least one pixel."""
    width = (grey.shape[axis] + 2 * SIDE - 1) // (2 * SIDE)
    padded = np.pad(grey, [(width // 2, (width - 1) // 2) if way == axis else (0, 0) for way in (0, 1)], mode="edge")
    sums = np.cumsum(np.insert(padded, 0, 0, axis=axis), axis=axis)
    size = grey.shape[axis]
    return np.take(sums, range(width, width + size), axis) - np.take(sums, range(size), axis)


def pdq(grey: np.ndarray) -> str:
    """Return the PDQ fingerprint of a grey picture [height, width] as 64 hexadecimal digits."""
    blurred = grey.astype(np.int64)
    for axis in (0, 1, 0, 1):
        blurred = _blur(blurred, axis)
    rows, columns = ((np.arange(SIDE) * 2 + 1) * size // (2 * SIDE) for size in blurred.shape)
    small = blurred[np.ix_(rows, columns)]
    spectrum = _cosines() @ small @ _cosines().T
    return np.packbits((spectrum > np.median(spectrum)).ravel()).tobytes().hex()


def distances(first: Iterable[str], second: Iterable[str]) -> np.ndarray:
    """Return in how many of 256 bits each fingerprint of ``first`` differs from each of ``second`` [first, second]."""
    sides = [
        np.frombuffer(bytes.fromhex("".join(side)), np.uint8).reshape(-1, BITS // 8)
        for side in (list(first), list(second))
    ]
    words = [side.view(np.uint64) for side in sides]
    return np.bitwise_count(words[0][:, None] ^ words[1][None]).sum(axis=2, dtype=np.int32)


def sound_signs(pieces: Iterable[np.ndarray]) -> Iterator[int]:
    """Yield 16 bits a quarter of a second of mono int16 samples at 8 kHz: where energy moves to higher bands."""
    edges = np.geomspace(LOWEST_HZ, HIGHEST_HZ, SOUND_BANDS + 1) * SOUND_WINDOW / SOUND_RATE
    bounds = np.rint(edges).astype(int)
    window = np.hanning(SOUND_WINDOW)
    waiting, before = np.zeros(0, np.int16), None
    for piece in pieces:
        waiting = np.concatenate([waiting, piece])
        while len(waiting) >= SOUND_WINDOW:
            power = np.abs(np.fft.rfft(waiting[:SOUND_WINDOW] * window)) ** 2
            bands = np.array([power[low:high].sum() for low, high in pairwise(bounds)])
            slopes = np.log(bands[:-1] + 1) - np.log(bands[1:] + 1)
            if before is not None:
                signs = slopes - before > 0
                yield int(np.packbits(signs).view(">u2")[0])
            before, waiting = slopes, waiting[SOUND_STEP:]
