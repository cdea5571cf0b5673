"""The policy document: every limit and threshold that a decision uses, versioned and hashed into every planner run.

Place in the flow: YAML or JSON from an operator → validated here (proof-api, planner) → folded by the planner. Pure.
"""

import hashlib
import json
from collections.abc import Mapping
from datetime import date
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError, model_validator

from autonomy.errors import BadInput, Broken
from autonomy.events import Costs, Money, SuiteSizes
from autonomy.gates import EVIDENCE_GATES, PromotionGate, limits_read
from autonomy.values import JobType, Stage

Seconds = Annotated[float, Field(ge=0, le=31_536_000)]


class Section(BaseModel):
    """A closed, frozen part of the policy; snake_case, as in its YAML."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class MarketPolicy(Section):
    """Which time the market is at: a pure function of this section and a tick's `now`.

    Attributes:
        mode: LIVE (= now), or REPLAY of recorded bars.
        start, end: first and last day of a replay; the first has been shown when it begins.
        seconds_per_bar: wall time per weekday of a replay. With another value the market goes on from where it stands, at that speed.
    """

    mode: Literal["LIVE", "REPLAY"] = "REPLAY"
    start: date = date(2010, 1, 4)
    end: date = date(2013, 3, 1)
    seconds_per_bar: Annotated[float, Field(gt=0, le=86_400)] = 15.0


class LeasePolicy(Section):
    """When a claim without a sign of life is given to somebody else.

    Attributes:
        lease_s: silence after which a claim expires.
        beat_s: how often a runner beats.
        claim_deadline_s: how long a runner waits to see its own claim win.
        failures_limit: expiries after which a job is dead.
    """

    lease_s: Annotated[float, Field(ge=0.5, le=3600)] = 15.0
    beat_s: Annotated[float, Field(ge=0.05, le=600)] = 2.0
    claim_deadline_s: Annotated[float, Field(ge=0.1, le=600)] = 5.0
    failures_limit: Annotated[int, Field(ge=1, le=100)] = 3

    @model_validator(mode="after")
    def in_proportion(self) -> "LeasePolicy":
        """A late beat or a slow read must never look like a death."""
        if self.beat_s > self.lease_s / 5:
            raise ValueError(f"beat_s must be at most lease_s / 5 = {self.lease_s / 5} s")
        if self.claim_deadline_s >= self.lease_s / 2:
            raise ValueError(f"claim_deadline_s must be below lease_s / 2 = {self.lease_s / 2} s")
        return self


class ResearchPolicy(Section):
    """How much research runs at once, and what one job is.

    Attributes:
        concurrency: N, the number of research jobs meant to run at once, over the whole fleet.
        queue_ahead: how many more may wait, so that a freed slot never idles.
        max_enqueues_per_hour: of the fleet.
        queued_per_slot: backpressure: at most this many queued jobs per slot that live runners announce.
        min_bars: bars a symbol needs before anything is decided about it.
    """

    concurrency: Annotated[int, Field(ge=1, le=100_000)] = 5
    queue_ahead: Annotated[int, Field(ge=0, le=100_000)] = 3
    max_enqueues_per_hour: Annotated[int, Field(ge=1, le=10_000_000)] = 3600
    queued_per_slot: Annotated[int, Field(ge=1, le=100_000)] = 20
    min_bars: Annotated[int, Field(ge=50, le=100_000)] = 250
    timeout_s: Annotated[int, Field(ge=1, le=86_400)] = 600
    initial_cash_usd: Money = "100000.00"
    costs: Costs = Costs(fee_bps=10.0, slippage_bps=5.0)
    suite: SuiteSizes = SuiteSizes()


class CooldownPolicy(Section):
    """How long a bot's class rests after a job of it ended; a crash doubles it each time, up to the maximum."""

    after_success_s: Seconds = 0.0
    after_cancel_s: Seconds = 60.0
    after_crash_s: Seconds = 60.0
    max_s: Seconds = 21_600.0


Ratio = Annotated[float, Field(ge=-1000, le=1000)]
Fraction = Annotated[float, Field(ge=0, le=1)]


class GateThresholds(Section):
    """What a bot must show to leave a stage. What its timing must show stands in `LookPolicy`: that is one budget for its whole line.

    Attributes:
        max_evidence_age_bars: older evidence is INCONCLUSIVE; in new bars of the symbol.
        min_exposure: share of the bars with a position.
        min_net_t: of the returns at double costs.
        max_drawdown, max_exposure: your own risk limits, off at 1; no evidence.
        min_live_bars: bars that the paper session must have traded (from PAPER on).
        max_bars_behind: how many released bars the runner may be behind (from PAPER on).
        shadow: gates that are measured and shown without deciding.
    """

    max_evidence_age_bars: Annotated[int, Field(ge=1, le=100_000)] = 20
    min_trades: Annotated[int, Field(ge=1, le=1_000_000)] = 10
    min_bars_per_trade: Annotated[float, Field(ge=1, le=10_000)] = 2.0
    min_exposure: Fraction = 0.02
    min_net_t: Ratio = 1.64
    max_drawdown: Fraction = 1.0
    max_exposure: Fraction = 1.0
    min_live_bars: Annotated[int, Field(ge=1, le=1_000_000)] = 20
    max_bars_behind: Annotated[int, Field(ge=0, le=1_000_000)] = 5
    shadow: tuple[PromotionGate, ...] = ()


