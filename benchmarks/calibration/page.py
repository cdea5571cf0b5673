"""The table of docs/gates.md: what lives came to, with bounds, seeds and the exact rules.

Place in the flow: results of `lives` → **page** → docs/gates.md.
"""

import math
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path

from autonomy import clock
from autonomy.looks import alpha_of, required_z
from autonomy.values import instant_of_ms
from benchmarks.calibration.lives import LIMITS, POLICY, STRATEGIES, TRADING, Life
from job_runner.engine.fills import ENGINE_VERSION
from planner.decide.plan import DECIDER

BEGIN, END = "<!-- calibration: begin -->", "<!-- calibration: end -->"
NAMES = {
    "permuted": "noise: real bars in random order", "walk": "noise: random walks", "blocks": "noise: blocks of real bars, drift kept",
    "edge-4": "edge planted, t = 4 at 1,000 bars", "edge-3": "edge planted, t = 3 at 1,000 bars",
}  # fmt: skip


def wilson(hits: int, count: int) -> tuple[float, float]:
    """The 95 % bounds of a share (Wilson 1927)."""
    if count == 0:
        return 0.0, 1.0
    z, share = 1.96, hits / count
    middle = share + z * z / (2 * count)
    wide = z * math.sqrt(share * (1 - share) / count + z * z / (4 * count * count))
    whole = 1 + z * z / count
    return (middle - wide) / whole, (middle + wide) / whole


def told(hits: int, count: int) -> str:
    """A share with its bounds."""
    low, high = wilson(hits, count)
    return f"{hits}: {100 * hits / max(count, 1):.2f} % ({100 * low:.2f}–{100 * high:.2f})"


def table(found: Mapping[str, Sequence[Life]]) -> str:
    """One row for each kind of world."""
    lines = [
        "| world | lives | looked at | TIMING, first look | TIMING, in the life | all gates, first look | all gates, life |",
        "|---|---|---|---|---|---|---|",
    ]
    for kind, lives in found.items():
        count = len(lives)
        figures = (
            sum(life.timed_at == 1 for life in lives), sum(life.timed_at > 0 for life in lives),
            sum(life.recommended_at == 1 for life in lives), sum(life.recommended_at > 0 for life in lives),
        )  # fmt: skip
        looked = sum(life.looks > 0 for life in lives)
        lines.append(" | ".join((f"| {NAMES[kind]}", f"{count:,}", f"{looked:,}", *[told(hits, count) for hits in figures])) + " |")
    return "\n".join(lines)


def written(found: Mapping[str, Sequence[Life]], seed: int, bars: Mapping[str, int], drifts: Mapping[str, Mapping[str, float]]) -> str:
    """The part of the page that a calibration writes."""
    looks = POLICY.looks
    first = ", ".join(f"{required_z(alpha_of(looks.alpha_life, number)):.2f}" for number in range(1, 6))
    planted = "; ".join(
        f"{NAMES[kind]}: " + ", ".join(f"{name} {1e4 * drift:.1f} bp" for name, drift in each.items()) for kind, each in drifts.items()
    )
    rules = (
        f"Measured {instant_of_ms(clock.now_ms()):%Y-%m-%d} by `make calibrate`, seed {seed}, decider `{DECIDER}`, engine "
        f"`{ENGINE_VERSION}`, numpy {version('numpy')}. Life's level {looks.alpha_life:.1%}; z asked at looks 1 to 5: {first}; "
        f"NET asks for t {LIMITS.min_net_t} at double costs, MIN_TRADES for {LIMITS.min_trades}."
    )
    lives = ", ".join(f"{count:,} bars ({NAMES[kind]})" for kind, count in bars.items())
    worlds = (
        f"Noise: {', '.join(STRATEGIES)} in turn, at default parameters, 10 + 5 bp a side. Edges: {', '.join(TRADING)}, first look from "
        f"1,000 bars on; drift planted a bar: {planted}."
    )
    bounds = f"Shares of all lives, with 95 % bounds. Lives of {lives}."
    return "\n".join((BEGIN, "", rules, "", table(found), "", bounds, "", worlds, "", END))


def put(path: Path, part: str) -> None:
    """Write the part into the page, between its marks."""
    text = path.read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    path.write_text(before + part + after, encoding="utf-8")
