"""What a revert to LAB would do, worked out by the same function for the dry run and for the tick that applies it.

Place in the flow: proof-api (dry run, from its read models) and planner (from its state) → one hash. When the fleet changed in
between the hashes differ, and nothing is reverted. Pure.

Source: R-C2.1.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from autonomy.events import RevertToLab
from autonomy.values import Stage


class Standing(NamedTuple):
    """One bot as a revert sees it."""

    bot_id: str
    stage: Stage
    stage_version: int
    pinned: bool
    strategy: str
    symbol: str


@dataclass(frozen=True, slots=True)
class RevertPlan:
    """What would happen.

    Attributes:
        moved: ids of the bots that go back to LAB, sorted.
        pinned: ids of the bots that would, were they not pinned, sorted.
        by_stage: how many of the moved come from each stage.
        hash: over (bot, stage, stage version, pinned) of both.
    """

    moved: tuple[str, ...]
    pinned: tuple[str, ...]
    by_stage: dict[Stage, int]
    hash: str


def is_single(command: RevertToLab) -> bool:
    """Whether the command names one bot and nothing else: then it counts for a pinned one too."""
    return len(command.bot_ids) == 1 and not (command.stages or command.strategies or command.symbols)


def revert_plan(command: RevertToLab, fleet: Iterable[Standing]) -> RevertPlan:
    """The plan of a revert; the command's own hash and count are not looked at.

    Args:
        command: its filters; an empty one does not restrict.
        fleet: all bots, in any order.
    """
    stages, bot_ids, strategies, symbols = set(command.stages), set(command.bot_ids), set(command.strategies), set(command.symbols)
    single = is_single(command)
    found = sorted(
        bot
        for bot in fleet
        if bot.stage is not Stage.LAB
        and (not stages or bot.stage in stages)
        and (not bot_ids or bot.bot_id in bot_ids)
        and (not strategies or bot.strategy in strategies)
        and (not symbols or bot.symbol in symbols)
    )
    lines = [f"{bot.bot_id}|{bot.stage.value}|{bot.stage_version}|{int(bot.pinned)}" for bot in found]
    moved = [bot for bot in found if single or not bot.pinned]
    by_stage = {stage: sum(1 for bot in moved if bot.stage is stage) for stage in Stage}
    return RevertPlan(
        moved=tuple(bot.bot_id for bot in moved),
        pinned=tuple(bot.bot_id for bot in found if bot.pinned and not single),
        by_stage={stage: count for stage, count in by_stage.items() if count},
        hash=hashlib.sha256("\n".join(lines).encode()).hexdigest(),
    )
