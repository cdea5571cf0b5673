"""Put one try at a tick together.

Place in the flow: the planner's whole pure path, fold → commands → decide → check → records and seal. The shell gives
`now`, the try id and the cut; the same arguments give the same bytes on any machine.

Source: S1, S5, S6, R-A3.1.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from msgspec.structs import replace

from autonomy.chain import AcceptedTick, RunRecord, each_record, write_seal
from autonomy.envelope import Ready
from autonomy.errors import Broken
from autonomy.events import AnnouncementRequested, BotDecision, Head, JobEnqueued, LookTaken, PlannerRun, StageChanged, TickRecord
from autonomy.identities import PLANNER
from autonomy.policy import DEFAULT
from autonomy.reasons import Reason
from autonomy.timeframes import Timeframe
from autonomy.topics import DEFAULT_PARTITIONS
from autonomy.values import NEXT_STAGE, TickCause, instant_of_ms, job_id_of, partition_of, run_id_of
from autonomy.work import class_of
from planner.check.looks import check_look
from planner.check.plans import check, contradictions
from planner.check.step_up import check_step_up
from planner.decide.commands import apply_command, policy_fact
from planner.decide.decision_json import decision_bytes
from planner.decide.endings import Say
from planner.decide.gates import findings
from planner.decide.life import give_verdicts, live_on, take_looks
from planner.decide.orders import bars_per_year, extras_of, last_shown_ms, timeout_s_of
from planner.decide.plan import DECIDER, Plan, decide, with_job
from planner.decide.promotion_gates import Gate, tree
from planner.decide.view import View, build_view
from planner.decide.wishes import Decision
from planner.fold.facts import fold_fact, said_of_gates
from planner.fold.inputs import Input, input_marks, input_root
from planner.fold.slices import fold_slice
from planner.fold.state import State

MAX_ERRORS_SHOWN = 20
SNAPSHOT_EVERY = 20
"""Ticks from one root over the whole state to the next."""
MAX_ASKED = 100
"""Processes that one tick asks to announce again; the others are asked by the next ones."""
DECISION = BotDecision.wire


@dataclass(frozen=True, slots=True)
class TickInputs:
    """What the shell draws or reads for a try; all of it is sealed."""

    tick: int
    try_id: str
    process_id: str
    head: Head
    horizon: Head
    cut: Mapping[str, tuple[int, ...]]
    cause: TickCause
    due_at_ms: int
    now_ms: int
    elapsed_ms: int
    silent: tuple[str, ...] | None = None
    jobs_partitions: int = DEFAULT_PARTITIONS


@dataclass(frozen=True, slots=True)
class Try:
    """A try at a tick, ready to be appended; `state` was changed by it and waits for the verdict."""

    records: tuple[RunRecord, ...]
    seal: PlannerRun
    plan: Plan

    @property
    def jobs(self) -> int:
        """How many jobs it enqueues."""
        return self.seal.jobs_enqueued


@dataclass(slots=True)
class Draft:
    """A tick that was decided and checked; its state is folded whole, its records and its seal are still to be written.

    Attributes:
        facts: what it says, in order; the decisions last.
        keys: of the records, one each.
        written: the records so far.
        root: the hash over theirs, once they are all written.
    """

    state: State
    plan: Plan
    view: View
    inputs: TickInputs
    slice_: Sequence[Input]
    registered: int
    errors: Sequence[str]
    facts: Sequence[TickRecord | Ready]
    keys: Sequence[str]
    written: list[RunRecord] = field(default_factory=list)
    root: str = ""

    def records(self) -> Iterator[RunRecord]:
        """Write the records one by one, so that the first can be sent before the last is there."""
        inputs, whole = self.inputs, hashlib.sha256()
        for record in each_record(self.facts, self.keys, inputs.tick, inputs.try_id, inputs.now_ms):
            whole.update(record.digest())
            self.written.append(record)
            yield record
        self.root = whole.hexdigest()

    def records_as(self, accepted: AcceptedTick) -> str | None:
        """Write the records beside those of an accepted tick; returns the first that differs, or None.

        What is the same to the byte has the same root, and the chain has checked that one.
        """
        inputs, theirs = self.inputs, accepted.records
        self.written = list(each_record(self.facts, self.keys, inputs.tick, inputs.try_id, inputs.now_ms))
        for ours, stored in zip(self.written, theirs, strict=False):
            if (ours.key, ours.value, ours.kind) != (stored.key, stored.value, stored.kind):
                return f"record {stored.seq} ({stored.kind}) at offset {stored.offset} is decided differently"
        if len(self.written) != len(theirs):
            first = min(len(self.written), len(theirs)) + 1
            return f"record {first} is decided differently: {len(self.written)} are decided, {len(theirs)} stand there"
        self.root = accepted.seal.root
        return None

    def sealed(self) -> Try:
        """The whole try."""
        whole, record = write_seal(seal_of(self), self.inputs.now_ms)
        return Try((*self.written, record), whole, self.plan)


def prepare(state: State, slice_: Sequence[Input], inputs: TickInputs) -> Try:
    """Draft a tick, and write its records and its seal.

    Raises:
        Broken: the plan breaks a rule; nothing may be published.
    """
    drafted = draft(state, slice_, inputs)
    for _ in drafted.records():
        pass
    return drafted.sealed()


def draft(state: State, slice_: Sequence[Input], inputs: TickInputs) -> Draft:
    """Fold the slice, answer the commands, decide and check.

    Raises:
        Broken: the plan breaks a rule; nothing may be published.
    """
    clear_dangling_job_refs(state)
    folded = fold_slice(state, slice_, inputs.now_ms, inputs.elapsed_ms, inputs.silent)
    said: list[TickRecord] = []
    faults: list[str] = []

    def say(fact: TickRecord) -> None:
        if isinstance(fact, StageChanged):
            # Before it is folded: later facts of the tick may change the bot, its evidence or the policy.
            faults.extend(check_step_up(fact, state, inputs.now_ms))
        elif isinstance(fact, LookTaken):
            faults.extend(check_look(fact, state))
        said.append(fact)
        fold_fact(state, fact, inputs.tick, len(said), inputs.now_ms)

    if state.single.policy_by == "":
        say(policy_fact(DEFAULT, PLANNER))
    ask_again(state, say)
    give_verdicts(state, folded, say)
    rules_before = state.policy.looks
    for command in folded.commands:
        apply_command(state, command, inputs.now_ms, say)
    take_looks(state, folded.researched if state.policy.looks == rules_before else state.bot_ids(), say)
    view = build_view(state, inputs.now_ms)
    before_life = len(said)
    sight = live_on(state, view, inputs.tick, say)
    plan = decide(state, view, sight if len(said) == before_life else None)
    faults.extend(check(plan, state, view))
    if faults:
        raise Broken(f"tick {inputs.tick}: the plan breaks {len(faults)} rules: {faults[:MAX_ERRORS_SHOWN]}")
    errors = shown(contradictions(plan, state))
    registered = len(state.bots.rows)
    jobs = jobs_of(plan, state, view, inputs, len(said))
    telling = decisions_to_tell(plan, jobs)
    told = [render_decision(decision, state, view, inputs.tick) for decision in telling]
    for job in jobs:
        say(job)
    for decision in telling:
        state.said.put(decision.bot_id, decision.change_key())
    keys = [*[key_of(fact, inputs.tick) for fact in said], *[decision.bot_id for decision in telling]]
    return Draft(state, plan, view, inputs, slice_, registered, errors, [*said, *told], keys)


def ask_again(state: State, say: Say) -> None:
    """Ask the processes that beat without an announcement held here to announce again, at each tick until they did.

    A process that was silent for a lease is forgotten with its announcement; what it said once at its start is not said again by itself.
    """
    unknown = [process for _, process in sorted(state.runners.rows.items()) if process.is_unknown]
    for process in unknown[:MAX_ASKED]:
        say(AnnouncementRequested(process_id=process.process_id, announcement=process.named))


def clear_dangling_job_refs(state: State) -> None:
    """Drop references to jobs that no longer exist. The tick that first saw them has already listed them in its errors.

    Source: R-A4.
    """
    jobs = state.jobs.rows
    named = [bot for bot in state.bots.rows.values() if bot.research.job_id is not None or bot.runner.job_id is not None]
    for bot in named:
        research, runner = [
            record if record.job_id is None or record.job_id in jobs else replace(record, job_id=None)
            for record in (bot.research, bot.runner)
        ]  # fmt: skip
        if research is not bot.research or runner is not bot.runner:
            state.bots.put(bot.id, replace(bot, research=research, runner=runner))


def shown(errors: Sequence[str]) -> tuple[str, ...]:
    """As many errors as a seal takes; the last line counts the rest, which the next tick will have repaired."""
    if len(errors) <= MAX_ERRORS_SHOWN:
        return tuple(errors)
    return (*errors[: MAX_ERRORS_SHOWN - 1], f"and {len(errors) - MAX_ERRORS_SHOWN + 1} more")


def key_of(fact: TickRecord, tick: int) -> str:
    """The record's key: the bot, or the tick for facts of the whole fleet."""
    return str(getattr(fact, "bot_id", f"tick-{tick}"))


