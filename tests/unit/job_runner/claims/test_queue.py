"""Which jobs a process claims, when it starts, and what it gives back.

Source: S8 to S10.
"""

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from autonomy import lifecycle
from autonomy.chain import GENESIS, AcceptedTick, Chain, write_records
from autonomy.events import JobCancelled, JobEnqueued, JobReleased, JobRequeued, JobStarted, JobSucceeded
from autonomy.lifecycle import JobStep
from autonomy.values import Cause, JobStatus, JobType
from job_runner.claims.queue import GROUP_OF, MAX_GIVE_UPS_IN_A_ROW, RANK_STEP_MS, Claim, ClaimState, Queue, Rules, SlotGroup, rank_of
from support.builders import NOON_MS, a_beat, an_id, an_order
from support.ticks import a_seal, feed_all, stored

DEADLINE_MS = 5_000.0
PROCESS = an_id("runner-1")


def a_queue(process: str = "runner-1", *, slots: int = 2, beat_ms: float = 2_000.0) -> Queue:
    return Queue(Rules(an_id(process), {SlotGroup.RESEARCH: slots}, DEADLINE_MS, beat_ms, frozenset({JobType.BACKTEST_BASELINE})))


def a_mixed_queue(**slots: int) -> Queue:
    """A process that does everything, with these slots by group."""
    return Queue(Rules(PROCESS, {SlotGroup(group): count for group, count in slots.items()}, DEADLINE_MS, 2_000.0, frozenset(JobType)))


def ticks_of(*ticks: Sequence[JobEnqueued]) -> list[AcceptedTick]:
    """Accepted ticks with these jobs, through the real chain."""
    chain, head, offset, done = Chain(), GENESIS, 0, list[AcceptedTick]()
    for number, orders in enumerate(ticks, start=1):
        records = write_records(orders, [order.bot_id for order in orders], number, an_id(f"t{number}"), NOON_MS)
        batch = stored([*records, a_seal(head, records, f"t{number}")], offset)
        (tick,) = feed_all(chain, batch)
        done.append(tick)
        head, offset = chain.head, offset + len(batch)
    return done


def orders(count: int, tick: int = 1, **changes: Any) -> list[JobEnqueued]:
    return [an_order(f"bot-{tick}-{seq}", tick=tick, seq=seq, **changes) for seq in range(1, count + 1)]


def loaded(queue: Queue, *ticks: Sequence[JobEnqueued], mono_ms: float = 0.0) -> Queue:
    for tick in ticks_of(*ticks):
        queue.apply(tick, mono_ms)
    return queue


def claim(queue: Queue, order: JobEnqueued, name: str = "claim", mono_ms: float = 0.0) -> Claim:
    return queue.claimed(order, an_id(name), mono_ms)


def started(made: Claim, *, claim_id: str = "", process: str = PROCESS) -> JobStarted:
    order = made.order
    return JobStarted(
        job_id=order.job_id, bot_id=order.bot_id, tick=order.tick, attempt=made.attempt,
        claim_id=claim_id or made.claim_id, process_id=process,
    )  # fmt: skip


def released(made: Claim) -> JobReleased:
    return JobReleased(**started(made).model_dump(), cause=Cause.CLAIM_GIVEN_UP)


def requeued(made: Claim) -> JobRequeued:
    order = made.order
    return JobRequeued(job_id=order.job_id, bot_id=order.bot_id, tick=order.tick, attempt=made.attempt, cause=Cause.LEASE_EXPIRED)


def names(found: Sequence[JobEnqueued]) -> list[str]:
    return [order.bot_id for order in found]


# ── what to claim ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_oldest_jobs_are_claimed_first() -> None:
    queue = loaded(a_queue(slots=3), orders(2, 1), orders(2, 2))
    assert names(queue.claimable(0.0)) == ["bot-1-1", "bot-1-2", "bot-2-1"]


def test_no_more_claims_than_free_slots() -> None:
    queue = loaded(a_queue(slots=2), orders(4))
    claim(queue, queue.claimable(0.0)[0])
    assert len(queue.claimable(0.0)) == 1
    claim(queue, queue.claimable(0.0)[0], "second")
    assert queue.claimable(0.0) == []


