"""What comes of a claim's work: a result, a cause of failure, or nothing at all.

Place in the flow: research and paper sessions → **outcome** → app, which says it to the log.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from autonomy.errors import BadInput
from autonomy.events import EvolutionSummary, JobFailed, JobSucceeded, PaperSummary, ResearchSummary
from autonomy.values import Cause
from job_runner.claims.queue import Claim

Result = JobSucceeded | JobFailed


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a job: a result, a cause of failure, or neither when it was cancelled."""

    make: Callable[[Claim, str], Result] | None
    label: str


def succeeded(
    *, result: ResearchSummary | None = None, evolution: EvolutionSummary | None = None, paper: PaperSummary | None = None
) -> Outcome:
    """A result, of the kind that the job is about."""

    def make(claim: Claim, process_id: str) -> Result:
        return JobSucceeded(**named(claim, process_id), result=result, evolution=evolution, paper=paper)

    return Outcome(make, "succeeded")


def failed(cause: Cause, detail: str, refusal: BadInput | None = None, *, may_pass: bool = False) -> Outcome:
    """A failure with its cause; `may_pass` when the same order on the announced data may go well later, or elsewhere."""

    def make(claim: Claim, process_id: str) -> Result:
        return JobFailed(
            **named(claim, process_id), cause=cause, detail=detail[:500],
            field=refusal.field[:500] if refusal else None, limit=refusal.limit[:500] if refusal else None, may_pass=may_pass,
        )  # fmt: skip

    return Outcome(make, cause.value)


def named(claim: Claim, process_id: str) -> dict[str, Any]:
    """The fields by which an event names the claim that it is said under."""
    order = claim.order
    return {
        "job_id": order.job_id, "bot_id": order.bot_id, "tick": order.tick, "attempt": claim.attempt,
        "claim_id": claim.claim_id, "process_id": process_id,
    }  # fmt: skip
