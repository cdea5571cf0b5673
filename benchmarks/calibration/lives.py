"""One bot's life under the gates: looked at as its bars grow, judged by the product's own rules, until it is recommended or the bars end.

What is the product's: the backtest's fills and figures (`follow`, `simulation_metrics`), timing (`research.timing`), what a look asks and
when it is due (`planner.decide.line_gates`), the other gates (`planner.decide.promotion_gates.RULES`), the default policy's thresholds.

Source: R-G4; docs/gates.md.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from msgspec.structs import replace

from autonomy.gates import EVIDENCE_GATES, Verdict
from autonomy.policy import Policy
from autonomy.timeframes import DAY_MS
from autonomy.values import Origin, Stage, derived_id
from benchmarks.calibration.worlds import Noise, noise, planted
from job_runner.engine.account import Costs
from job_runner.engine.compiled import FloatArray
from job_runner.engine.programs import Axis, StepProgram
from job_runner.engine.running import follow
from job_runner.engine.statistics import returns_of, simulation_metrics
from job_runner.research.report import SuiteSize
from job_runner.research.timing import timing
from job_runner.research.validation import net_t
from job_runner.strategies.coded import by_name
from planner.decide.line_gates import bars_needed, due_look
from planner.decide.promotion_gates import RULES
from planner.fold.entities import Bot, Evidence, Figures, Look

STRATEGIES: Final = ("bollinger-reversion", "donchian-breakout", "macd", "rsi-reversion", "sma-cross", "ts-momentum")
TRADING: Final = ("bollinger-reversion", "donchian-breakout", "macd")
"""Those that close ten trades in some thousand bars. The others trade so seldom that most of their lives end before the first look."""
REFRESH_BARS: Final = 10
CASH_USD: Final = 100_000.0
POLICY: Final = Policy()
LIMITS: Final = POLICY.stages[Stage.LAB].gates
COSTS: Final = Costs(POLICY.research.costs.fee_bps, POLICY.research.costs.slippage_bps)
SUITE: Final = SuiteSize()
JOB: Final = derived_id("calibrate", "job")
FINGERPRINT: Final = "f" * 64


class _NoWork:
    def done(self, bars: int) -> None:
        """Nobody looks on."""


@dataclass(frozen=True, slots=True)
class Life:
    """What became of one.

    Attributes:
        looks: how many were taken.
        timed_at: number of the first look that passed, of timing alone; 0 for none.
        recommended_at: look under which every gate passed for the first time; 0 for never.
        first_z: of the first look; None without one.
    """

    looks: int
    timed_at: int
    recommended_at: int
    first_z: float | None


def program_of(strategy: str, bars: int) -> StepProgram:
    """The strategy at its default parameters."""
    coded = by_name(strategy)
    program = coded.program(coded.check({}), Axis("WORLD", "1d", np.arange(bars, dtype=np.int64) * DAY_MS))
    assert isinstance(program, StepProgram)
    return program


def figures_of(program: StepProgram, rows: FloatArray, *, timed: bool, seed: int) -> Figures:
    """What a baseline on these bars tells the gates; without timing where no look is due."""
    decided = program.decided(rows)
    simulation = follow(program, decided, rows, COSTS, CASH_USD)
    metrics = simulation_metrics(simulation, CASH_USD, 252)
    returns = returns_of(simulation.equity)
    # Too few trades are never looked at: their timing is nobody's question.
    asked = timed and metrics.trades >= POLICY.looks.first_trades
    found = timing(program, rows, returns, COSTS, SUITE, seed, _NoWork()) if asked else None
    return Figures(
        sharpe=metrics.on_returns.sharpe_annualised, trades=metrics.trades, max_drawdown=metrics.on_returns.max_drawdown_fraction,
        exposure=metrics.exposure_fraction, bars_per_trade=metrics.bars_per_trade, timing_z=None if found is None else found.z,
        timing_p=1.0 if found is None else found.p_value, markets=0 if found is None else found.markets,
        net_t=net_t(program, decided, rows, COSTS, CASH_USD), look_ahead_ok=True, synthetic=False,
        costs_bps=COSTS.fee_bps + COSTS.slippage_bps,
    )  # fmt: skip


def others_pass(figures: Figures) -> bool:
    """Whether every gate on evidence passes; timing is the look's, and no search chose anything here."""
    return all(RULES[gate.code](figures, LIMITS) is Verdict.PASS for gate in EVIDENCE_GATES)