def jobs_of(plan: Plan, state: State, view: View, inputs: TickInputs, before: int) -> list[JobEnqueued]:
    """The granted jobs in queue order; `before` is the seq of the fact before the first of them."""
    return [
        job_of(decision, job_id_of(inputs.tick, inputs.try_id, seq), state, view, inputs)
        for seq, decision in enumerate(plan.granted, start=before + 1)
    ]


def decisions_to_tell(plan: Plan, jobs: Sequence[JobEnqueued]) -> list[Decision]:
    """Every decision that changed or enqueued a job, by bot id."""
    # Whoever gets a job is told of even when the same was said before.
    telling = {decision.bot_id: decision for decision in (*plan.granted, *plan.changed)}
    for job in jobs:
        telling[job.bot_id] = with_job(telling[job.bot_id], job.job_id)
    return [telling[bot_id] for bot_id in sorted(telling)]


def job_of(decision: Decision, job_id: str, state: State, view: View, inputs: TickInputs) -> JobEnqueued:
    """Everything a runner needs: it has no choice left."""
    bot, research = state.bots.rows[decision.bot_id], view.policy.research
    if decision.job_type is None:
        raise Broken(f"{bot.id}: granted without a job type")
    return JobEnqueued(
        job_id=job_id, bot_id=bot.id, job_type=decision.job_type, job_class=class_of(decision.job_type),
        tick=inputs.tick, partition=partition_of(bot.id, inputs.jobs_partitions), strategy=bot.strategy,
        parameters=view.parameters(bot), symbol=bot.symbol, timeframe=Timeframe(bot.timeframe),
        bars_until=instant_of_ms(last_shown_ms(bot, view)), bars_per_year=bars_per_year(bot, view),
        min_bars=research.min_bars, costs=view.costs_of(bot), initial_cash_usd=research.initial_cash_usd,
        suite=research.suite, fingerprint=view.fingerprint(bot), timeout_s=timeout_s_of(decision.job_type, view),
        lease_s=view.policy.leases.lease_s,
        failures_limit=view.policy.leases.failures_limit, prior_trials=bot.trials,
        **extras_of(bot, decision.job_type, job_id, view),
    )  # fmt: skip


