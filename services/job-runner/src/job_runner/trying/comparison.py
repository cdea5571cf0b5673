"""A strategy for another program, filled as that program fills: beside the verdict, never instead of it.

Role: the same decisions twice over the same bars: by this platform's rules they are in the report, here by the other's habits. Only for
strategies that came through an adapter.

Source: docs/own-bots.md, "From freqtrade"; docs/fills.md, "Compared with other engines".
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

import job_runner.engine.book as at
from autonomy.timeframes import MS
from job_runner.engine.account import TRADE_ENTRY_BAR, TRADE_ENTRY_PRICE, TRADE_EXIT_BAR, TRADE_EXIT_PRICE, TRADE_PNL, TRADE_UNITS
from job_runner.engine.compiled import FloatArray, IntArray
from job_runner.engine.plan_simulation import PlanSimulation, simulate_plan
from job_runner.engine.plans import Outcome, Switches, Terms
from job_runner.engine.programs import Axis, StepProgram
from job_runner.engine.running import plan_of, planned
from job_runner.strategies.coded import CodedStrategy, Kept

FREQTRADE: Final = Switches(
    gap_stop="whole_bar", gap_target="clamp", target_net_of_fees=True, trail_own_bar=True, fee_reserved=False, reentry="at_once",
    end="last_open",
)  # fmt: skip
"""How `freqtrade backtesting` fills."""
MOST_DIGITS: Final = 12


@dataclass(frozen=True, slots=True)
class ComparedTrade:
    """One closed trade.

    Args:
        entry_ms, exit_ms: start of the bars, ms UTC.
        units: negative for a short.
        entry_price_usd, exit_price_usd: of its fills.
        pnl_usd: after fees.
        left_by: STOPPED, TARGET or EXITED.
    """

    entry_ms: int
    exit_ms: int
    units: float
    entry_price_usd: float
    exit_price_usd: float
    pnl_usd: float
    left_by: str


@dataclass(frozen=True, slots=True)
class Comparison:
    """What another program would have made of the same decisions.

    Args:
        program: with its version.
        trades: in order; a position left at the end is closed at the last open, and is one of them.
        final_equity_usd: after the last trade.
        notes: where its own backtest may differ from this all the same, in words.
    """

    program: str
    trades: tuple[ComparedTrade, ...]
    final_equity_usd: float
    notes: tuple[str, ...]


def compared(
    coded: CodedStrategy, rows: FloatArray, axis: Axis, parameters: Mapping[str, object], cash_usd: float, fee_bps: float, lot: float = 0.0
) -> Comparison | None:
    """The trades by the other program's fills: all in, its fee on top, no slippage; None for a strategy without an adapter.

    Args:
        coded: the strategy.
        rows: float64 (n, BAR_SIZE), C-contiguous.
        axis: which bars they are.
        parameters: of the strategy; keys left out take their default.
        cash_usd: at the start.
        fee_bps: per side.
        lot: smallest step of units at its venue; 0 for none.

    Raises:
        BadInput: a parameter out of its limits.
        StrategyFailed: the strategy's own fault.
    """
    if not (isinstance(coded.code, Kept) and coded.code.program):
        return None
    program = coded.program(parameters, axis)
    if isinstance(program, StepProgram):
        return None
    decided = planned(program.decided(rows))
    terms = Terms(taker_bps=fee_bps, tick=tick_of(rows), lot=lot)
    found = simulate_plan(plan_of(decided), program.rules, terms, rows, cash_usd, times_ms=axis.times, switches=FREQTRADE)
    return Comparison(coded.code.program, _trades_of(found, axis.times), found.account.cash, tuple(notes_of(found, decided, axis)))


def tick_of(rows: FloatArray) -> float:
    """The step of prices as freqtrade takes it in a backtest: by the digits that the bars are written with."""
    prices = np.unique(rows[:, :4])
    for digits in range(MOST_DIGITS):
        if np.array_equal(np.round(prices, digits), prices):
            return math.pow(10.0, -digits)
    return 0.0


def _trades_of(found: PlanSimulation, times: IntArray) -> tuple[ComparedTrade, ...]:
    return tuple(
        ComparedTrade(
            int(times[int(row[TRADE_ENTRY_BAR])]), int(times[int(row[TRADE_EXIT_BAR])]), row[TRADE_UNITS], row[TRADE_ENTRY_PRICE],
            row[TRADE_EXIT_PRICE], row[TRADE_PNL], Outcome(int(row[at.TRADE_OUTCOME])).name,
        )
        for row in found.trades.tolist()
    )  # fmt: skip


def notes_of(found: PlanSimulation, decided: FloatArray, axis: Axis) -> list[str]:
    """Where freqtrade's own backtest may differ from this all the same.

    Args:
        found: by its fills.
        decided: float64 (n, 5), what was wanted after each close.
        axis: which bars.
    """
    notes = []
    missing = int(np.sum(np.diff(axis.times) // MS[axis.timeframe] - 1)) if len(axis.times) > 1 else 0
    if missing:
        notes.append(f"{missing} bars are missing: freqtrade puts bars without volume in their place, which its indicators see")
    by_itself = [row for row in found.trades if int(row[at.TRADE_OUTCOME]) in (int(Outcome.STOPPED), int(Outcome.TARGET))]
    turned = sum(row[TRADE_UNITS] * decided[int(row[TRADE_EXIT_BAR]) - 1, 0] < 0.0 for row in by_itself if row[TRADE_EXIT_BAR] >= 1.0)
    if turned:
        notes.append(
            f"{turned} stops or targets in a bar whose order was an entry of the other side: freqtrade makes that entry at the open of the "
            "same bar, before its stop"
        )
    return notes
