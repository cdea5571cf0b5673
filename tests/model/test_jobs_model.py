"""Every interleaving of two runners, a planner with stale cuts and late appends around one job, on the real lifecycle.

The jobs partition is a list of steps; `autonomy.lifecycle.apply` folds it. Each runner has its own reading position; an append
lands at any time, in any order; the planner judges by any cut it has taken. What is local to a runner (claim, start, give up,
release again) is modelled here and held by the real `Queue` in its unit tests.

Invariants: one worker per attempt, and it wins in the full fold; one accepted result; an effective release never hits started
work; a requeue or death hits only the claim that the planner saw expire; failures are the effective requeues; death only after
enough of them. Liveness: from every state a fault-free continuation ends the job (states at the log's bound count as good).

Bounds: one job, see each test. Not covered: beats and the lease's own arithmetic (tests/unit/planner/test_leases.py), ticks
(test_chain_model.py), larger logs. Removing only the attempt check of a release is not caught here, since claim ids are fresh.

Source: S8 to S11.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import cache
from typing import Any, NamedTuple

import pytest

from autonomy import lifecycle
from autonomy.events import JobCancelled, JobDead, JobReleased, JobRequeued, JobStarted, JobSucceeded
from autonomy.lifecycle import Job, JobStep, enqueued
from autonomy.values import Cause, JobStatus
from support.builders import an_id, an_order
from support.changes import replace
from support.search import Searched, search

ORDER = an_order()
MAX_STATES = 400_000


class Word(NamedTuple):
    """A step on its way or in the partition; `claim` is what it names, or what its sayer saw."""

    kind: str
    attempt: int
    claim: str


class Held(NamedTuple):
    """A claim inside its process: W waiting, S started, G given up."""

    claim: str
    attempt: int
    state: str


class Runner(NamedTuple):
    """One process: how far it has read, what it holds."""

    read: int
    held: tuple[Held, ...]


class World(NamedTuple):
    """Everything, as a value."""

    log: tuple[Word, ...]
    flying: tuple[Word, ...]
    runners: tuple[Runner, ...]
    cut: int
    drawn: int
    workers: tuple[tuple[int, str], ...]
    cancel: bool
    crashes: int
    losses: int
    give_ups: int


Apply = Callable[[Job, JobStep], Job | None]


@dataclass(frozen=True, slots=True)
class Bounds:
    """How far the search goes, and which rules it follows."""

    log: int = 4
    crashes: int = 0
    losses: int = 0
    give_ups: int = 0
    cancel: bool = False
    limit: int = 2
    claims: int = 3
    flying: int = 3
    apply: Apply = lifecycle.apply
    start_needs_win: bool = True
    start_after_give_up: bool = False
    give_up_after_start: bool = False
    claim_id_per_runner: bool = False
    release_once: bool = False
    claim_again_after_give_up: bool = True
    limit_counts_attempts: bool = False


@cache
def event_of(word: Word) -> JobStep:
    """The real event."""
    place: dict[str, Any] = {"job_id": ORDER.job_id, "bot_id": ORDER.bot_id, "tick": ORDER.tick, "attempt": word.attempt}
    claim = {**place, "claim_id": an_id(word.claim), "process_id": an_id("runner")}
    match word.kind:
        case "started":
            return JobStarted(**claim)
        case "released":
            return JobReleased(**claim, cause=Cause.CLAIM_GIVEN_UP)
        case "succeeded":
            return JobSucceeded(**claim)
        case "requeued":
            return JobRequeued(**place, cause=Cause.LEASE_EXPIRED)
        case "dead":
            return JobDead(**place, cause=Cause.FAILURES_EXHAUSTED, failures=1)
        case _:
            return JobCancelled(**place, cause=Cause.CANCELLED_BY_OPERATOR)


@dataclass(frozen=True, slots=True)
class Story:
    """What a whole partition says: a fault of its own, who won each attempt, which claims were effectively released."""

    fault: str
    winners: dict[int, str] = field(default_factory=dict)
    released: frozenset[tuple[int, str]] = frozenset()


class Model:
    """The moves and the invariants."""

    def __init__(self, bounds: Bounds) -> None:
        self.bounds = bounds
        self.folds: dict[tuple[Word, ...], Job] = {(): enqueued(ORDER, 1)}
        self.stories: dict[tuple[Word, ...], Story] = {}
        self.effects: dict[tuple[Word, ...], bool] = {}
        self.ids = {an_id(f"c{number}"): f"c{number}" for number in range(-2, 40)}

    def fold(self, log: tuple[Word, ...]) -> Job:
        """The job after a prefix of the partition."""
        known = self.folds.get(log)
        if known is None:
            before = self.fold(log[:-1])
            after = self.bounds.apply(before, event_of(log[-1]))
            self.effects[log] = after is not None
            known = self.folds[log] = after or before
        return known

    def wins(self, world: World, runner: Runner, held: Held) -> bool:
        """Whether the runner's own fold shows its claim as the winner."""
        return lifecycle.is_current_claim(self.fold(world.log[: runner.read]), held.attempt, an_id(held.claim))

    def start(self) -> World:
        """A queued job, nobody did anything."""
        return World((), (), (Runner(0, ()), Runner(0, ())), 0, 0, (), cancel=False, crashes=0, losses=0, give_ups=0)

    # ── moves ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def moves(self, world: World) -> Iterable[tuple[str, World]]:
        """Everything that may happen next."""
        yield from self.appends(world)
        for number, runner in enumerate(world.runners):
            yield from self.runner_moves(world, number, runner)
        yield from self.planner_moves(world)

    def appends(self, world: World) -> Iterable[tuple[str, World]]:
        """An append lands, or is lost."""
        for number, word in enumerate(world.flying):
            rest = world.flying[:number] + world.flying[number + 1 :]
            if len(world.log) < self.bounds.log:
                yield f"{word.kind} {word.claim}@{word.attempt} lands", world._replace(flying=rest, log=(*world.log, word))
            if world.losses < self.bounds.losses and word.kind in {"started", "released"}:
                yield f"FAULT {word.kind} {word.claim} is lost", world._replace(flying=rest, losses=world.losses + 1)

    def runner_moves(self, world: World, number: int, runner: Runner) -> Iterable[tuple[str, World]]:
        """Read, claim, start, give up, release, finish, crash."""
        bounds = self.bounds
        if runner.read < len(world.log):
            yield f"r{number} reads", self.put(world, number, runner._replace(read=runner.read + 1))
        job = self.fold(world.log[: runner.read])
        active = [held for held in runner.held if held.state != "G"]
        blocked = active if bounds.claim_again_after_give_up else runner.held
        if job.status is JobStatus.QUEUED and not blocked and world.drawn < bounds.claims:
            claim = f"c{-1 - number}" if bounds.claim_id_per_runner else f"c{world.drawn}"
            held = Held(claim, job.attempt, "W")
            after = self.put(world, number, runner._replace(held=(*runner.held, held)))._replace(drawn=world.drawn + 1)
            yield f"r{number} claims {claim}@{job.attempt}", self.send(after, Word("started", job.attempt, claim))
        for place, held in enumerate(runner.held):
            yield from self.claim_moves(world, number, runner, place, held)
        if world.crashes < bounds.crashes:
            for read in range(runner.read + 1):
                after = self.put(world, number, Runner(read, ()))._replace(crashes=world.crashes + 1)
                yield f"FAULT r{number} crashes, reads again from {read}", after

    def claim_moves(self, world: World, number: int, runner: Runner, place: int, held: Held) -> Iterable[tuple[str, World]]:
        """What a process does with one of its claims."""
        bounds = self.bounds

        def become(state: str) -> World:
            changed = runner.held[:place] + ((held._replace(state=state),) if state else ()) + runner.held[place + 1 :]
            return self.put(world, number, runner._replace(held=changed))

        job = self.fold(world.log[: runner.read])
        wins = self.wins(world, runner, held)
        may_start = held.state == "W" or (held.state == "G" and bounds.start_after_give_up)
        if may_start and (wins or not bounds.start_needs_win):
            after = become("S")
            yield f"r{number} starts {held.claim}", after._replace(workers=(*after.workers, (held.attempt, held.claim)))
        may_give_up = held.state == "W" or (held.state == "S" and bounds.give_up_after_start)
        if may_give_up and world.give_ups < bounds.give_ups:
            yield f"r{number} gives up {held.claim}", become("G")._replace(give_ups=world.give_ups + 1)
        lost = not job.status.is_live or job.attempt != held.attempt or (job.claim_id is not None and not wins)
        if held.state != "S" and lost:
            yield f"r{number} forgets {held.claim}", become("")
        release = Word("released", held.attempt, held.claim)
        if held.state == "G" and release not in world.flying:
            if bounds.release_once:
                # As it must not be: said once, whether or not the claim is seen to win.
                yield f"r{number} releases {held.claim}", self.send(become(""), release)
            elif wins:
                yield f"r{number} releases {held.claim}", self.send(world, release)
        if held.state == "S":
            done = Word("succeeded", held.attempt, held.claim)
            yield f"r{number} finishes {held.claim}", self.send(become(""), done) if wins else become("")

    def planner_moves(self, world: World) -> Iterable[tuple[str, World]]:
        """Take a cut; say what the state at a cut asks for."""
        bounds = self.bounds
        if world.cut < len(world.log):
            yield "planner takes a cut", world._replace(cut=len(world.log))
        job = self.fold(world.log[: world.cut])
        if bounds.cancel and not world.cancel and job.status.is_live:
            yield "planner decides to cancel", world._replace(cancel=True)
        words: list[Word] = []
        if world.cancel and job.status.is_live:
            words.append(Word("cancelled", job.attempt, ""))
        if job.status is JobStatus.RUNNING:
            count = job.attempt - 1 if bounds.limit_counts_attempts else job.failures
            kind = "dead" if count + 1 >= bounds.limit else "requeued"
            words.append(Word(kind, job.attempt, self.ids[job.claim_id or ""]))
        for word in words:
            if word not in world.flying:
                yield f"planner says {word.kind}@{word.attempt}", self.send(world, word)

    def put(self, world: World, number: int, runner: Runner) -> World:
        """Replace a runner; which of two equal processes is the first says nothing, so one order stands for both."""
        runners = (runner, world.runners[1]) if number == 0 else (world.runners[0], runner)
        return world._replace(runners=runners if self.bounds.claim_id_per_runner else tuple(sorted(runners)))

    def send(self, world: World, word: Word) -> World:
        """Put a step on its way; a full air drops it as if it were never said (it may be said again)."""
        if len(world.flying) >= self.bounds.flying:
            return world
        return world._replace(flying=tuple(sorted((*world.flying, word))))

    # ── what must hold ────────────────────────────────────────────────────────────────────────────────────────────

    def fault(self, world: World) -> str:
        """The first promise that does not hold."""
        attempts = [attempt for attempt, _ in world.workers]
        if len(attempts) != len(set(attempts)):
            return "two workers for one attempt"
        story = self.stories.get(world.log)
        if story is None:
            story = self.stories[world.log] = self.story_of(world.log)
        if story.fault:
            return story.fault
        for worker in world.workers:
            if worker in story.released:
                return "a release hit started work"
            if story.winners.get(worker[0], worker[1]) != worker[1]:
                return "somebody works on a losing claim"
        return ""

    def story_of(self, log: tuple[Word, ...]) -> Story:
        """What the partition says, whoever works."""
        winners: dict[int, str] = {}
        released: set[tuple[int, str]] = set()
        results = requeues = 0
        for end in range(1, len(log) + 1):
            prefix = log[:end]
            after, before, word = self.fold(prefix), self.fold(prefix[:-1]), prefix[-1]
            if not self.effects[prefix]:
                continue
            if not before.status.is_live:
                return Story("an ended job changed")
            match word.kind:
                case "started":
                    winners[before.attempt] = word.claim
                case "succeeded":
                    results += 1
                case "released":
                    released.add((before.attempt, self.ids[before.claim_id or ""]))
                case "requeued" | "dead":
                    requeues += word.kind == "requeued"
                    if before.claim_id is None or self.ids[before.claim_id] != word.claim:
                        return Story(f"a {word.kind} hit another claim than the one that expired")
                    if word.kind == "dead" and requeues + 1 < self.bounds.limit:
                        return Story("dead before the limit")
                case _:
                    pass
            if after.failures != requeues:
                return Story("failures are not the effective requeues")
        return Story("two results" if results > 1 else "", winners, frozenset(released))

    def is_good(self, world: World) -> bool:
        """The job ended, or the bound stops the story."""
        return not self.fold(world.log).status.is_live or len(world.log) >= self.bounds.log or world.drawn >= self.bounds.claims