def render_decision(decision: Decision, state: State, view: View, tick: int) -> Ready:
    """A decision as it is published, its blockers and gates in words, measured in this very tick.

    Raises:
        Broken: the words do not belong to the codes: a remembered wish no longer held.
    """
    bot = state.bots.rows[decision.bot_id]
    found = findings(bot, decision.blocked_type, view) if decision.blocked_type is not None else ()
    if (found or decision.blockers) and tuple([finding.code for finding in found]) != decision.blockers:
        raise Broken(f"tick {tick}: {bot.id} was decided on {decision.blockers}, and is blocked by {[finding.code for finding in found]}")
    promotion: tuple[Gate, ...] | None = None
    if decision.promotion != state.said_of(bot.id)[3]:
        promotion = tree(bot, view)
        if said_of_gates(promotion) != decision.promotion:
            raise Broken(f"tick {tick}: {bot.id} was decided on gates {decision.promotion}, and has {said_of_gates(promotion)}")
    return Ready(DECISION, decision_bytes(decision, tick, found, promotion, NEXT_STAGE.get(bot.stage)))


def seal_of(drafted: Draft) -> PlannerRun:
    """The seal over a try whose records are written, all but its hash."""
    inputs, plan, state, slice_ = drafted.inputs, drafted.plan, drafted.state, drafted.slice_
    return PlannerRun(
        run_id=run_id_of(inputs.tick, inputs.try_id), tick=inputs.tick, prev_hash=inputs.head.hash,
        try_id=inputs.try_id, process_id=inputs.process_id, count=len(drafted.written), root=drafted.root,
        cut=dict(inputs.cut), inputs=len(slice_), input_root=input_root(slice_),
        input_marks=input_marks(slice_), cause=inputs.cause, due_at=instant_of_ms(inputs.due_at_ms),
        now=instant_of_ms(inputs.now_ms), elapsed_ms=inputs.elapsed_ms, market_now=instant_of_ms(drafted.view.market_ms),
        state_hash=state.hash(), horizon=inputs.horizon, policy_hash=state.policy_hash, decider=DECIDER,
        registered=drafted.registered, evaluated=len(plan.decisions), jobs_enqueued=len(plan.granted),
        blocked=plan.reason_counts.get(Reason.BLOCKED_BY_GATES, 0), reason_counts=plan.reason_counts,
        blocker_counts=plan.blocker_counts, zero_jobs=plan.zero_jobs, live_jobs=len(state.jobs.rows),
        loop_enabled="fleet/" not in state.pauses.rows, errors=tuple(drafted.errors), digest=plan.digest, hash="",
        snapshot_root=None if inputs.tick % SNAPSHOT_EVERY else state.root(), silent=inputs.silent,
    )  # fmt: skip