def test_waiting_claim_takes_its_slot_and_given_up_one_does_not() -> None:
    queue = loaded(a_queue(slots=1), orders(2))
    claim(queue, queue.claimable(0.0)[0])
    assert queue.claimable(0.0) == []
    queue.settle(DEADLINE_MS)
    assert len(queue.claimable(DEADLINE_MS)) == 1


def test_job_of_another_type_is_left_to_others() -> None:
    queue = loaded(a_queue(), orders(1, job_type=JobType.EVOLVE))
    assert queue.claimable(0.0) == []


@pytest.mark.parametrize("full", list(SlotGroup))
def test_full_group_never_holds_up_another(full: SlotGroup) -> None:
    """Older jobs of the full group stand before everything else in the queue."""
    types = {GROUP_OF[kind]: kind for kind in JobType}
    older = [an_order(f"old-{n}", tick=1, seq=n, job_type=types[full]) for n in (1, 2, 3)]
    others = [group for group in SlotGroup if group is not full]
    younger = [an_order(f"new-{group}", tick=2, seq=n, job_type=types[group]) for n, group in enumerate(others, start=1)]
    queue = loaded(a_mixed_queue(research=1, evolve=1, runner=1), older, younger)
    assert names(queue.claimable(0.0)) == ["old-1", *(f"new-{group}" for group in others)]
    claim(queue, queue.claimable(0.0)[0])
    assert names(queue.claimable(0.0)) == [f"new-{group}" for group in others]


def test_group_without_slots_is_left_to_others() -> None:
    queue = loaded(a_mixed_queue(research=2), [an_order("evolves", job_type=JobType.EVOLVE), an_order("tests", seq=2)])
    assert names(queue.claimable(0.0)) == ["tests"]


def test_each_group_gives_its_own_slots_to_its_oldest_jobs() -> None:
    kinds = (JobType.RUNNER_START, JobType.BACKTEST_BASELINE, JobType.EVOLVE, JobType.BACKTEST_REFRESH)
    jobs = [an_order(f"bot-{n:02}", seq=n, job_type=kinds[n % 4]) for n in range(1, 21)]
    found = loaded(a_mixed_queue(research=3, evolve=1, runner=4), jobs).claimable(0.0)
    by_group = {group: [order.bot_id for order in found if GROUP_OF[order.job_type] is group] for group in SlotGroup}
    for group, slots in ((SlotGroup.RESEARCH, 3), (SlotGroup.EVOLVE, 1), (SlotGroup.RUNNER, 4)):
        assert by_group[group] == [job.bot_id for job in jobs if GROUP_OF[job.job_type] is group][:slots]


def test_every_job_type_belongs_to_a_group() -> None:
    assert set(GROUP_OF) == set(JobType)


def test_running_job_is_not_claimed() -> None:
    queue = loaded(a_queue(), orders(1))
    made = claim(a := loaded(a_queue("other"), orders(1)), a.claimable(0.0)[0])
    queue.step(started(made), 1.0)
    assert queue.claimable(1.0) == []


def test_claim_comes_after_this_process_rank_for_the_job() -> None:
    """Rank 0 at once; every recent peer before it in hash order costs 50 ms, counted from when the job was first seen."""
    queue = loaded(a_queue(slots=40), orders(40), mono_ms=1_000.0)
    for peer in ("runner-2", "runner-3"):
        queue.beat(a_beat(peer), 900.0)
    peers = [an_id("runner-2"), an_id("runner-3")]
    ranks = {job.bot_id: rank_of(PROCESS, job, peers) for job in queue.fold.jobs.values()}
    assert set(ranks.values()) == {0, 1, 2}
    for rank in (0, 1, 2):
        at = 1_000.0 + rank * RANK_STEP_MS
        expected = {bot for bot, mine in ranks.items() if mine <= rank}
        assert set(names(queue.claimable(at))) == expected
        if rank:
            assert set(names(queue.claimable(at - 1))) < expected


def test_every_process_derives_the_same_order() -> None:
    processes = [an_id(f"runner-{number}") for number in range(5)]
    for order in orders(10):
        job = lifecycle.enqueued(order, 1)
        assert sorted(rank_of(process, job, processes) for process in processes) == [0, 1, 2, 3, 4]