def checked(max_states: int = MAX_STATES, *, live: bool = True, **bounds: Any) -> Searched[World]:
    """Search within these bounds; unless a process may crash, every job must be able to end without the planner's reaping."""
    unfair = ("FAULT",) if bounds.get("crashes") else ("FAULT", "planner says requeued", "planner says dead")
    model = Model(Bounds(**bounds))
    return search(
        model.start(), model.moves, model.fault, max_states=max_states, is_good=model.is_good if live else None,
        is_fair=lambda move: not move.startswith(unfair),
    )  # fmt: skip


SCOPES: dict[str, dict[str, Any]] = {
    "plain": {"log": 4, "flying": 2, "claims": 2},
    "give-up": {"log": 3, "give_ups": 1, "flying": 2, "claims": 2},
    "give-up and a lost append": {"log": 3, "give_ups": 1, "losses": 1, "flying": 2, "claims": 2},
    "cancel": {"log": 3, "cancel": True, "flying": 2, "claims": 2},
    "crash": {"log": 3, "crashes": 1, "flying": 2, "claims": 2},
    "limit 1": {"log": 3, "limit": 1, "give_ups": 1, "flying": 2, "claims": 2},
}
LONG: dict[str, dict[str, Any]] = {
    "give-up, three claims": {"log": 3, "give_ups": 1, "flying": 2},
    "crash, three claims": {"log": 3, "crashes": 1, "flying": 2},
    "limit 1, three claims": {"log": 3, "limit": 1, "give_ups": 1, "flying": 2},
    "plain, three in flight": {"log": 4},
    "give-up, three in flight": {"log": 3, "give_ups": 1},
    "plain, log 5": {"log": 5},
    "two give-ups, log 4": {"log": 4, "give_ups": 2},
    "give-up, loss, log 4": {"log": 4, "give_ups": 1, "losses": 1},
    "crash, log 4": {"log": 4, "crashes": 1},
    "cancel, crash, log 4": {"log": 4, "cancel": True, "crashes": 1, "flying": 2},
    "limit 1, two give-ups, log 4": {"log": 4, "limit": 1, "give_ups": 2},
}


