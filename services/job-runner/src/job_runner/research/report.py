"""What goes into a research job, and what comes out: plain frozen values that cross a process boundary.

Role: the vocabulary of `backtest` and `validation`. Fractions are 0.01 for 1 %; Sharpe and Sortino are annualised
with the bars a year of the order; instants are starts of bars, ms since 1970-01-01 UTC.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields

from autonomy.errors import AutonomyError, BadInput, Poison
from job_runner.engine.account import Costs
from job_runner.engine.statistics import BARS_PER_YEAR, Metrics


class OtherFingerprint(BadInput):
    """This process has other code, data or costs than were ordered."""


class StrategyError(Poison):
    """The strategy made the engine produce something that is no result, such as an equity that is not finite."""


class Cancelled(AutonomyError):
    """The job was told to stop, and did."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SuiteSize:
    """How much validation is done: policy, never padding. The limits keep one job within minutes and some hundred MB.

    Args:
        permuted_markets: markets of the real bars in random order, at most.
        hopeless_after: after so many of them a bot that shows no timing is not looked at any further.
        truncation_cuts: ends of history at which decisions are made again and compared.
        neighbourhood_steps: parameter steps to each side; the grid holds at most `validation.MAX_NEIGHBOURS` points.
        stress_levels: multiples of fee, and of slippage, from 0 on; squared points.
        walk_forward_windows: out-of-sample windows.
    """

    permuted_markets: int = 1_000
    hopeless_after: int = 100
    truncation_cuts: int = 250
    neighbourhood_steps: int = 4
    stress_levels: int = 6
    walk_forward_windows: int = 8

    def __post_init__(self) -> None:
        """Refuse sizes out of limits: BadInput."""
        limits = {
            "permuted_markets": (10, 1_000_000),
            "hopeless_after": (10, 1_000_000),
            "truncation_cuts": (1, 10_000),
            "neighbourhood_steps": (0, 20),
            "stress_levels": (1, 50),
            "walk_forward_windows": (2, 100),
        }
        for name, (low, high) in limits.items():
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
                raise BadInput(f"suite.{name}", f"a whole number from {low} to {high}", value)


@dataclass(frozen=True, slots=True)
class ResearchOrder:
    """One research job: everything it depends on, so that the same order gives the same report.

    Args:
        job_id: of the job.
        bot_id: whose job it is.
        strategy: wire name in the catalogue.
        parameters: document for the catalogue's check.
        symbol: such as AAPL.
        timeframe: such as `1d`.
        until_ms: start of the last bar that may be read.
        fee_bps: per side, 0 to 1000.
        slippage_bps: per side, 0 to 1000.
        initial_cash_usd: decimal text, above 0, as in the fingerprint.
        min_bars: fewer bars are refused.
        suite: how much validation.
        bars_per_year: what ratios are annualised with.
        prior_trials: evaluations already spent on this bot's line, counted against its deflated Sharpe ratio too.
        maker_bps: what else trading the symbol costs and allows, see `account.Costs`; likewise the ones below.
        funding_bps_per_day: see there.
        borrow_bps_per_day: see there.
        tick: see there.
        lot: see there.
        minimum_usd: see there.
    """

    job_id: str
    bot_id: str
    strategy: str
    parameters: Mapping[str, object]
    symbol: str
    timeframe: str
    until_ms: int
    fee_bps: float
    slippage_bps: float
    initial_cash_usd: str
    min_bars: int = 250
    suite: SuiteSize = field(default_factory=SuiteSize)
    prior_trials: int = 0
    bars_per_year: int = BARS_PER_YEAR
    maker_bps: float | None = None
    funding_bps_per_day: float = 0.0
    borrow_bps_per_day: float = 0.0
    tick: float = 0.0
    lot: float = 0.0
    minimum_usd: float = 0.0

    @property
    def costs(self) -> Costs:
        """What trading costs and allows."""
        return Costs(**{each.name: getattr(self, each.name) for each in fields(Costs)})


@dataclass(frozen=True, slots=True)
class Trade:
    """One closed trade; `units` in shares, negative for a short; `return_fraction` after costs, of the entry value."""

    entry_ms: int
    exit_ms: int
    bars: int
    units: float
    entry_price_usd: float
    exit_price_usd: float
    fees_usd: float
    pnl_usd: float
    return_fraction: float


@dataclass(frozen=True, slots=True)
class EquityPoint:
    """One close: its price and account values in USD, drawdown of the strategy as a fraction of its peak."""

    time_ms: int
    close_usd: float
    strategy_usd: float
    buy_and_hold_usd: float
    drawdown_fraction: float


@dataclass(frozen=True, slots=True)
class Quantiles:
    """5 %, 50 % and 95 % quantile; None where nothing was measured."""

    p05: float | None
    p50: float | None
    p95: float | None


@dataclass(frozen=True, slots=True)
class StressPoint:
    """The strategy under other costs, per side."""

    fee_bps: float
    slippage_bps: float
    sharpe_annualised: float | None
    total_return_fraction: float | None