_READ: Final = {limit for gate in EVIDENCE_GATES for limit in limits_read(gate)}
if not set(GateThresholds.model_fields) >= _READ:
    raise Broken(f"gates read limits that no policy has: {sorted(_READ - set(GateThresholds.model_fields))}")


class LookPolicy(Section):
    """When a bot line is judged, and how much luck all its judgements together may let through.

    Look k spends alpha_life / (k (k + 1)), so all looks of a line spend alpha_life at most.

    Attributes:
        alpha_life: probability that a line without any timing is ever found to have some.
        first_bars, first_trades: before so many nothing is judged.
        every: the next look at so many times the bars of the last one, or at once when the fingerprint changes.
    """

    alpha_life: Annotated[float, Field(gt=0, lt=0.5)] = 0.003
    first_bars: Annotated[int, Field(ge=50, le=1_000_000)] = 500
    first_trades: Annotated[int, Field(ge=1, le=1_000_000)] = 10
    every: Annotated[float, Field(ge=1.01, le=10)] = 1.2


class DriftPolicy(Section):
    """When a live window differs from the engine's re-run of it: one breach is MINOR, two or more are MAJOR.

    Attributes:
        max_trade_count_change, max_pnl_change: relative to the engine's value.
        max_sharpe_change: absolute.
        max_drawdown_ratio: live over engine.
        min_bars, min_trades: with fewer the comparison is INCONCLUSIVE.
    """

    max_trade_count_change: Annotated[float, Field(gt=0, le=100)] = 0.3
    max_pnl_change: Annotated[float, Field(gt=0, le=100)] = 0.3
    max_sharpe_change: Annotated[float, Field(gt=0, le=100)] = 0.3
    max_drawdown_ratio: Annotated[float, Field(ge=1, le=100)] = 2.0
    min_bars: Annotated[int, Field(ge=2, le=1_000_000)] = 20
    min_trades: Annotated[int, Field(ge=0, le=1_000_000)] = 10


class PromotionPolicy(Section):
    """How far the planner may promote by itself when `promotion_mode` is AUTO; the fleet's shares hold for operators too.

    Attributes:
        auto_per_hour: promotions that AUTO applies per hour.
        auto_stages: where AUTO may take a bot; CANARY and LIVE always need two approvers.
        max_share: largest share of the fleet per stage.
        synthetic_up_to: the highest stage that evidence on made-up bars may lead to; never beyond PAPER.
    """

    auto_per_hour: Annotated[int, Field(ge=0, le=1_000_000)] = 2
    auto_stages: tuple[Literal[Stage.PAPER, Stage.SHADOW], ...] = (Stage.PAPER, Stage.SHADOW)
    synthetic_up_to: Literal[Stage.LAB, Stage.PAPER] = Stage.LAB
    max_share: dict[Stage, Fraction] = Field(
        default_factory=lambda: {Stage.PAPER: 0.5, Stage.SHADOW: 0.3, Stage.CANARY: 0.2, Stage.LIVE: 0.2}
    )


class EvolutionPolicy(Section):
    """When a bot evolves, how much one search is, and what a challenger must show.

    Attributes:
        weak_below_sharpe: a bot whose evidence is below this qualifies.
        per_hour: searches of the fleet.
        concurrency: searches meant to be live at once.
        holdout_fraction: of a line's first search; each later one holds out the bars that no search of the line has read.
        min_holdout_bars, min_holdout_trades: with fewer there is no search: what it found could not be told from luck.
        alpha_holdouts: how often pure noise may beat its champion in any hold-out of a line: the j-th spends alpha_holdouts / (j (j + 1)).
        winners: PROPOSE: a better parameter set is recorded, and an operator changes the bot; APPLY: it becomes the next version of a LAB
            bot by itself, unless a recommendation for that bot is open. A bot that says `evolve` goes by its own word.
    """

    weak_below_sharpe: Ratio = 0.3
    per_hour: Annotated[int, Field(ge=0, le=1_000_000)] = 60
    concurrency: Annotated[int, Field(ge=1, le=10_000)] = 1
    population: Annotated[int, Field(ge=4, le=1000)] = 24
    generations: Annotated[int, Field(ge=1, le=1000)] = 8
    folds: Annotated[int, Field(ge=2, le=50)] = 4
    embargo_bars: Annotated[int, Field(ge=0, le=1000)] = 5
    holdout_fraction: Annotated[float, Field(ge=0.05, le=0.5)] = 0.25
    max_evaluations: Annotated[int, Field(ge=4, le=1_000_000)] = 400
    max_wall_s: Annotated[float, Field(gt=0, le=86_400)] = 120.0
    alpha_holdouts: Annotated[float, Field(gt=0, lt=0.5)] = 0.05
    min_holdout_bars: Annotated[int, Field(ge=10, le=1_000_000)] = 250
    min_holdout_trades: Annotated[int, Field(ge=0, le=1_000_000)] = 10
    winners: Literal["PROPOSE", "APPLY"] = "PROPOSE"


