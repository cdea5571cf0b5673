"""The sequential rule: how much of a line's budget one look spends, what it asks for, and what it can see.

Place in the flow: the planner judges by it, page and CLI tell its words, `make calibrate` measures it. Pure. `planner.check` counts with
arithmetic of its own.

A line is a bot with all its versions. Look k spends alpha / (k (k + 1)); over all k that adds up to alpha, whatever the looks have to do
with one another, so that looking again and again never lets more luck through than was agreed.

Source: docs/gates.md; Foster and Stine (2008), "Alpha-investing"; the union bound.
"""

import math
from functools import lru_cache
from statistics import NormalDist
from typing import Final

NORMAL: Final = NormalDist()
EDGES_TOLD: Final = (4, 3)
"""Expected z of the edges whose chance to pass is told beside a look."""


def alpha_of(alpha: float, number: int) -> float:
    """What the number-th look (1-based) spends of a line's alpha."""
    return alpha / (number * (number + 1))


def spent(alpha: float, looks: int) -> float:
    """What so many looks spent together."""
    return alpha * looks / (looks + 1)


@lru_cache(maxsize=4_096)
def required_z(alpha: float) -> float:
    """The z that luck reaches with probability alpha, rounded up to four decimals: the same on every machine."""
    return math.ceil(NORMAL.inv_cdf(1.0 - alpha) * 10_000) / 10_000


def power_of(edge_z: float, required: float) -> float:
    """Probability that an edge with this expected z passes."""
    return 1.0 - NORMAL.cdf(required - edge_z)


def next_bars(bars: int, every: float) -> int:
    """How many bars the next look needs after one at so many."""
    return math.ceil(round(bars * every, 6))


def power_words(required: float) -> str:
    """What a look can see, for people."""
    told = " and ".join(f"{power_of(edge, required):.0%} with z = {edge}" for edge in EDGES_TOLD)
    return f"passes {told}"
