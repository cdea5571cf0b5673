"""With the named switches the engine makes the very trades that other engines made on the same bars.

The bars are drawn by a recorded generator, whose output stands as SHA-256 in `fills_golden.json`; the trades were counted on 2026-11-30 in
vectorbt 1.2.0, backtesting.py 0.6.6, raptorbt 0.13.4 and freqtrade 2026.9, none of which is installed here.

Source: docs/fills.md; docs/adr/0014-golden-values-of-a-recorded-generator.md.
"""

import hashlib
import json
import math
import random
import re
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas
import pytest

import job_runner.engine.book as at
from job_runner.engine.account import TRADE_ENTRY_BAR, TRADE_ENTRY_PRICE, TRADE_EXIT_BAR, TRADE_EXIT_PRICE, TRADE_PNL, TRADE_UNITS
from job_runner.engine.bar_fills import take_bar
from job_runner.engine.compiled import CLOSE, Bar, FloatArray
from job_runner.engine.plan_by_bar import PlanByBar
from job_runner.engine.plan_simulation import PlanSimulation, simulate_plan
from job_runner.engine.plans import OURS, Decision, ExitRules, Outcome, Plan, Switches, Terms
from job_runner.trying.comparison import FREQTRADE

GOLDEN: dict[str, Any] = json.loads((Path(__file__).parent / "fills_golden.json").read_text())
SEEDS = 20
BARS = 400
UNIT = 1e-3
"""Share of the equity in a position: no setting is ruined, so that only prices and bars decide."""

BACKTESTING = Switches(touch=True, gap_target="open_after_stop")
VECTORBT = Switches(touch=True, gap_target="open_after_stop", reentry="at_once", stop_on_entry_bar=False, open_before_stop=False)
RAPTORBT = Switches(touch=True, gap_target="price")


@cache
def bars_of(seed: int, count: int, vol: float = 0.01, gap: float = 0.3) -> FloatArray:
    """Bars of the recorded generator: open, high, low, close, volume."""
    numbers, close, rows = random.Random(seed), 100.0, []
    for _ in range(count):
        open_ = close * math.exp(gap * vol * numbers.gauss(0, 1))
        end = open_ * math.exp(vol * numbers.gauss(0, 1))
        high = max(open_, end) * math.exp(vol / 2 * abs(numbers.gauss(0, 1)))
        low = min(open_, end) * math.exp(-vol / 2 * abs(numbers.gauss(0, 1)))
        open_, high, low, end = (round(price, 2) for price in (open_, high, low, end))
        rows.append((open_, max(high, open_, end), min(low, open_, end), end, 1.0))
        close = end
    found = np.array(rows)
    found.flags.writeable = False
    return found


def sma_signs(rows: FloatArray, fast: int, slow: int, *, both: bool) -> FloatArray:
    """1 while the fast mean is above the slow one; below it -1 where both sides are traded.

    By the very means that the other engines were handed: where two are equal, their rounding decides.
    """
    close = pandas.Series(rows[:, CLOSE])
    signs: FloatArray = np.nan_to_num(np.sign(close.rolling(fast).mean() - close.rolling(slow).mean()).to_numpy())
    return signs if both else np.maximum(signs, 0.0)


@pytest.mark.parametrize(
    ("seed", "count", "vol", "gap", "name"),
    [
        (0, 400, 0.01, 0.3, "seed 0, 400 bars"),
        (7, 8000, 0.01, 0.3, "seed 7, 8000 bars"),
        (11, 8000, 0.006, 2.0, "seed 11, 8000 bars, vol 0.006, gap 2.0"),
    ],
)
def test_the_bars_are_those_of_the_figures(seed: int, count: int, vol: float, gap: float, name: str) -> None:
    text = "\n".join(",".join(f"{price:.2f}" for price in row[:4]) for row in bars_of(seed, count, vol, gap).tolist())
    assert hashlib.sha256(text.encode()).hexdigest() == GOLDEN["sha256"][name]


def case_of(setting: str) -> tuple[ExitRules, Terms, bool]:
    """Rules, costs, and whether shorts are traded."""
    found = re.fullmatch(r"(L|LS) fee=(\S+) slip=(\S+) sl=(\S+) tp=(\S+)", setting)
    assert found is not None
    side, fee, slip, stop, target = found.groups()
    rules = ExitRules(stop_loss=None if stop == "None" else float(stop), take_profit_after={} if target == "None" else {0.0: float(target)})
    return rules, Terms(taker_bps=float(fee) * 1e4, slippage_bps=float(slip) * 1e4), side == "LS"


def settings_of(engine: str) -> list[tuple[float, str, int]]:
    """Gap, setting and trades of the runs in which the engine and the plain loop of its semantics agreed."""
    return [
        (gap, setting, figures["trades"])
        for gap in (0.3, 2.0)
        for setting, figures in GOLDEN["trades"][f"gap {gap}"][engine].items()
        if not figures["different"]
    ]


def priced(exposure: float, close: float, rules: ExitRules) -> Decision:
    """Levels of a fresh order, as fractions of this close."""
    side = np.sign(exposure)
    stop = np.nan if rules.stop_loss is None else close * (1.0 - side * rules.stop_loss)
    target = close * (1.0 + side * rules.take_profit_after[0.0]) if rules.take_profit_after else np.nan
    return Decision(exposure, stop, target) if side else Decision()


