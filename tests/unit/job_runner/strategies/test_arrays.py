"""Strategies that decide on arrays: whole, bar by bar and across a restart they are the same trades; a decision that changes is a fault.

Source: R-F7, R-F8.
"""

from pathlib import Path

import numpy as np
import pytest

from job_runner.engine.account import Costs
from job_runner.engine.fills import simulate
from job_runner.engine.programs import DAY_MS, Axis, Program, daily_axis
from job_runner.engine.running import begin, run, simulate_plain
from job_runner.strategies.coded import CodedStrategy, by_name
from job_runner.strategies.folder import taken
from job_runner.strategies.guest import StrategyFailed
from job_runner.strategies.guests import guests
from support.research import some_rows

BARS = 400
CASH = 10_000.0
COSTS = Costs(10.0, 5.0)
AXIS = daily_axis("AAPL", range(10_000, 10_000 + BARS))
PLAIN = """
import numpy as np
from autonomy.strategy import Choice, Int, Plan, Strategy

class Cross(Strategy):
    name = "cross"
    fast = Int(20, 2, 200, "bars")
    slow = Int(50, 3, 400, "bars")
    direction = Choice("long", ("long", "long-short"))
    orderings = [("fast", "slow")]
    warm_up = ["slow"]

    def decide(self, bars):
        sums = np.cumsum(np.insert(bars.close, 0, 0.0))
        def mean(length):
            found = np.full(len(bars), np.nan)
            if len(bars) >= length:
                found[length - 1 :] = (sums[length:] - sums[:-length]) / length
            return found
        fast, slow = mean(self.fast), mean(self.slow)
        below = -1.0 if self.direction == "long-short" else 0.0
        return Plan(exposure=np.where(np.isnan(slow), 0.0, np.where(fast > slow, 1.0, below)))
"""
STOPS = """
import numpy as np
from autonomy.strategy import Int, Plan, Strategy

class Stops(Strategy):
    name = "stops"
    every = Int(7, 2, 50, "bars")
    warm_up = [1]
    stop_loss = 0.04
    take_profit_after = {0: 0.05, 1440 * 5: 0.02}
    trailing, trailing_offset = 0.03, 0.01
    rebalance = 0.2

    def decide(self, bars):
        phase = np.arange(len(bars)) // self.every % 3
        exposure = np.array([0.5, -0.75, 0.0])[phase]
        away = np.where(exposure > 0.0, 0.97, 1.03)
        limit = np.where(np.arange(len(bars)) % 4 == 0, bars.close * (2.0 - away), np.nan)
        return Plan(exposure=exposure, stop=bars.close * away, take_profit=bars.close * (2.0 - away) ** 2, limit=limit, why=phase)
"""
EVENTS = """
import numpy as np
from autonomy.strategy import Plan, Strategy

class Events(Strategy):
    name = "events"
    warm_up = [1]
    stop_loss, reentry = 0.03, "at_once"
    reasons = {0: "nothing", 1: "in"}

    def decide(self, bars):
        numbers = np.arange(len(bars))
        exposure = np.select([numbers % 11 == 3, numbers % 17 == 5], [0.5, -0.5], 0.0)
        return Plan(exposure=exposure, stays=np.where(numbers % 13 == 0, 0, np.where(numbers % 7 == 0, 2, 3)), why=exposure != 0.0)
"""
REPAINTING = """
import numpy as np
from autonomy.strategy import Plan, Strategy

class Repainting(Strategy):
    name = "repainting"
    warm_up = [1]

    def decide(self, bars):
        found = np.ones(len(bars))
        if len(bars) >= 120:
            found[100:] = 0.0
        return Plan(exposure=found)
"""


def coded(folder: Path, text: str) -> CodedStrategy:
    (folder / "own.py").write_text(text)
    (found,) = taken(folder / "own.py", folder / "copies")
    return found


@pytest.mark.parametrize("parameters", [{}, {"fast": 5, "slow": 12}, {"fast": 5, "slow": 12, "direction": "long-short"}])
def test_the_same_rule_on_arrays_gives_the_trades_of_the_compiled_step(tmp_path: Path, parameters: dict[str, object]) -> None:
    rows = some_rows(BARS, 5)
    with guests():
        own = run(coded(tmp_path, PLAIN).program(parameters, AXIS), rows, COSTS, CASH)
    step = by_name("sma-cross").program(parameters, AXIS)
    expected = simulate(step, rows, COSTS, CASH)  # type: ignore[arg-type]
    assert own.targets.tolist() == expected.targets.tolist()
    assert len(own.trades) == len(expected.trades) > 2
    np.testing.assert_allclose(own.trades, expected.trades, rtol=1e-9)
    np.testing.assert_allclose(own.equity, expected.equity, rtol=1e-9)
    assert own.tally.trades == expected.tally.trades