def test_rank_for_a_job_changes_with_its_attempt() -> None:
    """Otherwise the same slow process would come first for ever."""
    processes = [an_id(f"runner-{number}") for number in range(4)]
    job = lifecycle.enqueued(orders(1)[0], 1)
    firsts = set()
    for attempt in range(1, 12):
        job = lifecycle.Job(job.job_id, job.bot_id, job.job_type, job.job_class, 1, 1, 0, attempt=attempt)
        firsts.add(min(processes, key=lambda process: rank_of(process, job, processes)))
    assert len(firsts) > 1


def test_silent_or_stopping_peer_no_longer_counts() -> None:
    queue = loaded(a_queue(slots=20), orders(12))
    queue.beat(a_beat("runner-2"), 0.0)
    some = len(queue.claimable(0.0))
    assert some < 12
    queue.beat(a_beat("runner-2", stopping=True), 0.0)
    assert len(queue.claimable(0.0)) == 12
    queue.beat(a_beat("runner-2"), 0.0)
    again = loaded(queue, orders(0), mono_ms=0.0)
    again.since = {job_id: (attempt, 10_001.0) for job_id, (attempt, _) in again.since.items()}
    assert len(again.claimable(10_001.0)) == 12


def test_job_that_returns_to_the_queue_is_ranked_anew() -> None:
    queue = loaded(a_queue(), orders(1))
    made = claim(queue, queue.claimable(0.0)[0])
    queue.step(started(made), 10.0)
    queue.step(released(made), 700.0)
    assert queue.since[made.order.job_id] == (2, 700.0)


@pytest.mark.parametrize(("beat_ms", "claims"), [(3_000.0, 1), (3_000.1, 0)])
def test_process_that_beats_too_slowly_for_the_lease_does_not_claim(beat_ms: float, claims: int) -> None:
    """It would lose every claim to the lease of 15 s."""
    assert len(loaded(a_queue(beat_ms=beat_ms), orders(1)).claimable(0.0)) == claims


@pytest.mark.parametrize(("lease_s", "claims"), [(10.1, 1), (10.0, 0), (6.0, 0)])
def test_process_that_reads_its_win_too_late_for_the_lease_does_not_claim(lease_s: float, claims: int) -> None:
    """The deadline of 5 s must be below half of the order's own lease, whatever lease the process was started for."""
    assert len(loaded(a_queue(beat_ms=1_000.0), orders(1, lease_s=lease_s)).claimable(0.0)) == claims


def test_lease_that_a_process_is_too_slow_for_holds_up_no_other_job() -> None:
    queue = loaded(a_queue(slots=1, beat_ms=1_000.0), orders(1, 1, lease_s=6.0), orders(1, 2))
    assert names(queue.claimable(0.0)) == ["bot-2-1"]


# ── when to start ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_work_starts_only_when_the_own_fold_shows_the_win() -> None:
    queue = loaded(a_queue(), orders(1))
    made = claim(queue, queue.claimable(0.0)[0])
    assert queue.settle(1.0) == []
    queue.step(started(made), 2.0)
    assert queue.settle(3.0) == [made]
    assert made.state is ClaimState.STARTED
    assert queue.settle(4.0) == []


def test_lost_claim_is_forgotten_and_frees_its_slot() -> None:
    queue = loaded(a_queue(slots=1), orders(2))
    made = claim(queue, queue.claimable(0.0)[0])
    queue.step(started(made, claim_id=an_id("theirs"), process=an_id("other")), 1.0)
    queue.step(started(made), 2.0)
    assert queue.settle(3.0) == []
    assert (queue.claims, queue.lost_claims) == ({}, 1)
    assert names(queue.claimable(3.0)) == ["bot-1-2"]


@pytest.mark.parametrize(("read_ms", "starts"), [(DEADLINE_MS - 1, True), (DEADLINE_MS, False)])
def test_win_read_after_the_deadline_starts_nothing(read_ms: float, *, starts: bool) -> None:
    queue = loaded(a_queue(), orders(1))
    made = claim(queue, queue.claimable(0.0)[0])
    queue.step(started(made), read_ms)
    assert (queue.settle(read_ms) == [made]) is starts
    assert made.state is (ClaimState.STARTED if starts else ClaimState.GIVEN_UP)


