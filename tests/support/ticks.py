"""A log in memory, a planner that ticks on it, and readers that follow: the real pure path, without a socket.

`TickDriver` leads: inputs are appended as bytes to partitions, a tick takes a cut, prepares a try with the planner's own code,
and its records go through the real chain. `Follower` reads the same log as another process would.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from autonomy import chain as chains
from autonomy.bar_times import unpack_times
from autonomy.chain import GENESIS, AcceptedTick, Chain, RunRecord
from autonomy.envelope import Received, decode, encode
from autonomy.events import (
    Command,
    Event,
    Head,
    HeldJob,
    JobEnqueued,
    JobFailed,
    JobReleased,
    JobStarted,
    JobSucceeded,
    PlannerRun,
    RegisterBots,
)
from autonomy.lifecycle import JobStep
from autonomy.topics import COMMANDS, DEFAULT_PARTITIONS, INPUTS, JOBS, RUNNERS
from autonomy.values import Cause, JobStatus, TickCause, derived_id, instant_of_ms, partition_of
from planner.decide.plan import DECIDER
from planner.fold.entities import LiveJob
from planner.fold.inputs import Input, read_input
from planner.fold.slices import repairs
from planner.fold.state import State
from planner.following import follow, re_decide
from planner.shell.inbox import Inbox
from planner.tick import TickInputs, Try, prepare
from support.builders import NOON_MS, a_beat, a_bot_document, a_command, a_digest, a_policy, a_summary, an_id, capabilities
from support.changes import replace

PARTITIONS = {COMMANDS: 1, JOBS: DEFAULT_PARTITIONS, RUNNERS: DEFAULT_PARTITIONS}
MINUTE_MS = 60_000


def as_input(topic: str, partition: int, offset: int, value: bytes) -> Input:
    """A stored record as a reader takes it."""
    return read_input(topic, partition, offset, value)


@dataclass(slots=True)
class Follower:
    """A process that folds what others sealed."""

    state: State = field(default_factory=State)
    chain: Chain = field(default_factory=Chain)
    inbox: Inbox = field(default_factory=Inbox)

    def follow(self, tick: AcceptedTick) -> str | None:
        """Fold a tick whole; returns what differs."""
        fault = follow(self.state, self.inbox.slice_to(tick.seal.cut), tick)
        self._settle(tick)
        return fault

    def re_decide(self, tick: AcceptedTick) -> str | None:
        """Decide a tick again; returns what differs."""
        fault = re_decide(self.state, self.inbox.slice_to(tick.seal.cut), tick)
        self._settle(tick)
        return fault

    def _settle(self, tick: AcceptedTick) -> None:
        self.state.head_tick = tick.seal.tick
        self.inbox.drop_to(tick.seal.cut)


@dataclass(slots=True)
class TickDriver:
    """A leading planner over a log in memory."""

    now_ms: int = NOON_MS
    state: State = field(default_factory=State)
    chain: Chain = field(default_factory=Chain)
    inbox: Inbox = field(default_factory=Inbox)
    log: dict[tuple[str, int], list[bytes]] = field(default_factory=dict)
    runs: list[RunRecord] = field(default_factory=list)
    accepted: list[AcceptedTick] = field(default_factory=list)
    tries: list[Try] = field(default_factory=list)
    heads: dict[int, Head] = field(default_factory=lambda: {0: GENESIS})
    sequence: int = 0

    # ── inputs ────────────────────────────────────────────────────────────────────────────────────────────────────

    def append(self, topic: str, partition: int, value: bytes) -> None:
        """Store a record as it is."""
        stored = self.log.setdefault((topic, partition), [])
        self.inbox.put(as_input(topic, partition, len(stored), value))
        stored.append(value)

    def say(self, event: Event, *, partition: int | None = None) -> None:
        """Append an event to its topic, in the partition of its key."""
        self.sequence += 1
        key = str(getattr(event, "bot_id", "") or getattr(event, "process_id", ""))
        number = partition_of(key, PARTITIONS[event.topic]) if partition is None else partition
        time = instant_of_ms(self.now_ms)
        value = encode(event, source="autonomy/test", subject=key, time=time, event_id=an_id(f"record-{self.sequence}"))
        self.append(event.topic, number, value)

    def command(self, kind: type[Command], name: str = "", **fields: Any) -> Command:
        """An operator's command, in the one partition of commands."""
        said = a_command(kind, name or f"command-{self.sequence}", **fields)
        self.say(said, partition=0)
        return said

    def register(self, *bot_ids: str, **changes: Any) -> None:
        """Register bots."""
        self.command(RegisterBots, bots=tuple(a_bot_document(bot_id, **changes) for bot_id in bot_ids))

    def runner(self, process: str = "runner-1", **changes: Any) -> None:
        """A runner process announces itself and beats."""
        said = capabilities(process, **changes)
        self.say(said)
        self.beat(process, slots=said.research_slots, evolve_slots=said.evolve_slots, runner_slots=said.runner_slots)

    def beat(self, process: str = "runner-1", **changes: Any) -> None:
        """A sign of life, with the claims that this process holds."""
        held = tuple(
            HeldJob(
                job_id=live.job.job_id, bot_id=live.job.bot_id, tick=live.job.tick, attempt=live.job.attempt,
                claim_id=live.job.claim_id or "", phase="backtest", progress=0.5,
            )
            for live in self.live(JobStatus.RUNNING)
            if live.job.process_id == an_id(process)
        )  # fmt: skip
        self.say(a_beat(process, *held, **changes))

    def claim(self, live: LiveJob, process: str = "runner-1", claim: str = "") -> None:
        """Append a claim."""
        job = live.job
        name = claim or f"{process}/{job.job_id}/{job.attempt}"
        self.say(JobStarted(**_place(live), claim_id=an_id(name), process_id=an_id(process)))

    def succeed(self, live: LiveJob, **changes: Any) -> None:
        """Append the result of the current claim."""
        until = instant_of_ms(live.until_ms)
        bars = _bars_until(self.state, live)
        self.say(JobSucceeded(**_claimed(live), result=a_summary(live.fingerprint, **{"bars": bars, "last_bar": until, **changes})))

    def finish(self, live: LiveJob, **parts: Any) -> None:
        """Append any other success of the current claim: `evolution=`, `paper=`."""
        self.say(JobSucceeded(**_claimed(live), **parts))

    def fail(self, live: LiveJob, cause: Cause, detail: str = "it failed") -> None:
        """Append a failure of the current claim."""
        self.say(JobFailed(**_claimed(live), cause=cause, detail=detail))

    def release(self, live: LiveJob, cause: Cause = Cause.CLAIM_GIVEN_UP) -> None:
        """Append a release of the current claim."""
        self.say(JobReleased(**_claimed(live), cause=cause))

    def repair(self) -> list[JobStep]:
        """Append what the planner says after an own tick."""
        steps = repairs(self.state)
        for step in steps:
            self.say(step)
        return list(steps)

    def live(self, status: JobStatus | None = None) -> list[LiveJob]:
        """Live jobs, in queue order."""
        rows = sorted(self.state.jobs.rows.values(), key=lambda live: (live.job.tick, live.job.seq))
        return [live for live in rows if status in (None, live.job.status)]

    # ── ticks ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def ends(self) -> dict[str, tuple[int, ...]]:
        """The end offsets of all inputs."""
        return {topic: tuple(len(self.log.get((topic, number), ())) for number in range(PARTITIONS[topic])) for topic in INPUTS}

    def inputs(self, *, try_name: str = "try", **changes: Any) -> TickInputs:
        """What the shell would draw for the next tick."""
        head = self.chain.head
        live = [live.job.tick for live in self.state.jobs.rows.values()]
        plain = TickInputs(
            tick=head.tick + 1, try_id=an_id(f"{try_name}/{head.tick + 1}"), process_id=an_id("planner-1"), head=head,
            horizon=self.heads[min(live) - 1] if live else head, cut=self.ends(), cause=TickCause.SCHEDULED,
            due_at_ms=self.now_ms, now_ms=self.now_ms, elapsed_ms=MINUTE_MS,
        )  # fmt: skip
        return replace(plain, **changes)

    def prepare(self, **changes: Any) -> Try:
        """A candidate: the state is open until `keep` or `lose`."""
        inputs = self.inputs(**changes)
        self.state.begin()
        return prepare(self.state, self.inbox.slice_to(inputs.cut), inputs)

    def keep(self, attempt: Try) -> AcceptedTick:
        """Append the try and read it back."""
        done: AcceptedTick | None = None
        for record in attempt.records:
            placed = replace(record, offset=len(self.runs), timestamp_ms=self.now_ms)
            self.runs.append(placed)
            done = self.chain.feed(placed) or done
        assert done is not None, self.chain.last_refusal
        self.state.keep()
        self.state.head_tick = done.seal.tick
        self.inbox.drop_to(done.seal.cut)
        self.heads[done.seal.tick] = done.head
        self.accepted.append(done)
        self.tries.append(attempt)
        return done

    def tick(self, *, after_ms: int = 0, **changes: Any) -> Try:
        """Let time pass, make a tick, and have it accepted."""
        self.now_ms += after_ms
        changes.setdefault("elapsed_ms", after_ms)
        attempt = self.prepare(**changes)
        self.keep(attempt)
        return attempt

    def reader(self, order: Iterable[tuple[str, int]] | None = None) -> Follower:
        """A follower with the whole log of inputs read, its partitions in any order of arrival."""
        follower = Follower()
        for topic, partition in order or sorted(self.log):
            for offset, value in enumerate(self.log.get((topic, partition), ())):
                follower.inbox.put(as_input(topic, partition, offset, value))
        return follower