def trades_from_fills(setting: str, gap: float, switches: Switches) -> int:
    """Closed trades over all seeds, with stops and targets from the fill."""
    rules, terms, both = case_of(setting)
    closed = 0
    for seed in range(SEEDS):
        rows = bars_of(seed, BARS, gap=gap)
        found = simulate_plan(Plan(UNIT * sma_signs(rows, 5, 15, both=both)), rules, terms, rows, 1e6, switches=switches)
        assert Outcome.BEYOND_STOP not in found.counts()
        closed += len(found.trades)
    return closed


@pytest.mark.parametrize(("gap", "setting", "trades"), settings_of("vectorbt"))
def test_as_many_trades_as_vectorbt(gap: float, setting: str, trades: int) -> None:
    assert trades_from_fills(setting, gap, VECTORBT) == trades


@pytest.mark.parametrize(("gap", "setting", "trades"), settings_of("raptor"))
def test_as_many_trades_as_raptorbt(gap: float, setting: str, trades: int) -> None:
    assert trades_from_fills(setting, gap, RAPTORBT) == trades


@pytest.mark.parametrize(("gap", "setting", "trades"), settings_of("backtesting"))
def test_as_many_trades_as_backtesting_py(gap: float, setting: str, trades: int) -> None:
    """Its levels are prices, given with the order, so they hang on the close before the entry: rows of a plan, here bar by bar.

    Entries beyond their own stop or target are the one difference: it makes them and leaves at the same open.
    """
    rules, terms, both = case_of(setting)
    closed = beyond = 0
    for seed in range(SEEDS):
        rows = bars_of(seed, BARS, gap=gap)
        signs = sma_signs(rows, 5, 15, both=both).tolist()
        engine = PlanByBar(ExitRules(reentry="at_once"), terms, 1e6, switches=BACKTESTING)
        decision = Decision()
        for bar, row in enumerate(rows.tolist()):
            # Levels stay while the position does: whether it does is known when the bar is.
            book = engine._book.copy()
            take_bar(book, engine._contract, engine._steps, float(bar), Bar(*row), engine._done, engine._closed)
            before, is_held = decision, book[at.UNITS] * signs[bar] > 0.0
            decision = decision if is_held else priced(UNIT * signs[bar], row[CLOSE], rules)
            taken = engine.on_bar(bar, (*row,), decision)
            # A reversal whose new side is beyond its levels is an exit.
            beyond += taken.outcome is Outcome.BEYOND_STOP or (taken.outcome is Outcome.EXITED and before.exposure != 0.0)
            closed += len(taken.trades)
    assert closed + beyond == trades


def test_without_the_switches_the_trades_are_others() -> None:
    """Negative control."""
    setting = "LS fee=0.001 slip=0 sl=0.01 tp=0.02"
    found = trades_from_fills(setting, 2.0, OURS)
    assert found not in [figures[setting]["trades"] for figures in GOLDEN["trades"]["gap 2.0"].values() if setting in figures]


RUNS: dict[str, tuple[ExitRules, float, bool]] = {
    "Cross": (ExitRules(stop_loss=0.99), 1e-5, False),
    "CrossStop": (ExitRules(stop_loss=0.02, take_profit_after={0.0: 0.04}), 1e-5, False),
    "TrailPlain": (ExitRules(stop_loss=0.03, trailing=0.03), 1e-5, False),
    "CrossTrail": (ExitRules(stop_loss=0.03, trailing=0.01, trailing_offset=0.02), 1e-5, False),
    "LS": (ExitRules(stop_loss=0.99), 0.001, True),
    "GapStop": (ExitRules(stop_loss=0.02, take_profit_after={0.0: 0.04}), 0.001, False),
    "GapLS": (ExitRules(stop_loss=0.02, take_profit_after={0.0: 0.04}), 0.001, True),
}
"""Exit rules, lot and whether shorts are traded; the informative filter and the funding of both ends are not of the engine."""


def freqtrade_run(name: str) -> tuple[FloatArray, PlanSimulation]:
    rules, lot, both = RUNS[name]
    rows = bars_of(11, 8000, 0.006, 2.0) if name.startswith("Gap") else bars_of(7, 8000)
    hours = np.arange(len(rows), dtype=np.int64) * 3_600_000
    plan = Plan(sma_signs(rows, 20, 50, both=both))
    return rows, simulate_plan(plan, rules, Terms(taker_bps=10.0, tick=0.01, lot=lot), rows, 10_000.0, times_ms=hours, switches=FREQTRADE)


@pytest.mark.parametrize("name", RUNS)
def test_the_trades_and_the_money_of_freqtrade(name: str) -> None:
    figures = GOLDEN["freqtrade"][name]
    _, found = freqtrade_run(name)
    shown = found.trades[:, [TRADE_ENTRY_BAR, TRADE_EXIT_BAR, TRADE_ENTRY_PRICE, TRADE_EXIT_PRICE, TRADE_UNITS, TRADE_PNL]].tolist()
    for ours, theirs in zip([*shown[:3], shown[-1]], [*figures["first"], figures["last"]], strict=True):
        assert ours == pytest.approx(theirs[:6], abs=5e-9)
    assert len(found.trades) == figures["trades"]
    assert found.trades[:, TRADE_PNL].sum() == pytest.approx(figures["sum_pnl"], abs=1e-5)
    assert found.fills[-1, at.FILL_OUTCOME] in (Outcome.EXITED, Outcome.STOPPED)