def test_given_up_claim_never_starts_even_if_it_wins_later() -> None:
    queue = loaded(a_queue(), orders(1))
    made = claim(queue, queue.claimable(0.0)[0])
    queue.settle(DEADLINE_MS)
    queue.step(started(made), DEADLINE_MS + 1)
    assert queue.wins(made)
    assert queue.settle(DEADLINE_MS + 2) == []


def test_started_claim_is_never_given_up() -> None:
    queue = loaded(a_queue(), orders(1))
    made = claim(queue, queue.claimable(0.0)[0])
    queue.step(started(made), 1.0)
    queue.settle(2.0)
    queue.settle(DEADLINE_MS * 100)
    assert made.state is ClaimState.STARTED
    assert queue.to_release() == []


# ── what to give back ─────────────────────────────────────────────────────────────────────────────────────────────────


def test_given_up_claim_that_wins_is_released_again_until_that_is_effective() -> None:
    queue = loaded(a_queue(), orders(1))
    made = claim(queue, queue.claimable(0.0)[0])
    queue.settle(DEADLINE_MS)
    assert queue.to_release() == []
    queue.step(released(made), 6_000.0)
    queue.forget_settled()
    assert made.claim_id in queue.claims
    queue.step(started(made), 6_001.0)
    assert queue.to_release() == queue.to_release() == [made]
    queue.forget_settled()
    assert queue.to_release() == [made]
    queue.step(released(made), 6_002.0)
    assert queue.to_release() == []
    queue.forget_settled()
    assert queue.claims == {}
    assert queue.fold.jobs[made.order.job_id].attempt == 2


def test_given_up_claim_whose_append_was_lost_does_not_keep_the_job_from_this_process() -> None:
    """The only runner left must be able to claim it again, with a fresh id."""
    queue = loaded(a_queue(slots=1), orders(1))
    lost = claim(queue, queue.claimable(0.0)[0], "lost")
    queue.settle(DEADLINE_MS)
    again = claim(queue, queue.claimable(DEADLINE_MS)[0], "again", DEADLINE_MS)
    queue.step(started(again), DEADLINE_MS + 1)
    assert queue.settle(DEADLINE_MS + 2) == [again]
    queue.step(started(lost), DEADLINE_MS + 3)
    assert queue.to_release() == []
    queue.forget_settled()
    assert list(queue.claims) == [again.claim_id]


def test_after_two_give_ups_in_a_row_it_claims_nothing_until_it_reads_fast_enough() -> None:
    queue = loaded(a_queue(slots=1), orders(3))
    queue.lag_ms = DEADLINE_MS
    for number in range(MAX_GIVE_UPS_IN_A_ROW):
        (order,) = queue.claimable(number * 10_000.0)
        claim(queue, order, f"claim-{number}", number * 10_000.0)
        queue.settle(number * 10_000.0 + DEADLINE_MS)
    assert queue.claimable(30_000.0) == []
    queue.lag_ms = DEADLINE_MS / 2
    assert queue.claimable(30_000.0) == []
    queue.lag_ms = DEADLINE_MS / 2 - 1
    assert len(queue.claimable(30_000.0)) == 1


def test_start_between_two_give_ups_breaks_the_row() -> None:
    queue = loaded(a_queue(slots=3), orders(3))
    queue.lag_ms = DEADLINE_MS
    late, good, later = (claim(queue, order, order.bot_id) for order in queue.claimable(0.0))
    late.made_mono_ms = -DEADLINE_MS
    queue.settle(0.0)
    queue.step(started(good), 1.0)
    queue.settle(1.0)
    later.made_mono_ms = -DEADLINE_MS
    queue.settle(2.0)
    assert queue.give_ups == 1


