"""Signs of life: runner processes, what they announce, and which claims beat.

Place in the flow: heartbeats and capabilities → **signs** → rows of processes and jobs. Pure. A beat counts for a job only from its
current winner; one that is read before the claim it belongs to is kept with its process until that claim is read.

Source: S9; R-B1.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from autonomy import lifecycle
from autonomy.events import CapabilitiesAnnounced, HeldJob, JobStarted, RunnerHeartbeat
from autonomy.lifecycle import JobFold
from autonomy.values import JobStatus
from projection.bot_now import Row
from projection.rows import Changes

MAX_UNMATCHED = 200
"""Claims remembered per process: more than a process holds jobs; the oldest goes first."""


@dataclass(slots=True)
class Signs:
    """Processes by id, each with the claims that beat and are not known yet."""

    rows: dict[str, Row] = field(default_factory=dict)

    def beat(self, beat: RunnerHeartbeat, fold: JobFold, at: datetime, changes: Changes) -> list[HeldJob]:
        """A process lives; returns the jobs that it holds by right."""
        known = self.rows.get(beat.process_id) or _new_process(beat.process_id, at)
        held = [job for job in beat.jobs if _holds(job, fold)]
        early = [job.claim_id for job in beat.jobs if _may_still_win(job, fold)] if len(held) < len(beat.jobs) else []
        unmatched = _unmatched(known)
        if early:  # the row before may be on its way to the database: it is not touched
            unmatched = {**unmatched, **dict.fromkeys(early, at.isoformat())}
            unmatched = dict(list(unmatched.items())[-MAX_UNMATCHED:])
        self._put(known | {
            "last_beat_at": at, "research_slots": beat.research_slots, "evolve_slots": beat.evolve_slots,
            "runner_slots": beat.runner_slots, "held": len(beat.jobs), "stopping": beat.stopping, "unmatched": unmatched,
        }, changes)  # fmt: skip
        return held

    def claimed(self, step: JobStarted, changes: Changes) -> datetime | None:
        """When the winner of a claim last beat, if that was read before the claim."""
        row = self.rows.get(step.process_id)
        if row is None:
            return None
        unmatched = _unmatched(row)
        beat_at = unmatched.get(step.claim_id)
        if beat_at is None:
            return None
        self._put(row | {"unmatched": {claim: at for claim, at in unmatched.items() if claim != step.claim_id}}, changes)
        return datetime.fromisoformat(beat_at)

    def announced(self, said: CapabilitiesAnnounced, at: datetime, changes: Changes) -> None:
        """What a process can do."""
        known = self.rows.get(said.process_id) or _new_process(said.process_id, at)
        self._put(known | {
            "last_beat_at": at, "research_slots": said.research_slots, "evolve_slots": said.evolve_slots,
            "runner_slots": said.runner_slots, "engine_version": said.engine_version,
            "symbols": [bars.model_dump(mode="json", by_alias=True, exclude={"days"}) for bars in said.symbols],
            "strategies": [code.model_dump(mode="json", by_alias=True) for code in said.strategies],
        }, changes)  # fmt: skip

    def _put(self, row: Row, changes: Changes) -> None:
        self.rows[str(row["process_id"])] = row
        changes.put("bot_runners", (row["process_id"],), row)


def _holds(held: HeldJob, fold: JobFold) -> bool:
    job = fold.jobs.get(held.job_id)
    return job is not None and lifecycle.is_current_claim(job, held.attempt, held.claim_id)


def _may_still_win(held: HeldJob, fold: JobFold) -> bool:
    """Whether the claim may be one that this reader has not come to yet."""
    job = fold.jobs.get(held.job_id)
    if job is None:
        return held.tick > fold.head_tick
    return held.attempt > job.attempt or (held.attempt == job.attempt and job.status is JobStatus.QUEUED)


def _unmatched(row: Row) -> Mapping[str, str]:
    found = row["unmatched"]
    return found if isinstance(found, dict) else {}


def _new_process(process_id: str, at: datetime) -> Row:
    return {
        "process_id": process_id, "first_seen_at": at, "last_beat_at": at, "research_slots": 0, "evolve_slots": 0,
        "runner_slots": 0, "held": 0, "stopping": False, "engine_version": "", "symbols": [], "strategies": [], "unmatched": {},
    }  # fmt: skip
