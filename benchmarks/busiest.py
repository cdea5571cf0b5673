"""How many events a fleet of 10,000 bots says in its busiest minute, by the planner's own core: what the projection must keep up with.

Two minutes are looked at: the one in which all are registered, and the one in which all are taken back to LAB and start again at a
baseline. Ticks come as early as the policy lets them, every job that is granted is claimed, beats and succeeds before the next one; what
a platform says besides (two pulses a second, ten runner processes that beat each two seconds) is added. The policy is the default one,
whose 3,600 orders an hour bind; and, as more than any policy would allow, one under which all 10,000 baselines run within that minute.
"""

from collections.abc import Callable
from typing import Any

from autonomy.events import RegisterBots, RevertToLab, SetPolicy
from autonomy.policy import read_policy
from autonomy.revert_plan import revert_plan
from autonomy.topics import DEFAULT_PARTITIONS
from autonomy.values import partition_of
from benchmarks.fleet import STRATEGIES, SYMBOLS, an_id, bot_id, capabilities, digest
from benchmarks.logs import Log
from benchmarks.measure import Context, Measure, absolute
from planner.decide.stages import standing

BOTS = 10_000
PER_COMMAND = 500
TICK_S = 5
"""Between two early ticks of the default policy."""
BESIDES = 60 * 2 + 10 * 30
WHO = {"actor": "ada", "role": "approver", "reason": "bench"}
LIFTED = {"concurrency": 100_000, "queue_ahead": 0, "max_enqueues_per_hour": 10_000_000, "queued_per_slot": 100_000}


def run(ctx: Context) -> list[Measure]:
    """Measure: counts, not times, so the machine has no say."""
    bots = ctx.size(BOTS)
    registered, reverted = minutes(bots, {})
    _, lifted = minutes(bots, LIFTED)
    return [
        absolute(f"busiest minute of {bots:,} bots: all registered", registered / 60, "events/s"),
        absolute("  all taken back to LAB, baselines again", reverted / 60, "events/s"),
        absolute("  the same, every limit lifted: all baselines within it", lifted / 60, "events/s"),
    ]


def per_second(bots: int) -> float:
    """Events a second in the busiest minute that the default policy allows."""
    return max(minutes(bots, {})) / 60


def minutes(bots: int, research: dict[str, Any]) -> tuple[int, int]:
    """How many events the minute has in which all are registered, and the one in which all are taken back."""
    log = opened(research)
    registered = a_minute(log, lambda: register(log, bots))
    settle(log)
    return registered, a_minute(log, lambda: revert(log, bots))


def opened(research: dict[str, Any]) -> Log:
    """A log with a policy and runners."""
    log, runner = Log(), an_id("runner")
    document = read_policy({"name": "bench", "research": research}).model_dump(mode="json")
    log.say(SetPolicy(command_id=an_id("policy"), document=document, **WHO), "ada", 0)
    log.say(capabilities(runner, 1_000), runner, partition_of(runner, DEFAULT_PARTITIONS))
    log.tick()
    return log


def register(log: Log, bots: int) -> None:
    """All of them, imported at a stage that trades."""
    for first in range(0, bots, PER_COMMAND):
        documents = tuple(
            {"id": bot_id(n), "strategy": STRATEGIES[n % len(STRATEGIES)], "symbol": SYMBOLS[n % len(SYMBOLS)], "stage": "PAPER",
             "origin": "IMPORTED"}
            for n in range(first, min(first + PER_COMMAND, bots))
        )  # fmt: skip
        log.say(RegisterBots(command_id=an_id(f"register/{first}"), bots=documents, **WHO), "ada", 0)


def revert(log: Log, bots: int) -> None:
    """All of them in one command, as its dry run says."""
    command = {"command_id": an_id("revert"), **WHO}
    probe = RevertToLab(**command, plan_hash=digest("unknown"), expected_count=0)
    plan = revert_plan(probe, (standing(bot) for bot in log.state.bots.rows.values()))
    if len(plan.moved) != bots:
        raise RuntimeError(f"{len(plan.moved)} of {bots} bots would move")
    log.say(RevertToLab(**command, plan_hash=plan.hash, expected_count=len(plan.moved)), "ada", 0)


def settle(log: Log) -> None:
    """An hour passes: what the hourly limit held back is free again."""
    log.now_ms += 3_600_000
    log.work(log.tick())


def a_minute(log: Log, begin: Callable[[], None]) -> int:
    """How many events one minute has, from a command on."""
    before = log.count
    begin()
    for _ in range(60 // TICK_S):
        log.now_ms += (TICK_S - 1) * 1_000  # the tick itself lets a second pass
        log.work(log.tick())
    return log.count - before + BESIDES
