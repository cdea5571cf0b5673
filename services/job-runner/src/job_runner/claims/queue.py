"""Which jobs this process may claim, which claims it holds, and which it must give back.

Place in the flow: between the log (accepted ticks, job events, beats) and the work. Pure: times are arguments; the shell
appends what this returns. Every process folds the same records, so all of them see the same winner.

Source: S8 to S10.
"""

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import lru_cache

from autonomy import lifecycle
from autonomy.chain import AcceptedTick
from autonomy.events import AnnouncementRequested, HeldJob, JobEnqueued, RunnerSign
from autonomy.lifecycle import Job, JobFold, JobStep
from autonomy.values import JobStatus, JobType, ms_of
from autonomy.work import JOB_KINDS, Work

RANK_STEP_MS = 50.0
MAX_GIVE_UPS_IN_A_ROW = 2
MAX_CLAIMS_PER_TURN = 1_000


class ClaimState(StrEnum):
    """The life of a claim inside its process; started and given up exclude each other for ever."""

    WAITING = "WAITING"
    STARTED = "STARTED"
    GIVEN_UP = "GIVEN_UP"


@dataclass(slots=True)
class Claim:
    """One claim; its id is fresh, never the process's.

    Attributes:
        enqueued_ms: wall time of the tick that enqueued the job.
        confirmed_mono_ms: when the newest acknowledged sign of life of this claim was sent: the claim itself, then its beats.
        fenced: once there was none for half a lease: nothing is done under this claim until a fresh read shows that it wins.
        turned_mono_ms: when its task last completed a turn, for work that is done inside this process.
    """

    order: JobEnqueued
    attempt: int
    claim_id: str
    made_mono_ms: float
    state: ClaimState = ClaimState.WAITING
    phase: str = "waiting"
    progress: float = 0.0
    enqueued_ms: int = 0
    confirmed_mono_ms: float = 0.0
    fenced: bool = False
    turned_mono_ms: float | None = None

    @property
    def work(self) -> Work:
        """Whose slots it takes."""
        return JOB_KINDS[self.order.job_type].work

    def held(self) -> HeldJob:
        """As signs of life list it."""
        order = self.order
        return HeldJob(
            job_id=order.job_id, bot_id=order.bot_id, tick=order.tick, attempt=self.attempt, claim_id=self.claim_id,
            phase=self.phase[:100], progress=min(1.0, max(0.0, self.progress)),
        )  # fmt: skip

    def confirm(self, mono_ms: float) -> None:
        """A beat that was sent at this time, and lists this claim, is acknowledged.

        A silence that is over is no reason to go on: what happened during it must be read first.
        """
        self.is_silent(mono_ms)
        self.confirmed_mono_ms = max(self.confirmed_mono_ms, mono_ms)

    def is_silent(self, mono_ms: float) -> bool:
        """Whether half a lease went by without an acknowledged sign of life; then the claim is fenced too."""
        silent = mono_ms - self.confirmed_mono_ms >= self.order.lease_s * 1000 / 2
        self.fenced = self.fenced or silent
        return silent

    def works_since(self, mono_ms: float) -> bool:
        """Whether its task has turned since then; True for work that other processes do and report on."""
        return self.turned_mono_ms is None or self.turned_mono_ms >= mono_ms


@dataclass(slots=True)
class Rules:
    """What this process may do at once.

    Attributes:
        slots: jobs that it works on at once, by kind of work; none of a kind that is not named.
        deadline_ms: local monotonic time from claim to reading its own win.
        beat_ms: how often it beats; a process is recent for five beats.
    """

    process_id: str
    slots: Mapping[Work, int]
    deadline_ms: float
    beat_ms: float
    job_types: frozenset[JobType]

    def fit(self, lease_s: float) -> bool:
        """Whether this process may claim under a lease: the policy in force says it, not the setting that was checked at the start.

        Who beats too slowly for it would lose every claim; who may read its win as late as half a lease could start work that was
        given to somebody else already.
        """
        return self.beat_ms <= lease_s * 1000 / 5 and self.deadline_ms < lease_s * 1000 / 2