def holds(result: Searched[World]) -> None:
    assert result.violation == "", result.trace
    assert result.exhausted, result.states
    assert result.good_ends > 0
    assert result.stuck == [], result.trace


@pytest.mark.parametrize("scope", SCOPES)
def test_promises_hold_in_every_interleaving(scope: str) -> None:
    holds(checked(**SCOPES[scope]))


@pytest.mark.long
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("scope", LONG)
def test_promises_hold_within_larger_bounds(scope: str) -> None:
    holds(checked(6_000_000, **LONG[scope]))


# ── negative controls: one guard less, and the search must find what it guards against ───────────────────────────────


def release_without_claim_check(job: Job, step: JobStep) -> Job | None:
    if isinstance(step, JobReleased) and job.status is JobStatus.RUNNING and step.attempt == job.attempt:
        step = step.model_copy(update={"claim_id": job.claim_id})
    return lifecycle.apply(job, step)


def release_keeps_the_attempt(job: Job, step: JobStep) -> Job | None:
    after = lifecycle.apply(job, step)
    return replace(after, attempt=job.attempt) if after is not None and isinstance(step, JobReleased) else after


def planners_word_without_attempt_check(job: Job, step: JobStep) -> Job | None:
    if isinstance(step, JobRequeued | JobDead):
        step = step.model_copy(update={"attempt": job.attempt})
    return lifecycle.apply(job, step)


