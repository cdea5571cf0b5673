"""The spans of this process's claims, and a log line where each begins and ends.

A span goes from the claim's win until its work is over, its result said or the claim given back.

Place in the flow: app → **tracing** → telemetry. A claim that has not won yet, or never will, speaks below the job's root.
"""

import asyncio
import logging
from dataclasses import dataclass, field

from opentelemetry.trace import Span

from autonomy.events import JobFailed, JobReleased, JobStarted, JobSucceeded
from autonomy.telemetry import begin_span, is_traced, root_of, traceparent
from job_runner.claims.queue import Claim

log = logging.getLogger(__name__)


def named(claim: Claim) -> dict[str, str | int]:
    """What a log line of a claim names; the trace's id follows from the job's, whether or not it is traced."""
    order = claim.order
    return {
        "job": order.job_id, "bot": order.bot_id, "tick": order.tick, "attempt": claim.attempt, "claim": claim.claim_id,
        "job_type": order.job_type.value, "trace": order.job_id.replace("-", ""),
    }  # fmt: skip


@dataclass(slots=True)
class JobSpans:
    """Open spans by claim; as many as this process has slots."""

    open: dict[str, Span] = field(default_factory=dict)

    def begin(self, claim: Claim, work: "asyncio.Task[None]") -> None:
        """Begin the span of a claim that won; it ends with the work, however that ends."""
        order = claim.order
        log.info("claim won", extra=named(claim))
        root = root_of(order.job_id)
        if root is None:
            return

        def end(_: "asyncio.Task[None]") -> None:
            self.open.pop(claim.claim_id).end()

        self.open[claim.claim_id] = begin_span("job", root, {
            "autonomy.job": order.job_id, "autonomy.bot": order.bot_id, "autonomy.tick": order.tick,
            "autonomy.job_type": order.job_type.value, "autonomy.attempt": claim.attempt,
        })  # fmt: skip
        work.add_done_callback(end)

    def label(self, claim: Claim, outcome: str) -> None:
        """Say what came of the work."""
        log.info("job ended", extra={**named(claim), "outcome": outcome})
        if claim.claim_id in self.open:
            self.open[claim.claim_id].set_attribute("autonomy.outcome", outcome)

    def parent_of(self, event: JobStarted | JobReleased | JobSucceeded | JobFailed) -> str | None:
        """What a record of a claim names as its `traceparent`; None while tracing is off."""
        if not is_traced():
            return None
        span = self.open.get(event.claim_id)
        context = root_of(event.job_id) if span is None else span.get_span_context()
        return None if context is None else traceparent(context)