def live(strategy: str, rows: FloatArray, number: int, first_bars: int) -> Life:
    """A life on these bars; it ends with its recommendation.

    Args:
        strategy: wire name.
        rows: float64 (n, 5).
        number: of the life, from which its permutations follow.
        first_bars: of the first look.
    """
    rules = POLICY.looks.model_copy(update={"first_bars": first_bars})
    bot = _a_bot(strategy)
    timed_at, first_z, bars = 0, None, first_bars
    while bars <= len(rows):
        program = program_of(strategy, bars)
        is_due = bars >= bars_needed(bot.look, rules)
        figures = figures_of(program, rows[:bars], timed=is_due, seed=number)
        bot = replace(bot, evidence=Evidence(JOB, FINGERPRINT, "", 0, bars, 0, figures))
        look = due_look(bot, bot.look, rules) if is_due else None
        if look is not None:
            first_z = look.z if first_z is None else first_z
            bot = replace(bot, looks=look.number, look=Look.of(look))
            timed_at = timed_at or (look.number if look.verdict is Verdict.PASS else 0)
        passed = bot.look is not None and bot.look.verdict is Verdict.PASS
        if passed and others_pass(figures):
            return Life(bot.looks, timed_at, bot.looks, first_z)
        # What stands can only become a recommendation at a refresh; what failed waits for its next look.
        bars = bars + REFRESH_BARS if passed or bot.look is None else max(bars + 1, bars_needed(bot.look, rules))
    return Life(bot.looks, timed_at, 0, first_z)


def _a_bot(strategy: str) -> Bot:
    return Bot(
        id=strategy, name=strategy, strategy=strategy, parameters=(), symbol="WORLD", timeframe="1d", stage=Stage.LAB, stage_version=1,
        origin=Origin.NEW, verified=True, pinned=False, version=1, eligible_ms=0, phase=0,
    )  # fmt: skip


def noise_life(number: int, kind: Noise, bars: int, seed: int) -> Life:
    """The life of a bot in a market without timing."""
    return live(
        STRATEGIES[number % len(STRATEGIES)], noise(kind, number, bars, seed), _seed_of(kind, number, seed), POLICY.looks.first_bars
    )


def planted_life(number: int, first_bars: int, bars: int, drifts: dict[str, float], seed: int) -> Life:
    """The life of a bot whose timing pays by what its strategy's drift says."""
    strategy = TRADING[number % len(TRADING)]
    rows = planted(program_of(strategy, bars), number, bars, drifts[strategy], seed)
    return live(strategy, rows, _seed_of("planted", number, seed), first_bars)


def _seed_of(kind: str, number: int, seed: int) -> int:
    return int(derived_id("calibrate", kind, str(number), str(seed))[:8], 16)


def drift_for(strategy: str, edge: float, first_bars: int, seed: int, worlds: int = 24) -> float:
    """The drift with which the mean t of a bot's intercept on its market is `edge` over the bars of the first look, by bisection."""
    low, high = 0.0, 0.02
    for _ in range(12):
        drift = (low + high) / 2
        found = [_t_alpha(strategy, planted(program_of(strategy, first_bars), 10**6 + n, first_bars, drift, seed)) for n in range(worlds)]
        low, high = (drift, high) if float(np.mean(found)) < edge else (low, drift)
    return (low + high) / 2


def _t_alpha(strategy: str, rows: FloatArray) -> float:
    """Student's t of the intercept of the bot's returns on the market's."""
    program = program_of(strategy, len(rows))
    own = returns_of(follow(program, program.decided(rows), rows, COSTS, CASH_USD).equity)
    market = returns_of(rows[:, 3])
    x = np.stack([np.ones(len(market)), market], axis=1)
    beta, *_ = np.linalg.lstsq(x, own, rcond=None)
    left = own - x @ beta
    variance = float(left @ left) / max(len(own) - 2, 1) * np.linalg.inv(x.T @ x)[0, 0]
    return float(beta[0] / np.sqrt(variance)) if variance > 0 else 0.0