class RunnerPolicy(Section):
    """Paper runners.

    Attributes:
        session_s: after this long a runner's job ends and its session goes on as a new job.
        stop: what becomes of a position when stage gates stop a runner; a revert always flattens.
        max_runners: live runner jobs of the fleet.
    """

    session_s: Annotated[int, Field(ge=1, le=604_800)] = 21_600
    stop: Literal["FLATTEN", "HOLD"] = "FLATTEN"
    max_runners: Annotated[int, Field(ge=0, le=100_000)] = 500


class StagePolicy(Section):
    """What a bot of a stage wants, in order of looking.

    Attributes:
        gates: what leads to the next stage.
        runner_gates: those of the gates that must hold for a runner to start and to go on, with `gates`' thresholds.
        refresh_after_bars: a refresh is due when the market clock passes the bot's own slot on a grid of this many bars.
        refresh_after_hours: a refresh is due after this long, if there is at least one new bar.
    """

    wants: tuple[JobType, ...] = ()
    refresh_after_bars: Annotated[int, Field(ge=1, le=10_000)] = 10
    refresh_after_hours: Annotated[float, Field(gt=0, le=87_600)] = 24.0
    gates: GateThresholds = GateThresholds()
    runner_gates: tuple[PromotionGate, ...] = ()


LAB_WANTS: Final = (JobType.BACKTEST_BASELINE, JobType.BACKTEST_REFRESH, JobType.EVOLVE)
RUNNING_WANTS: Final = (JobType.RUNNER_START, JobType.BACKTEST_BASELINE, JobType.BACKTEST_REFRESH)
RUNNER_GATES: Final = (PromotionGate.BASELINE_PASSED, PromotionGate.REALISM, PromotionGate.LIMITS)


def _beyond_lab() -> StagePolicy:
    # Evidence may be older than at the door: a runner should not stop because research had a busy hour.
    return StagePolicy(wants=RUNNING_WANTS, gates=GateThresholds(max_evidence_age_bars=60), runner_gates=RUNNER_GATES)


class Policy(Section):
    """The whole document.

    Attributes:
        rules_approvers: how many approvers a change of the policy, of the promotion mode, or an accepted difference takes; 1 only where one
            person operates the fleet.
    """

    name: Annotated[str, Field(max_length=80)] = "default"
    tick_interval_s: Annotated[float, Field(ge=0.2, le=3600)] = 60.0
    early_tick_spacing_s: Annotated[float, Field(ge=0, le=3600)] = 5.0
    promotion_mode: Literal["MANUAL", "AUTO"] = "MANUAL"
    market: MarketPolicy = MarketPolicy()
    leases: LeasePolicy = LeasePolicy()
    research: ResearchPolicy = ResearchPolicy()
    cooldowns: CooldownPolicy = CooldownPolicy()
    looks: LookPolicy = LookPolicy()
    promotion: PromotionPolicy = PromotionPolicy()
    drift: DriftPolicy = DriftPolicy()
    evolution: EvolutionPolicy = EvolutionPolicy()
    runners: RunnerPolicy = RunnerPolicy()
    quarantine_after_crashes: Annotated[int, Field(ge=1, le=100)] = 3
    rules_approvers: Annotated[int, Field(ge=1, le=2)] = 2
    stages: dict[Stage, StagePolicy] = Field(
        default_factory=lambda: {
            Stage.LAB: StagePolicy(wants=LAB_WANTS),
            Stage.PAPER: _beyond_lab(),
            Stage.SHADOW: _beyond_lab(),
            Stage.CANARY: _beyond_lab(),
            Stage.LIVE: _beyond_lab(),
        }
    )

    def document(self) -> dict[str, JsonValue]:
        """The policy as it is said on the log."""
        return self.model_dump(mode="json")

    def hash(self) -> str:
        """The hash of its document."""
        return hash_of_document(self.document())


def hash_of_document(document: Mapping[str, JsonValue]) -> str:
    """The hash of a policy's document as it was said, which each planner run records; the order of its keys means nothing."""
    return hashlib.sha256(json.dumps(document, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


DEFAULT: Final = Policy()


def read_policy(document: Mapping[str, object]) -> Policy:
    """Validate a document.

    Raises:
        BadInput: names the field and the limit.
    """
    try:
        return Policy.model_validate(document)
    except ValidationError as refusal:
        fault = refusal.errors(include_url=False)[0]
        path = ".".join(str(part) for part in fault["loc"]) or "policy"
        raise BadInput(path, fault["msg"], fault.get("input")) from refusal