def events_of(attempt: Try) -> list[Event]:
    """The facts of a try, without its seal."""
    found: list[Event] = []
    for record in attempt.records[:-1]:
        received = decode(record.value, "autonomy.runs")
        assert isinstance(received, Received), received
        found.append(received.event)
    return found


def jobs_of(attempt: Try) -> list[JobEnqueued]:
    """The jobs that a try enqueues."""
    return [event for event in events_of(attempt) if isinstance(event, JobEnqueued)]


def _place(live: LiveJob) -> dict[str, Any]:
    job = live.job
    return {"job_id": job.job_id, "bot_id": job.bot_id, "tick": job.tick, "attempt": job.attempt}


def _claimed(live: LiveJob) -> dict[str, Any]:
    return {**_place(live), "claim_id": live.job.claim_id, "process_id": live.job.process_id}


def _bars_until(state: State, live: LiveJob) -> int:
    offer = state.single.last_offer
    bot = state.bots.get(live.job.bot_id)
    packed = next((entry for entry in offer.symbols if bot and entry.symbol == bot.symbol), None) if offer else None
    if packed is None:
        return 1
    return unpack_times(packed.first_ms, packed.timeframe, packed.packed_times).count_until(live.until_ms)


# ── a chain by hand ───────────────────────────────────────────────────────────────────────────────────────────────────


