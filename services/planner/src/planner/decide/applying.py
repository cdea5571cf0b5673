"""A fleet's files: every bot that they name becomes what its document says, or is refused by name, in one tick.

Place in the flow: commands → **applying** → facts of the tick. Pure. What is done is the plan of `autonomy.apply_plan`, which the dry run
showed; where it comes out differently by now nothing is done.
"""

from collections.abc import Mapping, Sequence
from typing import Final, assert_never

from autonomy.apply_plan import EVOLVES, Held, Step, apply_plan
from autonomy.errors import Broken
from autonomy.events import ApplyFleet, BotAmended, BotOutcome, StrategyOffered
from planner.decide import membership
from planner.decide.endings import Say
from planner.decide.refusal import Refused
from planner.fold.entities import Bot
from planner.fold.state import State

MAX_ANSWER_BYTES: Final = 950_000
"""Of all outcomes in one answer, which is one record."""
OUTCOME_BYTES: Final = 130
"""Of one outcome without words, at most."""


def apply_fleet(
    state: State, command: ApplyFleet, offers: Mapping[str, StrategyOffered], say: Say
) -> tuple[tuple[BotOutcome, ...], dict[str, int]]:
    """Act on every bot that the command names; returns what became of each, and the counts.

    Raises:
        Refused: PLAN_CHANGED when it would not do what the dry run said, NOTHING_TO_APPLY.
    """
    named = {str(document.get("id", "")) for document in command.bots} | set(command.retire)
    if not named:
        raise Refused("NOTHING_TO_APPLY", "bots", "no bot is named")
    held = {bot.id: standing(bot) for bot in (state.bots.get(bot_id) for bot_id in named) if bot is not None}
    plan = apply_plan(command, held, state.retired.rows, offers, len(state.bots.rows))
    if plan.hash != command.plan_hash:
        raise Refused("PLAN_CHANGED", "planHash", f"by now the plan is {plan.hash}: look at the dry run again")
    for step in plan.steps:
        _act(state, step, command, say)
    return told(plan.steps), plan.counts


def standing(bot: Bot) -> Held:
    """A bot as a plan sees it."""
    return Held(
        bot.id, bot.name, bot.strategy, dict(bot.parameters), bot.symbol, bot.timeframe, bot.stage, bot.version, bot.pinned, bot.fleet,
        bot.evolve,
    )  # fmt: skip


def _act(state: State, step: Step, command: ApplyFleet, say: Say) -> None:
    match step.outcome:
        case "UNCHANGED" | "REJECTED":
            return
        case "RETIRED":
            membership.retire(state, state.bots.rows[step.bot_id], command.actor, say)
            return
        case "REGISTERED" | "CHANGED" | "AMENDED":
            spec, parameters = step.spec, step.parameters
        case _:
            assert_never(step.outcome)
    if spec is None or parameters is None:
        raise Broken(f"{step.bot_id}: a plan without what the bot becomes")
    evolve = spec.evolve or EVOLVES
    if step.outcome == "REGISTERED":
        membership.enter(spec, parameters, command, say, fleet=command.fleet, evolve=evolve)
        return
    if step.trades:
        membership.change(state, state.bots.rows[step.bot_id], spec, parameters, command.actor, say)
    if step.stands:
        say(BotAmended(
            bot_id=step.bot_id, name=spec.name or spec.id, fleet=command.fleet, evolve=evolve, actor=command.actor,
        ))  # fmt: skip


def told(steps: Sequence[Step]) -> tuple[BotOutcome, ...]:
    """One outcome per bot, the refusals in words as long as one record holds them; the dry run has all words."""
    found: list[BotOutcome] = []
    left = MAX_ANSWER_BYTES - OUTCOME_BYTES * len(steps)
    for step in steps:
        if step.outcome != "REJECTED":
            found.append(BotOutcome(bot_id=step.bot_id, outcome=step.outcome))
            continue
        field, limit = step.field[:500], step.limit[:500]
        left -= 6 * (len(field) + len(limit))  # as JSON writes it: a letter may take six bytes there
        has_room = left >= 0
        found.append(BotOutcome(
            bot_id=step.bot_id, outcome="REJECTED", field=field if has_room else None, limit=limit if has_room else None,
        ))  # fmt: skip
    return tuple(found)
