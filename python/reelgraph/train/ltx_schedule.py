"""LTX-2's noise levels: logit-normal, shifted towards noise by a clip's length, as its own trainer draws them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

from reelgraph.train.counter import draw_fraction
from reelgraph.train.schedule import TRAINING_TIMESTEPS, Clip, Settings

# Lightricks/LTX-2, packages/ltx-trainer/src/ltx_trainer/timestep_samplers.py at 400fd310.
SHORT, LONG = (1024, 0.95), (4096, 2.05)
LOWEST, HIGHEST = -2.5758, 3.0902
SMALLEST = 1e-3


@dataclass(frozen=True)
class LtxSettings(Settings):
    """What shapes a plan; ``uniform_probability`` is the share of noise levels drawn evenly."""

    uniform_probability: float


def shift_for(tokens: int) -> float:
    """Return the mean of the normal distribution for a clip of ``tokens`` video tokens."""
    slope = (LONG[1] - SHORT[1]) / (LONG[0] - SHORT[0])
    return SHORT[1] + slope * (tokens - SHORT[0])


def stretched_logit_normal(fraction: float, shift: float) -> float:
    """Return the share of noise at a ``fraction`` of the distribution, stretched to reach from 0 to 1."""
    low, high = _sigmoid(shift + LOWEST), _sigmoid(shift + HIGHEST)
    normal = NormalDist().inv_cdf(min(max(fraction, 2.0**-53), 1 - 2.0**-53))
    value = (_sigmoid(normal + shift) - low) / (high - low)
    return min(1.0, max(0.0, value if value >= SMALLEST else 2 * SMALLEST - value))


def logit_normal_index(clip: Clip, settings: LtxSettings, *labels: object) -> int:
    """Return a timestep index for a clip, to a thousandth of the scale of noise."""
    fraction = draw_fraction(settings.seed, "timestep", *labels)
    if draw_fraction(settings.seed, "uniform", *labels) < settings.uniform_probability:
        share = (1 - SMALLEST) * fraction + SMALLEST
    else:
        share = stretched_logit_normal(fraction, shift_for(clip.tokens))
    return min(TRAINING_TIMESTEPS - 1, round((1 - share) * TRAINING_TIMESTEPS))


def _sigmoid(value: float) -> float:
    return 1 / (1 + math.exp(-value))
