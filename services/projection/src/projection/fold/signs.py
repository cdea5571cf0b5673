"""Signs of life: pulses, runner processes, what they announce, and which claims beat.

Place in the flow: heartbeats and capabilities → **signs** → rows of processes and jobs. Pure. A beat counts for a job only from its
current winner; one that is read before the claim it belongs to is kept with its process until that claim is read.

Source: S9; R-B1.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from autonomy import lifecycle
from autonomy.envelope import Received
from autonomy.events import CapabilitiesAnnounced, HeldJob, JobStarted, PlannerPulse, ProbePulse, RunnerPulse, RunnerSign
from autonomy.lifecycle import JobFold
from autonomy.values import JobStatus, derived_id
from projection.fold.bot_now import Row
from projection.fold.rows import Changes, pulse_row

PROJECTION = derived_id("projection")
MAX_UNMATCHED = 200
"""Claims remembered per process: more than a process holds jobs; the oldest goes first."""


@dataclass(slots=True)
class Signs:
    """What is known of each process.

    Attributes:
        rows: by process id, without `unmatched`. They are changed in place: what goes to the database is a copy.
        unmatched: per process the claims that beat and are not known yet, with the time of the beat; the oldest first.
        touched: processes whose row changed in the open batch.
        pulses: the newest of each source and process in the open batch, with its time of append.
        fault: what of the log this projection cannot read, in words; None before it has looked.
        looked_at: when that was last so, until the next batch takes it along.
    """

    rows: dict[str, Row] = field(default_factory=dict)
    unmatched: dict[str, dict[str, str]] = field(default_factory=dict)
    touched: dict[str, None] = field(default_factory=dict)
    pulses: dict[tuple[type, str], tuple[Received, datetime]] = field(default_factory=dict)
    fault: str | None = None
    looked_at: datetime | None = None

    @classmethod
    def of_rows(cls, rows: Iterable[Mapping[str, object]]) -> "Signs":
        """As the rows in the database tell."""
        signs = cls()
        for row in rows:
            process_id, early = str(row["process_id"]), row["unmatched"]
            signs.rows[process_id] = {name: value for name, value in row.items() if name != "unmatched"}
            signs.unmatched[process_id] = dict(early) if isinstance(early, dict) else {}
        return signs

    def beat(self, beat: RunnerSign, fold: JobFold, at: datetime) -> list[HeldJob]:
        """A process lives; returns the jobs that it holds by right.

        A pulse says so and no more: what a process is follows from its words on the audited log.
        """
        held = [job for job in beat.jobs if _holds(job, fold)]
        if not isinstance(beat, RunnerPulse):
            self._process(beat.process_id, at).update({
                "research_slots": beat.research_slots, "evolve_slots": beat.evolve_slots, "runner_slots": beat.runner_slots,
                "stopping": beat.stopping,
            })  # fmt: skip
        if beat.process_id in self.rows:
            self._process(beat.process_id, at).update({"last_beat_at": at, "held": len(beat.jobs)})
        if len(held) < len(beat.jobs):
            unmatched = self.unmatched.setdefault(beat.process_id, {})
            unmatched.update(dict.fromkeys([job.claim_id for job in beat.jobs if _may_still_win(job, fold)], at.isoformat()))
            while len(unmatched) > MAX_UNMATCHED:
                del unmatched[next(iter(unmatched))]
        return held

    def claimed(self, step: JobStarted) -> datetime | None:
        """When the winner of a claim last beat, if that was read before the claim."""
        beat_at = self.unmatched.get(step.process_id, {}).pop(step.claim_id, None)
        if beat_at is None:
            return None
        if step.process_id in self.rows:
            self.touched[step.process_id] = None
        return datetime.fromisoformat(beat_at)

    def announced(self, said: CapabilitiesAnnounced, at: datetime) -> None:
        """What a process can do."""
        self._process(said.process_id, at).update({
            "last_beat_at": at, "research_slots": said.research_slots, "evolve_slots": said.evolve_slots,
            "runner_slots": said.runner_slots, "engine_version": said.engine_version,
            "job_types": [job_type.value for job_type in said.job_types],
            "symbols": [bars.model_dump(mode="json", by_alias=True, exclude={"times"}) for bars in said.symbols],
            "strategies": [offer.model_dump(mode="json", by_alias=True) for offer in said.strategies],
            "strategy_faults": [fault.model_dump(mode="json", by_alias=True) for fault in said.strategy_faults],
            "source_faults": [fault.model_dump(mode="json", by_alias=True) for fault in said.faults],
        })  # fmt: skip

    def pulse(self, received: Received, at: datetime) -> None:
        """A planner or a probe lives; the newest sign of each process counts."""
        event = received.event
        if isinstance(event, PlannerPulse | ProbePulse):  # nothing else is on the pulse topic
            self.pulses[type(event), event.process_id] = (received, at)

    def reading(self, fault: str, at: datetime) -> bool:
        """What of the log this projection cannot read, said with each batch while that lasts; returns whether it is worth a batch."""
        before, self.fault = self.fault, fault
        if fault or before != fault:
            self.looked_at = at
        return fault != (before or "")

    def finish(self, changes: Changes) -> None:
        """The rows of the processes that changed, as they are now, and their newest pulses."""
        for process_id in self.touched:
            row = self.rows[process_id] | {"unmatched": dict(self.unmatched[process_id])}
            changes.put("bot_runners", (process_id,), row)
        for received, at in self.pulses.values():
            row = pulse_row(received, at)
            changes.put("pulses", (row["source"], row["process_id"]), row)
        if self.looked_at is not None:
            row = own_row(self.fault or "", self.looked_at)
            changes.put("pulses", (row["source"], row["process_id"]), row)
        self.touched, self.pulses, self.looked_at = {}, {}, None

    def _process(self, process_id: str, at: datetime) -> Row:
        """The row of a process, to be changed."""
        self.touched[process_id] = None
        row = self.rows.get(process_id)
        if row is None:
            row = self.rows[process_id] = _new_process(process_id, at)
            self.unmatched.setdefault(process_id, {})
        return row


def own_row(fault: str, at: datetime) -> Row:
    """The projection's own sign of life; there is one projection, whichever process it is."""
    return {
        "source": "projection", "process_id": PROJECTION, "role": "stuck" if fault else "reading", "head_tick": 0,
        "next_tick_at": None, "problem": fault, "said_at": at, "appended_at": at,
    }  # fmt: skip


def _holds(held: HeldJob, fold: JobFold) -> bool:
    job = fold.jobs.get(held.job_id)
    return job is not None and lifecycle.is_current_claim(job, held.attempt, held.claim_id)


def _may_still_win(held: HeldJob, fold: JobFold) -> bool:
    """Whether the claim may be one that this reader has not come to yet."""
    job = fold.jobs.get(held.job_id)
    if job is None:
        return held.tick > fold.head_tick
    return held.attempt > job.attempt or (held.attempt == job.attempt and job.status is JobStatus.QUEUED)


def _new_process(process_id: str, at: datetime) -> Row:
    return {
        "process_id": process_id, "first_seen_at": at, "last_beat_at": at, "research_slots": 0, "evolve_slots": 0,
        "runner_slots": 0, "held": 0, "stopping": False, "engine_version": "", "job_types": [], "symbols": [], "strategies": [],
        "strategy_faults": [], "source_faults": [],
    }  # fmt: skip
