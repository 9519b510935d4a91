"""How a stated time is shared out, and the learning rate as a function of the time that has passed.

Counting time instead of crops means that a run always ends annealed, whatever the machine's speed.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

WARM_UP = 0.03
FALL_FROM = 0.5


def shares_of_time(shares: Mapping[str, float], seconds: float) -> dict[str, float]:
    """Seconds of each part of a run, in proportion to its share.

    Raises ValueError for a share that is not positive, or without any time.
    """
    if seconds <= 0 or any(share <= 0 for share in shares.values()):
        raise ValueError(f"time and shares must be positive, not {seconds} s and {dict(shares)}")
    total = sum(shares.values())
    return {name: seconds * share / total for name, share in shares.items()}


def learning_rate_factor(progress: float) -> float:
    """What the learning rate is multiplied by when `progress`, in [0, 1], of a part's time has passed.

    It rises over `WARM_UP`, stays at 1, and falls to 0 by a quarter of a cosine from `FALL_FROM` on.
    """
    if progress < WARM_UP:
        return progress / WARM_UP
    if progress < FALL_FROM:
        return 1.0
    return math.cos(math.pi / 2 * min(1.0, (progress - FALL_FROM) / (1 - FALL_FROM)))


def average_decay(step: int, largest: float) -> float:
    """Decay of the averaged weights by step: the horizon grows with the run up to `largest`."""
    return min(largest, (1 + step) / (10 + step))
