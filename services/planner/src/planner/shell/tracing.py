"""The roots of the traces: what an accepted tick of this process enqueued, from the start of the try to the verdict.

Place in the flow: app → **tracing** → telemetry. It looks at what was decided, and changes nothing.
"""

from typing import Final

from autonomy import clock
from autonomy.events import PlannerRun
from autonomy.telemetry import is_traced, record_root
from planner.fold.state import State

MAX_ROOTS: Final = 1_000
"""Jobs of a tick that get a root, some 30 ms of work; the spans of the others hang below one that nobody recorded."""


def trace_tick(seal: PlannerRun, state: State, took_ms: float) -> None:
    """Record a root for each job that the tick enqueued.

    Args:
        seal: of a tick that this process tried and that was accepted.
        state: with that tick folded.
        took_ms: from the start of the try until its verdict was read, which is now.
    """
    if not is_traced():
        return
    end_ms = clock.now_ms()
    jobs = [live.job for live in state.jobs.rows.values() if live.job.tick == seal.tick]
    shared: dict[str, str | int] = {"autonomy.tick": seal.tick, "autonomy.cause": seal.cause.value, "autonomy.jobs": len(jobs)}
    if len(jobs) > MAX_ROOTS:
        shared["autonomy.jobs_without_root"] = len(jobs) - MAX_ROOTS
    for job in jobs[:MAX_ROOTS]:
        about = {**shared, "autonomy.bot": job.bot_id, "autonomy.job_type": job.job_type.value}
        record_root("tick", job.job_id, end_ms - took_ms, end_ms, about)
