"""The things a planner knows of: bots with their evidence and sessions, live jobs, runner processes, pauses.

Place in the flow: rows of `state`, made by fold, read by decide. Immutable; a change is a new entity. What is in here is in the
state hash, so everything is plain values in a fixed order. Structs instead of dataclasses: a changed copy of one costs a tenth.
"""

from typing import ClassVar

from msgspec import Struct

from autonomy.events import LookTaken, PaperSnapshot
from autonomy.gates import Verdict
from autonomy.identities import PLANNER
from autonomy.lifecycle import Job
from autonomy.policy import DEFAULT, Policy
from autonomy.reasons import Ended
from autonomy.values import Cause, Drift, Evolve, JobClass, Origin, Stage
from planner.fold.offers import RunnerProcess


class Figures(Struct, frozen=True):
    """What the promotion gates read of a finished backtest; None where it is not defined.

    Attributes:
        timing_z, timing_p, markets: the bot among so many markets of its own bars in random order.
        net_t: of the returns at double costs.
        costs_bps: fee and slippage together, per side.
    """

    sharpe: float | None
    trades: int
    max_drawdown: float | None
    exposure: float | None
    bars_per_trade: float | None
    timing_z: float | None
    timing_p: float
    markets: int
    net_t: float | None
    look_ahead_ok: bool
    synthetic: bool
    costs_bps: float


class Evidence(Struct, frozen=True):
    """What the last successful research job of a bot found, bound to its fingerprint and bars.

    Attributes:
        offered: what was announced about the symbol's data when the job was ordered.
    """

    job_id: str
    fingerprint: str
    data_sha256: str
    until_ms: int
    bars: int
    ended_ms: int
    figures: Figures
    offered: str = ""


class Look(Struct, frozen=True):
    """A judgement of a bot's timing; it stands for its fingerprint until the next one.

    Attributes:
        number: which look of its line, from 1 on.
        bars: that it saw.
        alpha, required_z: what it spent of the line's level, and asked for.
    """

    number: int
    bars: int
    fingerprint: str
    job_id: str
    z: float
    p_value: float
    alpha: float
    required_z: float
    verdict: Verdict

    @classmethod
    def of(cls, said: LookTaken) -> "Look":
        """As a tick said it."""
        return cls(said.number, said.bars, said.fingerprint, said.job_id, said.z, said.p_value, said.alpha, said.required_z, said.verdict)


class Opening(Struct, frozen=True):
    """What a search's challenger showed against its champion on bars that no search of the line had read.

    Attributes:
        number: which opening of the line's hold-outs, from 1 on.
    """

    job_id: str
    number: int
    paired_t: float | None
    required_t: float
    won: bool


class Evolved(Struct, frozen=True):
    """What searches have read of a line's bars: the next one holds out only later ones.

    Attributes:
        bars, until_ms: how many bars the last one read, and the start of the last of them.
        openings: how many challengers were compared with their champions on hold-outs.
    """

    fingerprint: str
    data_sha256: str
    bars: int
    until_ms: int
    openings: int = 0


class Flat(Struct, frozen=True):
    """What closing the position at the last marked close gives; priced by the runner's own engine."""

    units: float = 0.0
    price_usd: float = 0.0
    fee_usd: float = 0.0
    equity_usd: float | None = None
    pnl_usd: float | None = None


class HeldSnapshot(Struct, frozen=True):
    """The engine of a session after a bar, as it was said; nothing here reads it."""

    state: tuple[float, ...]
    account: tuple[float, ...]
    tally: tuple[float, ...]
    trade: tuple[float, ...]
    target: int
    bars_seen: int
    outcomes: tuple[int, ...]
    book: tuple[float | None, ...] = ()

    @classmethod
    def of(cls, said: PaperSnapshot) -> "HeldSnapshot":
        """As a mark said it."""
        return cls(said.state, said.account, said.tally, said.trade, said.target, said.bars_seen, said.outcomes, said.book)

    def said(self) -> PaperSnapshot:
        """As an order says it again."""
        return PaperSnapshot(
            state=self.state, account=self.account, tally=self.tally, trade=self.trade, target=self.target, bars_seen=self.bars_seen,
            book=self.book, outcomes=self.outcomes,
        )  # fmt: skip


class Paper(Struct, frozen=True):
    """A bot's open paper session, as the last mark that counts left it.

    Attributes:
        from_ms: bars that start later are traded.
        bar, last_ms: number and start of the last mark's bar; None before the first.
        counted_from: traded bars at which the bot's stage began: its health is counted from there.
        snapshot: of the engine, as it goes into the next order.
        fingerprint: of the session, and with another one it cannot go on.
    """

    session_id: str
    from_ms: int
    bar: int | None = None
    last_ms: int | None = None
    traded_bars: int = 0
    counted_from: int = 0
    trades: int = 0
    pnl_usd: float = 0.0
    sharpe: float | None = None
    max_drawdown: float = 0.0
    flat: Flat = Flat()
    snapshot: HeldSnapshot | None = None
    fingerprint: str = ""


class Measure(Struct, frozen=True):
    """A paper session over a window, kept with the job that runs the window again."""

    session_id: str
    from_ms: int
    until_ms: int
    bars: int
    trades: int
    pnl_usd: float
    sharpe: float | None
    max_drawdown: float


