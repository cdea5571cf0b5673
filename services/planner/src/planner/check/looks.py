"""A look, counted again with other arithmetic than that which took it.

Place in the flow: decide → **check** → seal. Pure. The level by the tail of the normal distribution instead of its quantile, the line's
number by what stands with the bot and with the fingerprint.

Source: R-G4; docs/gates.md.
"""

import math

from autonomy.events import LookTaken
from autonomy.gates import Verdict
from planner.fold.state import State

TOLERANCE = 1e-12


def tail_of(z: float) -> float:
    """Probability that luck reaches z."""
    return 0.5 * math.erfc(z / math.sqrt(2.0))


def check_look(fact: LookTaken, state: State) -> list[str]:
    """What is wrong with a look.

    Args:
        fact: about to be folded.
        state: before it, with the evidence that it judges.
    """
    bot, rules = state.bots.rows.get(fact.bot_id), state.policy.looks
    if bot is None or bot.evidence is None:
        return [f"{fact.bot_id} is looked at without evidence"]
    evidence, before = bot.evidence, state.looks.get(fact.fingerprint)
    found: list[str] = []
    if (fact.fingerprint, fact.job_id, fact.bars, fact.z) != (
        evidence.fingerprint,
        evidence.job_id,
        evidence.bars,
        evidence.figures.timing_z,
    ):
        found.append(f"{bot.id} is looked at by other figures than those of its evidence")
    taken = [bot.looks, before.number if before is not None else 0]
    if fact.number != 1 + max(taken):
        found.append(f"look {fact.number} of {bot.id} follows {max(taken)}")
    if fact.bars < rules.first_bars or fact.trades < rules.first_trades:
        found.append(f"{bot.id} is looked at on {fact.bars} bars and {fact.trades} trades")
    if before is not None and fact.bars < before.bars * rules.every - TOLERANCE * fact.bars:
        found.append(f"{bot.id} is looked at on {fact.bars} bars, after {before.bars}")
    if abs(fact.alpha * fact.number * (fact.number + 1) - rules.alpha_life) > TOLERANCE:
        found.append(f"look {fact.number} of {bot.id} spends {fact.alpha:g}")
    if fact.verdict is Verdict.PASS and tail_of(fact.z) > fact.alpha:
        found.append(f"{bot.id} passes with z {fact.z:g}, which luck reaches in {tail_of(fact.z):.2g}")
    if fact.verdict is Verdict.FAIL and tail_of(fact.z + 0.0001) <= fact.alpha:
        found.append(f"{bot.id} fails with z {fact.z:g}, which luck reaches in {tail_of(fact.z):.2g}")
    return found
