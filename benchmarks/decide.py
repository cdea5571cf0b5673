"""Decide for 100,000 bots: every decision with its reason, its blockers and the digest over all, against a plain loop.

One bot of a hundred changes before each measured tick. Beside it, without a must, the first one after a start: nothing is remembered,
every fingerprint is worked out.
"""

from msgspec.structs import replace

from autonomy.telemetry import spare_collector
from benchmarks.fleet import NOON_MS, mixed_state
from benchmarks.limits import decide_loop
from benchmarks.measure import Context, Measure, Turns, absolute, at_most, reference, timed
from planner.decide.plan import decide
from planner.decide.view import build_view
from planner.fold.state import State

BOTS = 100_000
FIGURE_S = 0.0368
CHANGED_EACH = 100
"""One bot of so many changes before each tick, outside the timed part."""


def run(ctx: Context) -> list[Measure]:
    """Measure."""
    count = ctx.size(BOTS)
    state = mixed_state(count)
    rows = decide_loop.items(count)
    first_s = timed(lambda: decide(state, build_view(state, NOON_MS)), cpu=True)
    spare_collector()  # as the planner does again once it has caught up; both sides have it
    subjects, limits = [], []
    for number in range(ctx.rounds(11)):
        change_some(state, number)
        limits.append(timed(lambda: decide_loop.reasons(rows), cpu=True))
        subjects.append(timed(lambda: decide(state, build_view(state, NOON_MS)), cpu=True))
    turns = Turns(subjects, limits)
    plan = decide(state, build_view(state, NOON_MS))
    counts = ", ".join(f"{reason.value} {number:,}" for reason, number in plan.reason_counts.items())
    ctx.note(f"decide: {counts}; blockers {plan.blocker_counts}; digest {plan.digest[:16]}")
    spent, limit = turns.medians
    return [
        at_most(f"decide {count:,} bots", spent * 1000, "ms CPU", ("plain loop, 8 comparisons", limit * 1000), 15, turns.ratio),
        absolute("  the first one after a start", first_s * 1000, "ms CPU"),
        reference("plain loop", limit * 1000, "ms", FIGURE_S * 1000 * count / BOTS, rate=False),
    ]


def change_some(state: State, number: int) -> None:
    """Another hundredth of the fleet changes, as results and commands do: what was remembered of it counts no more."""
    for bot_id in state.bot_ids()[number % CHANGED_EACH :: CHANGED_EACH]:
        bot = state.bots.rows[bot_id]
        state.bots.put(bot_id, replace(bot, phase=bot.phase + 1))