class Drifted(Struct, frozen=True):
    """The last comparison of a session with the engine."""

    job_id: str
    session_id: str
    verdict: Drift
    findings: tuple[str, ...]


class Recommendation(Struct, frozen=True):
    """An open recommendation and the evidence that it stands on.

    Attributes:
        evidence_job: once the first of two approvers requested it, the one that they saw.
        requested_by: that approver.
        policy: hash of the policy then: two people agree to the same thresholds too.
    """

    id: str
    to_stage: Stage
    evidence_job: str
    requested_by: str | None = None
    policy: str = ""


class Proposal(Struct, frozen=True):
    """The winner of a search that waits for an operator's word.

    Attributes:
        parameters: sorted by name.
        fingerprint: of the bot with these; another one by then, and the search was about something else.
    """

    job_id: str
    parameters: tuple[tuple[str, int | float | str], ...]
    fingerprint: str


class Failure(Struct, frozen=True):
    """A failure that the same input would meet again."""

    job_id: str
    cause: Cause
    detail: str
    fingerprint: str
    content: str
    """What was announced about the symbol's data when it failed."""


class ClassRecord(Struct, frozen=True):
    """What a bot's jobs of one class did.

    Attributes:
        job_id: the live one.
        ended_ms, ended: when and how the last one ended.
        crashes: in a row.
    """

    job_id: str | None = None
    ended_ms: int | None = None
    ended: Ended = Ended.NEVER
    crashes: int = 0


class Bot(Struct, frozen=True):
    """One bot.

    Attributes:
        parameters: sorted by name.
        verified: whether its stage was earned here; an imported one was not.
        eligible_ms: since when it could have been scheduled; a later end of a job counts from there.
        phase: spreads refreshes over the grid.
        epoch: rises when older evidence becomes void (revert, change); research of an older epoch counts for nothing.
        trials: evaluations that searches spent on this bot.
        looks: at its timing, over all versions.
        look: the one that stands for its evidence.
        searched: whether a search chose the parameters of any version.
        opening: of its present parameters, where a search found them.
        rejected_evidence: what an operator refused to promote on.
        fleet: whose files it comes from; empty: nobody's.
        evolve: what may become of a search's winner; empty: as the policy says.
        proposal: a winner that waits for approval; of a bot that says `evolve`, elsewhere an operator changes the bot by hand.
    """

    id: str
    name: str
    strategy: str
    parameters: tuple[tuple[str, int | float | str], ...]
    symbol: str
    timeframe: str
    stage: Stage
    stage_version: int
    origin: Origin
    verified: bool
    pinned: bool
    version: int
    eligible_ms: int
    phase: int
    hold: str | None = None
    pin_until_ms: int | None = None
    epoch: int = 0
    trials: int = 0
    evidence: Evidence | None = None
    failure: Failure | None = None
    evolved: Evolved | None = None
    looks: int = 0
    look: Look | None = None
    searched: bool = False
    opening: Opening | None = None
    paper: Paper | None = None
    drift: Drifted | None = None
    recommendation: Recommendation | None = None
    rejected_evidence: str = ""
    fleet: str = ""
    evolve: Evolve = ""
    proposal: Proposal | None = None
    research: ClassRecord = ClassRecord()
    runner: ClassRecord = ClassRecord()

    def record_of(self, job_class: JobClass) -> ClassRecord:
        """Its record of a class."""
        return self.research if job_class is JobClass.RESEARCH else self.runner


class LiveJob(Struct, frozen=True):
    """A job that can still change.

    Attributes:
        silent_ms: accrued silence of its current claim (S11).
        cancel: why it shall end, once that is decided.
        epoch: of the bot when the job was enqueued.
        measure: what its bot's paper session showed over the window that the job runs again.
    """

    job: Job
    fingerprint: str
    content: str
    until_ms: int
    enqueued_ms: int
    failures_limit: int
    silent_ms: int = 0
    cancel: Cause | None = None
    epoch: int = 0
    costs_bps: float = 0.0
    measure: Measure | None = None


class Pause(Struct, frozen=True):
    """A pause of one scope."""

    scope: str
    target: str
    actor: str
    since_ms: int
    reason: str


class Vote(Struct, frozen=True):
    """The first approver's word for a change of the rules that needs two."""

    command: str
    actor: str
    since_ms: int


class Singletons(Struct, frozen=True):
    """What exists once.

    Attributes:
        policy_hash: of the policy's document as it was said: the state is hashed by it, not by what the document means to this code.
        policy_by: who said it.
        market_epoch_ms: wall time at which the replay began: `now` of the first tick.
        enqueues, searches, promotions: (now, count) of the last hour, for the rate limits; of promotions those by AUTO.
        last_offer: what the last live runner process announced, so that a fingerprint survives a runner's restart.
    """

    unhashed: ClassVar[frozenset[str]] = frozenset({"policy"})
    policy: Policy = DEFAULT
    policy_hash: str = ""
    policy_by: str = ""
    market_epoch_ms: int | None = None
    enqueues: tuple[tuple[int, int], ...] = ()
    searches: tuple[tuple[int, int], ...] = ()
    promotions: tuple[tuple[int, int], ...] = ()
    last_offer: RunnerProcess | None = None
    refused: int = 0

    @property
    def is_new(self) -> bool:
        """Whether nobody set a policy yet: the one in force is what the planner began with."""
        return self.policy_by in {"", PLANNER}