def last_claim_wins(job: Job, step: JobStep) -> Job | None:
    if isinstance(step, JobStarted) and job.status is JobStatus.RUNNING and step.attempt == job.attempt:
        return replace(job, claim_id=step.claim_id, process_id=step.process_id)
    return lifecycle.apply(job, step)


def release_counts_a_failure(job: Job, step: JobStep) -> Job | None:
    after = lifecycle.apply(job, step)
    return replace(after, failures=after.failures + 1) if after is not None and isinstance(step, JobReleased) else after


def terminal_is_not_final(job: Job, step: JobStep) -> Job | None:
    if isinstance(step, JobSucceeded) and job.claim_id == step.claim_id and job.status is not JobStatus.RUNNING:
        return replace(job, status=JobStatus.SUCCEEDED)
    return lifecycle.apply(job, step)


CONTROLS: dict[str, tuple[dict[str, Any], tuple[str, ...]]] = {
    "release without claim check": ({"apply": release_without_claim_check, "give_ups": 1, "release_once": True}, ("a release hit started work",)),
    "release keeps the attempt": ({"apply": release_keeps_the_attempt, "give_ups": 1, "log": 4, "flying": 2}, ("hit another claim", "two workers")),
    "requeue without attempt check": ({"apply": planners_word_without_attempt_check, "log": 4}, ("a requeued hit another claim",)),
    "death without attempt check": ({"apply": planners_word_without_attempt_check, "limit": 1, "give_ups": 1, "log": 4}, ("a dead hit another claim",)),
    "last claim wins": ({"apply": last_claim_wins}, ("losing claim",)),
    "start without reading the win": ({"start_needs_win": False}, ("losing claim",)),
    "start after give-up": ({"start_after_give_up": True, "give_ups": 1, "log": 4}, ("a release hit started work", "losing claim")),
    "give-up after start": ({"give_up_after_start": True, "give_ups": 1}, ("a release hit started work",)),
    "release counts a failure": ({"apply": release_counts_a_failure, "give_ups": 1}, ("failures are not",)),
    "limit counts attempts": ({"limit_counts_attempts": True, "give_ups": 1, "log": 4}, ("dead before the limit",)),
    "claim id per runner": ({"claim_id_per_runner": True, "give_ups": 1, "log": 4}, ("two workers", "hit", "losing")),
    "terminal is not final": ({"apply": terminal_is_not_final, "cancel": True}, ("an ended job changed",)),
}  # fmt: skip


@pytest.mark.parametrize("guard", CONTROLS)
def test_guard_that_is_missing_is_found(guard: str) -> None:
    bounds, expected = CONTROLS[guard]
    result = checked(live=False, **{"log": 3, **bounds})
    assert any(words in result.violation for words in expected), (result.violation, result.states)


def test_release_said_only_once_costs_the_job() -> None:
    """Level-triggered: a release that lands before its own claim, or is lost, must be said again."""
    result = checked(log=3, give_ups=1, release_once=True, flying=2, claims=2)
    assert result.violation == ""
    assert result.stuck


def test_given_up_claim_that_blocks_its_job_leaves_it_stuck() -> None:
    """An append that was lost for good would keep the job from every runner that gave up on it."""
    bounds: dict[str, Any] = {"log": 1, "give_ups": 2, "losses": 2, "flying": 2, "claims": 3}
    holds(checked(**bounds))
    result = checked(**bounds, claim_again_after_give_up=False)
    assert result.violation == ""
    assert result.stuck