@pytest.mark.parametrize("text", [PLAIN, STOPS, EVENTS], ids=["plain", "stops, targets, limits, sizes", "entries as events"])
def test_whole_bar_by_bar_and_across_a_restart_are_the_same(tmp_path: Path, text: str) -> None:
    rows = some_rows(BARS, 7)
    own = coded(tmp_path, text)
    parameters = {"fast": 5, "slow": 12} if text is PLAIN else {}
    with guests():
        program = own.program(parameters, AXIS)
        whole = run(program, rows, COSTS, CASH)
        single = simulate_plain(program, rows, COSTS, CASH, AXIS.times)
        assert whole.equity.tolist() == single.equity.tolist()
        assert whole.trades.tolist() == single.trades.tolist()
        assert whole.tally == single.tally
        assert whole.targets.tolist() == single.targets.tolist()
        assert len(whole.trades) > 5
        assert traded_in_two(program, rows) == (single.equity[-1], single.tally)


def traded_in_two(program: Program, rows: "np.ndarray[tuple[int, ...], np.dtype[np.float64]]") -> tuple[float, object]:
    """The end of a session that another process took over in the middle."""
    first, half = begin(program, COSTS, CASH), BARS // 2
    for bar, row in enumerate(rows[:half].tolist()):
        first.on_bar(row[0], row[1], row[2], row[3], row[4], int(AXIS.times[bar]))
    second = begin(program, COSTS, 1.0, first.snapshot)
    second.recall(rows[:half], AXIS.times[:half])
    for bar, row in enumerate(rows[half:].tolist(), start=half):
        second.on_bar(row[0], row[1], row[2], row[3], row[4], int(AXIS.times[bar]))
    return second.equity_usd, second.tally


def test_bars_that_are_observed_first_are_not_traded(tmp_path: Path) -> None:
    rows = some_rows(BARS, 7)
    with guests():
        program = coded(tmp_path, PLAIN).program({"fast": 5, "slow": 12}, AXIS)
        engine = begin(program, COSTS, CASH)
        engine.observe_all(rows[:200], AXIS.times[:200])
        assert (engine.bars_seen, engine.tally.bars, engine.equity_usd) == (200, 0, CASH)
        open_, high, low, close, volume = rows[200].tolist()
        engine.on_bar(open_, high, low, close, volume, int(AXIS.times[200]))
        assert (engine.bars_seen, engine.tally.bars) == (201, 1)


def test_a_decision_that_changes_afterwards_is_named(tmp_path: Path) -> None:
    rows = some_rows(BARS, 7)
    with guests():
        program = coded(tmp_path, REPAINTING).program({}, AXIS)
        engine = begin(program, COSTS, CASH)
        for bar, row in enumerate(rows[:119].tolist()):
            engine.on_bar(row[0], row[1], row[2], row[3], row[4], int(AXIS.times[bar]))
        open_, high, low, close, volume = rows[119].tolist()
        with pytest.raises(StrategyFailed, match=r"REPAINTED: with 120 bars the exposure after bar 100 is 0, with 119 it was 1"):
            engine.on_bar(open_, high, low, close, volume, int(AXIS.times[119]))
        # The whole pass asks once, and sees nothing of it: look-ahead by truncation is what finds it there.
        assert len(run(program, rows, COSTS, CASH).equity) == BARS


def test_an_exposure_beyond_the_leverage_names_its_bar(tmp_path: Path) -> None:
    text = PLAIN.replace("1.0, below", "2.5, below")
    with guests(), pytest.raises(Exception, match=r"plan\.exposure\[\d+\]: -1 to 1, the leverage allowed"):
        run(coded(tmp_path, text).program({"fast": 5, "slow": 12}, AXIS), some_rows(BARS, 5), COSTS, CASH)


def test_times_reach_the_strategy_as_they_are(tmp_path: Path) -> None:
    text = PLAIN.replace(
        "        sums =", "        if bars.time[0] != 10_000 * 86_400_000: raise ValueError(bars.time[0])\n        sums =", 1
    )
    with guests():
        own = coded(tmp_path, text)
        assert len(run(own.program({}, AXIS), some_rows(BARS, 5), COSTS, CASH).equity) == BARS
        elsewhere = Axis("AAPL", "1d", AXIS.times + DAY_MS)
        with pytest.raises(StrategyFailed, match=str(10_001 * DAY_MS)):
            run(own.program({}, elsewhere), some_rows(BARS, 5), COSTS, CASH)