@dataclass(frozen=True, slots=True)
class Stress:
    """The cost and slippage grid.

    Args:
        points: all of it.
        worst_sharpe_annualised: lowest on the grid.
        profitable_fraction: share of the points with a gain.
    """

    points: tuple[StressPoint, ...]
    worst_sharpe_annualised: float | None
    profitable_fraction: float


@dataclass(frozen=True, slots=True)
class Neighbourhood:
    """The strategy with parameters nearby.

    Args:
        evaluated: parameter sets, the order's own included.
        sharpe_annualised: quantiles over them.
        profitable_fraction: share with a gain.
        rank_fraction: share of the others that the order's own parameters beat or equal; near 1 means it stands on a
            peak.
    """

    evaluated: int
    sharpe_annualised: Quantiles
    profitable_fraction: float
    rank_fraction: float


@dataclass(frozen=True, slots=True)
class WalkForwardWindow:
    """One window: the best parameters of all bars before it, and how they did in it."""

    first_ms: int
    last_ms: int
    parameters: str
    in_sample_sharpe_annualised: float | None
    out_of_sample_sharpe_annualised: float | None


@dataclass(frozen=True, slots=True)
class WalkForward:
    """Parameters chosen again and again on the past, traded on what came next, in one account.

    Args:
        windows: oldest first.
        in_sample: account trading the chosen parameters on the window *before* the one they are for, which they were
            chosen on.
        out_of_sample: account trading the chosen parameters on the window they are for.
        retained_sharpe_fraction: out-of-sample over in-sample Sharpe ratio; None when the latter is not positive.
        evaluations: scores looked at while choosing.
    """

    windows: tuple[WalkForwardWindow, ...]
    in_sample: Metrics
    out_of_sample: Metrics
    retained_sharpe_fraction: float | None
    evaluations: int


@dataclass(frozen=True, slots=True)
class Timing:
    """The bot among permuted markets.

    Args:
        z: of its Sharpe ratio per bar among theirs; None where either does not vary.
        p_value: share of all markets, the real one among them, on which it did at least as well; never 0.
        markets: permuted ones that were tried.
        seed: of the permutations.
    """

    z: float | None
    p_value: float
    markets: int
    seed: int


@dataclass(frozen=True, slots=True)
class LookAhead:
    """Decisions with the future cut off, compared with those made with it there.

    Args:
        cuts_checked: ends of history tried.
        first_bad_ms: last bar of the shortest history whose decisions differ; None when there is none.
    """

    cuts_checked: int
    first_bad_ms: int | None

    @property
    def ok(self) -> bool:
        """No decision knew of a later bar."""
        return self.first_bad_ms is None


@dataclass(frozen=True, slots=True)
class ResearchReport:
    """Everything one research job found out. Equal orders on equal data give equal reports, but for `elapsed_s`.

    Args:
        order: what was asked.
        fingerprint: hex; strategy code, parameters, data source, engine, costs. Not the last day.
        data_sha256: hex, over the very bars used.
        source_id: where they came from.
        synthetic: made-up bars, never evidence for a promotion.
        bars: how many.
        first_ms: of the bars.
        last_ms: of the bars.
        metrics: of the strategy over all bars.
        buy_and_hold: bought at the second open, with the same costs, and kept.
        stress: other costs.
        neighbourhood: other parameters.
        walk_forward: in and out of sample.
        timing: the bot among markets of its own bars in random order.
        net_t: t of its returns at double costs.
        look_ahead: no knowledge of the future.
        probabilistic_sharpe: probability that the true Sharpe ratio is above 0.
        deflated_sharpe: the same against the best of `trials_counted` worthless tries.
        trials_counted: evaluations made in this job, of the neighbourhood and the walk-forward, and those the order
            names as made before.
        trades: closed ones, oldest first.
        equity: at most 400 points, first and last close included.
        elapsed_s: seconds by phase, in order.
        outcomes: bars by what became of them, names of `engine.plans.Outcome`; they add up to `bars`.
        data_findings: what is odd about the bars; see `data_check`.
    """

    order: ResearchOrder
    fingerprint: str
    data_sha256: str
    source_id: str
    synthetic: bool
    bars: int
    first_ms: int
    last_ms: int
    metrics: Metrics
    buy_and_hold: Metrics
    stress: Stress
    neighbourhood: Neighbourhood
    walk_forward: WalkForward
    timing: Timing
    net_t: float | None
    look_ahead: LookAhead
    probabilistic_sharpe: float | None
    deflated_sharpe: float | None
    trials_counted: int
    trades: tuple[Trade, ...]
    equity: tuple[EquityPoint, ...]
    elapsed_s: tuple[tuple[str, float], ...]
    outcomes: Mapping[str, int]
    data_findings: tuple[str, ...] = ()

    @property
    def look_ahead_ok(self) -> bool:
        """No decision knew of a later bar."""
        return self.look_ahead.ok