# ── what to stop ──────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("how", ["requeued", "cancelled"])
def test_started_claim_that_no_longer_wins_is_overtaken(how: str) -> None:
    queue = loaded(a_queue(), orders(1))
    made = claim(queue, queue.claimable(0.0)[0])
    queue.step(started(made), 1.0)
    queue.settle(1.0)
    assert queue.overtaken() == []
    step: JobStep = requeued(made)
    if how == "cancelled":
        step = JobCancelled(**{**requeued(made).model_dump(), "cause": Cause.CANCELLED_BY_OPERATOR})
    queue.step(step, 2.0)
    assert queue.overtaken() == [made]
    queue.done(made)
    assert (queue.overtaken(), queue.claims) == ([], {})


def test_ended_job_is_forgotten_whole() -> None:
    queue = loaded(a_queue(), orders(1))
    made = claim(queue, queue.claimable(0.0)[0])
    queue.step(started(made), 1.0)
    queue.step(JobSucceeded(**started(made).model_dump(), result=None), 2.0)
    assert (queue.fold.jobs, queue.orders, queue.since) == ({}, {}, {})


def test_job_event_read_before_its_tick_waits_for_it() -> None:
    """Source: S8."""
    (tick,) = ticks_of(orders(1))
    other = loaded(a_queue("other"), orders(1))
    made = claim(other, other.claimable(0.0)[0])
    queue = a_queue()
    queue.step(started(made), 1.0)
    assert queue.fold.pending_steps == 1
    queue.apply(tick, 2.0)
    assert queue.fold.jobs[made.order.job_id].status is JobStatus.RUNNING
    assert queue.claimable(3.0) == []


def test_process_where_the_work_hung_leaves_the_job_to_others_for_a_lease() -> None:
    queue = loaded(a_queue(), orders(1))
    made = claim(queue, queue.claimable(0.0)[0])
    queue.step(started(made), 1.0)
    queue.settle(1.0)
    queue.yield_to_others(made, 2.0)
    queue.step(requeued(made), 20_000.0)
    assert queue.overtaken() == [made]
    queue.yield_to_others(made, 20_000.0)
    queue.done(made)
    assert queue.claimable(34_999.0) == []
    assert len(queue.claimable(35_000.0)) == 1
    other = loaded(a_queue("other"), orders(1))
    other.step(started(made), 1.0)
    other.step(requeued(made), 20_000.0)
    assert len(other.claimable(20_000.0)) == 1


# ── silence ───────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("silent_ms", "fenced"), [(7_499.9, False), (7_500.0, True)])
def test_half_a_lease_without_an_acknowledged_beat_fences_the_claim(silent_ms: float, *, fenced: bool) -> None:
    queue = loaded(a_queue(), orders(1))
    made = claim(queue, queue.claimable(0.0)[0], mono_ms=1_000.0)
    made.confirm(3_000.0)
    assert made.is_silent(3_000.0 + silent_ms) is fenced
    assert made.fenced is fenced


def test_beat_acknowledged_after_a_long_silence_leaves_the_claim_fenced() -> None:
    """A process that was frozen beats first and looks second; what happened meanwhile must be read before it goes on."""
    queue = loaded(a_queue(), orders(1))
    made = claim(queue, queue.claimable(0.0)[0])
    made.confirm(8_000.0)
    assert not made.is_silent(8_001.0)
    assert made.fenced


def test_beats_in_time_never_fence() -> None:
    queue = loaded(a_queue(), orders(1))
    made = claim(queue, queue.claimable(0.0)[0])
    for beat in range(1, 100):
        made.confirm(beat * 2_000.0)
    made.confirm(10.0)
    assert not made.is_silent(99 * 2_000.0 + 7_000.0)
    assert not made.fenced


def test_task_that_has_not_turned_since_the_last_beat_does_not_work() -> None:
    queue = loaded(a_queue(), orders(1))
    made = claim(queue, queue.claimable(0.0)[0])
    assert made.works_since(1e9), "work that other processes do reports for itself"
    made.turned_mono_ms = 4_000.0
    assert made.works_since(4_000.0)
    assert not made.works_since(4_000.1)


# ── two processes and a planner, any interleaving ─────────────────────────────────────────────────────────────────────


