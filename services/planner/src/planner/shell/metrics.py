"""What a planner counts, and its one log line a tick.

Place in the flow: told by the shell once a tick is settled.
"""

import logging

from prometheus_client import Counter, Gauge, Histogram

from autonomy.chain import Chain
from autonomy.events import PlannerRun

log = logging.getLogger("planner")
TICKS = Counter("autonomy_planner_ticks", "Accepted ticks that this process folded", ["cause", "own"])
TICK_SECONDS = Histogram("autonomy_planner_tick_seconds", "From the cut to the accepted seal, own ticks")
LAST_TICK = Gauge("autonomy_planner_last_tick_timestamp_seconds", "Recorded time of the last accepted tick")
VOID = Gauge("autonomy_planner_void_records", "Records of runs that do not count", ["kind"])
ROLE = Gauge("autonomy_planner_leader", "1 while this process leads")
JUNK = Gauge("autonomy_planner_junk_seals", "Seals that no planner wrote: unreadable, or with a wrong hash, id or place")


def count(seal: PlannerRun, chain: Chain, *, own: bool) -> None:
    """Count an accepted tick."""
    TICKS.labels(seal.cause.value, str(own).lower()).inc()
    LAST_TICK.set(seal.now.timestamp())
    VOID.labels("record").set(chain.void_records)
    VOID.labels("seal").set(chain.void_seals)
    JUNK.set(chain.junk_seals)


def log_tick(seal: PlannerRun, *, own: bool) -> None:
    """One line a tick."""
    log.info("tick", extra={
        "tick": seal.tick, "cause": seal.cause.value, "own": own, "evaluated": seal.evaluated, "enqueued": seal.jobs_enqueued,
        "zeroJobs": seal.zero_jobs,
    })  # fmt: skip