def a_seal(head: Head, records: Sequence[RunRecord], try_name: str, *, now_ms: int = NOON_MS, **changes: Any) -> RunRecord:
    """A well-formed seal over records; `changes` are sealed too, so its own hash is right."""
    policy = a_policy()
    tick = changes.pop("tick", head.tick + 1)
    try_id = an_id(try_name)
    plain: dict[str, Any] = {
        "run_id": derived_id("run", tick, try_id), "tick": tick, "prev_hash": head.hash, "try_id": try_id,
        "process_id": an_id("planner-1"), "count": len(records), "root": chains.root_of(records), "cut": {}, "inputs": 0, "input_root": a_digest("no inputs"),
        "cause": TickCause.SCHEDULED, "due_at": instant_of_ms(now_ms), "now": instant_of_ms(now_ms), "elapsed_ms": 0,
        "market_now": instant_of_ms(0), "state_hash": a_digest("state"), "horizon": GENESIS,
        "policy_hash": policy.hash(), "decider": DECIDER, "registered": 0, "evaluated": 0, "jobs_enqueued": 0,
        "blocked": 0, "reason_counts": {}, "blocker_counts": {}, "zero_jobs": None, "live_jobs": 0,
        "loop_enabled": True, "errors": (), "digest": a_digest("decisions"), "hash": "",
    }  # fmt: skip
    _, record = chains.write_seal(PlannerRun(**{**plain, **changes}), now_ms)
    return record


def stored(records: Iterable[RunRecord], first_offset: int = 0) -> list[RunRecord]:
    """The records with the offsets that a partition would give them."""
    return [replace(record, offset=first_offset + number) for number, record in enumerate(records)]


def feed_all(chain: Chain, records: Iterable[RunRecord]) -> list[AcceptedTick]:
    """The ticks that these records complete."""
    return [done for done in map(chain.feed, records) if done is not None]
