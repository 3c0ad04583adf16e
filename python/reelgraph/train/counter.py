"""Random numbers that depend only on what they are for, never on what was drawn before.

Each draw has its own Philox generator, keyed by the seed and by labels such as epoch, step and clip. So a run that
starts in the middle draws exactly what an uninterrupted one would have drawn there.
"""

from __future__ import annotations

import hashlib

import numpy as np


def counter_generator(seed: int, *labels: object) -> np.random.Generator:
    """Return the generator of one draw; ``labels`` say what the draw is for, for example ``("noise", epoch, clip)``."""
    text = "\x1f".join([str(seed), *map(str, labels)])
    key = np.frombuffer(hashlib.sha256(text.encode()).digest()[:16], dtype="<u8")
    return np.random.Generator(np.random.Philox(key=key))


def draw_integer(seed: int, *labels: object) -> int:
    """Return an integer in [0, 2**53), which JSON carries exactly."""
    return int(counter_generator(seed, *labels).bit_generator.random_raw()) >> 11


def draw_fraction(seed: int, *labels: object) -> float:
    """Return a number in [0, 1), a multiple of 2**-53."""
    return draw_integer(seed, *labels) / (1 << 53)


def draw_normal(shape: tuple[int, ...], seed: int, *labels: object) -> np.ndarray:
    """Return float32 standard normal numbers of ``shape``."""
    return counter_generator(seed, *labels).standard_normal(shape, dtype=np.float32)


def draw_uniform(shape: tuple[int, ...], bound: float, seed: int, *labels: object) -> np.ndarray:
    """Return float32 numbers of ``shape``, uniform in [-bound, bound)."""
    fractions = counter_generator(seed, *labels).random(shape, dtype=np.float32)
    return (2 * fractions - 1) * np.float32(bound)