@dataclass(slots=True)
class Queue:
    """Jobs and claims as this process sees them.

    Attributes:
        enqueued_ms: wall time of the tick that enqueued a job.
        since: monotonic time at which the fold first showed a job queued at its attempt.
        lag_ms: from the append of the last own beat to reading it back.
        releases: per job, for the alarm.
        can_run: whether this process offers an order's strategy; others may.
        asked_again: whether the planner does not hold this process's announcement, and asked for it.
    """

    rules: Rules
    fold: JobFold = field(default_factory=JobFold)
    orders: dict[str, JobEnqueued] = field(default_factory=dict)
    enqueued_ms: dict[str, int] = field(default_factory=dict)
    since: dict[str, tuple[int, float]] = field(default_factory=dict)
    claims: dict[str, Claim] = field(default_factory=dict)
    peers: dict[str, float] = field(default_factory=dict)
    give_ups: int = 0
    lag_ms: float = 0.0
    lost_claims: int = 0
    mono_ms: float = 0.0
    asked_again: bool = False
    can_run: Callable[[JobEnqueued], bool] = lambda _order: True

    def apply(self, tick: AcceptedTick, mono_ms: float) -> None:
        """Take an accepted tick whole."""
        self.mono_ms = mono_ms
        for seq, event in enumerate(tick.events(), start=1):
            if isinstance(event, JobEnqueued):
                self.orders[event.job_id] = event
                self.enqueued_ms[event.job_id] = ms_of(tick.seal.now)
                job = lifecycle.enqueued(event, seq)
                self.fold.enqueue(job)
                self.since[job.job_id] = (job.attempt, mono_ms)
            elif isinstance(event, AnnouncementRequested) and event.process_id == self.rules.process_id:
                self.asked_again = True
        self.fold.reach(tick.seal.tick, self._changed)

    def step(self, step: JobStep, mono_ms: float) -> None:
        """Take a job event."""
        self.mono_ms = mono_ms
        self.fold.step(step, self._changed)

    def beat(self, beat: RunnerSign, mono_ms: float) -> None:
        """Take a sign of life of any runner process."""
        if beat.stopping:
            self.peers.pop(beat.process_id, None)
        else:
            self.peers[beat.process_id] = mono_ms

    def _changed(self, before: Job, after: Job, _: JobStep) -> None:
        if after.status is JobStatus.QUEUED and after.attempt != before.attempt:
            self.since[after.job_id] = (after.attempt, self.mono_ms)
        if not after.status.is_live:
            self.fold.forget(after.job_id)
            self.orders.pop(after.job_id, None)
            self.enqueued_ms.pop(after.job_id, None)
            self.since.pop(after.job_id, None)

    def job_of(self, claim: Claim) -> Job | None:
        """The claim's job while it lives."""
        return self.fold.jobs.get(claim.order.job_id)

    def wins(self, claim: Claim) -> bool:
        """Whether the fold shows this claim as the current winner."""
        job = self.job_of(claim)
        return job is not None and lifecycle.is_current_claim(job, claim.attempt, claim.claim_id)

    def held(self) -> list[Claim]:
        """Claims that take a slot: waiting and started."""
        return [claim for claim in self.claims.values() if claim.state is not ClaimState.GIVEN_UP]

    def free_slots(self) -> Counter[Work]:
        """How many more jobs of each kind of work this process may take on."""
        free = Counter(self.rules.slots)
        free.subtract(claim.work for claim in self.held())
        return free

    def claimable(self, mono_ms: float) -> list[JobEnqueued]:
        """The jobs to claim now: each kind's oldest first, after this process's rank, as many as the kind has free slots."""
        free = self.free_slots()
        if max(free.values(), default=0) <= 0 or not self._trusts_itself():
            return []
        # A given-up claim whose append was lost must not keep the job from this process for ever: claim ids are fresh.
        busy = {claim.order.job_id for claim in self.held()}
        recent = self._recent_peers(mono_ms)
        found: list[JobEnqueued] = []
        for job in sorted(self._queued(), key=lambda job: (job.tick, job.seq)):
            work = JOB_KINDS[job.job_type].work
            if free[work] <= 0 or job.job_id in busy or job.job_type not in self.rules.job_types:
                continue
            order = self.orders[job.job_id]
            if not self.rules.fit(order.lease_s) or not self.can_run(order):
                continue
            _, since_ms = self.since[job.job_id]
            if mono_ms - since_ms >= rank_of(self.rules.process_id, job, recent) * RANK_STEP_MS:
                found.append(self.orders[job.job_id])
                free[work] -= 1
                if len(found) >= MAX_CLAIMS_PER_TURN or max(free.values()) <= 0:
                    break
        return found

    def _queued(self) -> Iterable[Job]:
        return (job for job in self.fold.jobs.values() if job.status is JobStatus.QUEUED)

    def _recent_peers(self, mono_ms: float) -> list[str]:
        limit = 5 * self.rules.beat_ms
        return [peer for peer, seen in self.peers.items() if mono_ms - seen <= limit]

    def _trusts_itself(self) -> bool:
        """After two give-ups in a row a process claims nothing until it reads fast enough again."""
        if self.give_ups < MAX_GIVE_UPS_IN_A_ROW:
            return True
        if self.lag_ms < self.rules.deadline_ms / 2:
            self.give_ups = 0
            return True
        return False

    def claimed(self, order: JobEnqueued, claim_id: str, mono_ms: float) -> Claim:
        """Remember a claim that is about to be appended."""
        claim = Claim(
            order, self.fold.jobs[order.job_id].attempt, claim_id, mono_ms,
            enqueued_ms=self.enqueued_ms[order.job_id], confirmed_mono_ms=mono_ms,
        )  # fmt: skip
        self.claims[claim_id] = claim
        return claim

    def settle(self, mono_ms: float) -> list[Claim]:
        """Decide every waiting claim, in one local step each; returns those to start now."""
        started: list[Claim] = []
        for claim in list(self.claims.values()):
            if claim.state is not ClaimState.WAITING:
                continue
            late = mono_ms - claim.made_mono_ms >= self.rules.deadline_ms
            if late:
                claim.state = ClaimState.GIVEN_UP
                self.give_ups += 1
            elif self.wins(claim):
                claim.state = ClaimState.STARTED
                self.give_ups = 0
                started.append(claim)
            elif self._is_lost(claim):
                self.lost_claims += 1
                del self.claims[claim.claim_id]
        return started

    def _is_lost(self, claim: Claim) -> bool:
        job = self.job_of(claim)
        if job is None or job.attempt != claim.attempt:
            return True
        return job.status is JobStatus.RUNNING and job.claim_id != claim.claim_id

    def to_release(self) -> list[Claim]:
        """Given-up claims that win after all: to be released, again and again until that is effective."""
        return [claim for claim in self.claims.values() if claim.state is ClaimState.GIVEN_UP and self.wins(claim)]

    def forget_settled(self) -> None:
        """Drop given-up claims that can no longer win: the job is gone, or at another attempt, or somebody else's."""
        for claim in list(self.claims.values()):
            if claim.state is ClaimState.GIVEN_UP and self._is_lost(claim):
                del self.claims[claim.claim_id]

    def overtaken(self) -> list[Claim]:
        """Started claims that no longer win: their work must stop, its result would be void."""
        return [claim for claim in self.claims.values() if claim.state is ClaimState.STARTED and not self.wins(claim)]

    def yield_to_others(self, claim: Claim, mono_ms: float) -> None:
        """Our attempt hung: do not claim the job again for one lease, so that another process gets the first chance."""
        job = self.job_of(claim)
        if job is not None and job.status is JobStatus.QUEUED:
            self.since[job.job_id] = (job.attempt, mono_ms + claim.order.lease_s * 1000)

    def done(self, claim: Claim) -> None:
        """The work of a claim ended, whatever came of it."""
        self.claims.pop(claim.claim_id, None)


def rank_of(process_id: str, job: Job, recent: Iterable[str]) -> int:
    """This process's place for this job, in an order that every process derives alike."""
    mine = _weight(process_id, job.job_id, job.attempt)
    return sum(1 for peer in recent if peer != process_id and _weight(peer, job.job_id, job.attempt) < mine)


@lru_cache(maxsize=65_536)
def _weight(process_id: str, job_id: str, attempt: int) -> bytes:
    """Asked for again on every turn while a job waits."""
    return hashlib.sha256(f"{process_id}/{job_id}/{attempt}".encode()).digest()


def slots_of(wanted: Mapping[Work, int], job_types: Iterable[JobType]) -> dict[Work, int]:
    """The slots by kind of work, none for what nobody here can do."""
    able = {JOB_KINDS[job_type].work for job_type in job_types}
    return {work: slots for work, slots in wanted.items() if work in able and slots}