class TwoRunners(RuleBasedStateMachine):
    """Two real queues that read one log at their own pace; appends land late; a planner reaps what it likes."""

    @initialize()
    def begin(self) -> None:
        """One tick with two jobs."""
        self.queues = [loaded(a_queue(f"runner-{number}", slots=1), orders(2)) for number in (1, 2)]
        self.truth = {order.job_id: lifecycle.enqueued(order, seq) for seq, order in enumerate(orders(2), start=1)}
        self.log: list[JobStep] = []
        self.flying: list[JobStep] = []
        self.read = [0, 0]
        self.now = 0.0
        self.drawn = 0
        self.workers: dict[tuple[str, int], str] = {}
        self.running: list[tuple[int, Claim]] = []

    @rule(who=st.integers(0, 1))
    def claim(self, who: int) -> None:
        """Append claims for what may be claimed."""
        queue = self.queues[who]
        for order in queue.claimable(self.now):
            self.drawn += 1
            made = queue.claimed(order, an_id(f"drawn-{self.drawn}"), self.now)
            self.flying.append(started(made, process=queue.rules.process_id))

    @precondition(lambda self: self.flying)
    @rule(which=st.integers(0, 20), lost=st.booleans())
    def land(self, which: int, *, lost: bool) -> None:
        """One of the appends lands, in any order, or is lost."""
        step = self.flying.pop(which % len(self.flying))
        if lost and isinstance(step, JobStarted | JobReleased):
            return
        self.log.append(step)
        before = self.truth[step.job_id]
        after = lifecycle.apply(before, step)
        if after is None:
            return
        if isinstance(step, JobReleased):
            assert (step.job_id, step.attempt) not in self.workers
        self.truth[step.job_id] = after

    @rule(who=st.integers(0, 1), count=st.integers(1, 5))
    def fold(self, who: int, count: int) -> None:
        """Read a few records and settle."""
        queue = self.queues[who]
        for step in self.log[self.read[who] : self.read[who] + count]:
            queue.step(step, self.now)
            self.read[who] += 1
        for made in queue.settle(self.now):
            key = (made.order.job_id, made.attempt)
            assert key not in self.workers
            self.workers[key] = made.claim_id
            self.running.append((who, made))
        self.flying += [released(made) for made in queue.to_release()]
        queue.forget_settled()

    @rule(pause_ms=st.sampled_from([10.0, 100.0, 3_000.0, 6_000.0]))
    def wait(self, pause_ms: float) -> None:
        """Time passes for everybody."""
        self.now += pause_ms

    @precondition(lambda self: self.running)
    @rule(which=st.integers(0, 20))
    def finish(self, which: int) -> None:
        """A worker's result is on its way."""
        who, made = self.running.pop(which % len(self.running))
        if self.queues[who].wins(made):
            process = self.queues[who].rules.process_id
            self.flying.append(JobSucceeded(**started(made, process=process).model_dump(), result=None))
        self.queues[who].done(made)

    @rule(which=st.integers(0, 1))
    def reap(self, which: int) -> None:
        """The planner thinks that a running job's lease ran out."""
        job = list(self.truth.values())[which]
        if job.status is JobStatus.RUNNING:
            self.flying.append(JobRequeued(job_id=job.job_id, bot_id=job.bot_id, tick=1, attempt=job.attempt, cause=Cause.LEASE_EXPIRED))

    @invariant()
    def one_worker_and_it_won(self) -> None:
        """Whoever works on an attempt is the first valid claim of it in the whole log."""
        jobs = {order.job_id: lifecycle.enqueued(order, seq) for seq, order in enumerate(orders(2), start=1)}
        winners: dict[tuple[str, int], str] = {}
        results = 0
        for step in self.log:
            after = lifecycle.apply(jobs[step.job_id], step)
            if after is None:
                continue
            if isinstance(step, JobStarted):
                winners[step.job_id, step.attempt] = step.claim_id
            results += isinstance(step, JobSucceeded)
            jobs[step.job_id] = after
        assert all(winners.get(key) == worker for key, worker in self.workers.items())
        assert results <= 2


TestTwoRunners = TwoRunners.TestCase
TestTwoRunners.settings = settings(max_examples=40, stateful_step_count=40, deadline=None)
