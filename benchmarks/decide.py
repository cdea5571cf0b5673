"""Decide for 100,000 bots: every decision with its reason, its blockers and the digest over all, against a plain loop."""

from autonomy.telemetry import spare_collector
from benchmarks.fleet import NOON_MS, mixed_state
from benchmarks.limits import decide_loop
from benchmarks.measure import Context, Measure, at_most, in_turns, reference
from planner.decide import decide
from planner.view import build_view

BOTS = 100_000
FIGURE_S = 0.0368


def run(ctx: Context) -> list[Measure]:
    """Measure."""
    count = ctx.size(BOTS)
    state = mixed_state(count)
    rows = decide_loop.items(count)
    decide(state, build_view(state, NOON_MS))  # fingerprints and days are known, as in every tick but the first
    spare_collector()  # as the planner does again once it has caught up; both sides have it
    turns = in_turns(lambda: decide(state, build_view(state, NOON_MS)), lambda: decide_loop.reasons(rows), ctx.rounds(11), cpu=True)
    plan = decide(state, build_view(state, NOON_MS))
    counts = ", ".join(f"{reason.value} {number:,}" for reason, number in plan.reason_counts.items())
    ctx.note(f"decide: {counts}; blockers {plan.blocker_counts}; digest {plan.digest[:16]}")
    spent, limit = turns.medians
    return [
        at_most(f"decide {count:,} bots", spent * 1000, "ms CPU", ("plain loop, 8 comparisons", limit * 1000), 15, turns.ratio),
        reference("plain loop", limit * 1000, "ms", FIGURE_S * 1000 * count / BOTS, rate=False),
    ]
