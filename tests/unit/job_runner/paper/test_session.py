"""A paper session is the backtest, bar by bar: the same trades, equity and statistics to the last bit, over any restarts."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from itertools import accumulate
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autonomy.bar_outcomes import counts_of
from autonomy.clock import now
from autonomy.envelope import Received, decode, encode
from autonomy.errors import BadInput
from autonomy.events import Costs, JobEnqueued, LiveWindow, RunnerMarked, RunnerTraded
from autonomy.values import instant_of_ms, ms_of
from job_runner.engine import account
from job_runner.engine.compiled import FloatArray
from job_runner.engine.fills import Simulation, simulate, simulate_targets
from job_runner.engine.programs import Axis, StepProgram
from job_runner.engine.running import outcomes, run
from job_runner.engine.statistics import simulation_metrics
from job_runner.market.sources import END_OF_TIME_MS, Bars, MarketData
from job_runner.paper.session import MAX_SESSIONS, Marks, PaperSession, Said, TimedBar
from job_runner.research.live_window import run_window
from job_runner.research.orders import order_of
from job_runner.research.report import StrategyError
from job_runner.strategies.coded import by_name
from support.builders import an_id
from support.days import utc
from support.paper import QUICK, RowsMarket, a_claim, a_paper_order
from support.research import some_rows
from support.strategies import LONG_SHORT, program, strategy_names

CASH = 100_000.0
BEFORE_ALL = utc(1999, 1, 1)
SHORT: dict[str, dict[str, object]] = {
    "sma-cross": {"fast": 2, "slow": 5},
    "macd": {"fast": 2, "slow": 5, "signal": 2},
    "rsi-reversion": {"period": 2, "lower": 45, "upper": 55},
    "bollinger-reversion": {"period": 3, "width": 0.5},
    "donchian-breakout": {"entry": 5, "exit": 2},
    "ts-momentum": {"window": 3, "threshold": 0.5},
}


def through_the_log(said: RunnerTraded | RunnerMarked) -> Any:
    """What a reader in another process gets."""
    value = encode(said, source="test", subject=said.bot_id, time=now(), event_id=an_id("record"))
    received = decode(value, "autonomy.runners")
    assert isinstance(received, Received), received
    return received.event


def trade_all(order: JobEnqueued, market: MarketData, restarts: frozenset[int] = frozenset()) -> list[Said]:
    """Every bar of a market; before each bar named, the session goes on in a new process with nothing but the log."""
    session, mark, taken = PaperSession.resumed(order, None), None, list[Said]()
    bars = market.bars(order.symbol, order.timeframe, END_OF_TIME_MS)
    session.warm_up(bars)
    for number in range(len(bars)):
        if number in restarts:
            session = PaperSession.resumed(order, mark)
            session.warm_up(bars)
        if session.last_ms is not None and bars.time[number] <= session.last_ms:
            continue
        said = session.take(TimedBar.at(bars, number), a_claim(order, f"claim-{len(restarts)}"), an_id("runner-1"))
        if said:
            mark = through_the_log(said[-1])
        taken.append(tuple(through_the_log(event) for event in said))
    return taken


def marks_of(taken: Sequence[Said]) -> list[RunnerMarked]:
    return [said[-1] for said in taken if said]  # type: ignore[misc]


def fills_of(taken: Sequence[Said]) -> list[RunnerTraded]:
    return [event for said in taken for event in said if isinstance(event, RunnerTraded)]


def prepared(order: JobEnqueued) -> StepProgram:
    return program(order.strategy, order.parameters)


def assert_same(taken: Sequence[Said], found: Simulation, starts: Sequence[int]) -> None:
    """Equity after every bar, every fill and the account at the end: equal to the last bit."""
    marks, fills = marks_of(taken), fills_of(taken)
    assert [mark.equity_usd for mark in marks] == found.equity.tolist()
    assert [mark.snapshot.target for mark in marks] == found.targets.tolist()
    assert marks[-1].snapshot.account == tuple(found.account)
    assert marks[-1].snapshot.tally == tuple(found.tally)
    exits = [fill for fill in fills if fill.kind == "EXIT"]
    entries = [fill for fill in fills if fill.kind == "ENTRY"]
    closed = found.trades.tolist()
    assert [fill.bar for fill in exits] == [int(row[account.TRADE_EXIT_BAR]) for row in closed]
    assert [fill.price_usd for fill in exits] == [row[account.TRADE_EXIT_PRICE] for row in closed]
    assert [fill.fee_usd for fill in exits] == [row[account.TRADE_EXIT_FEE] for row in closed]
    assert [fill.pnl_usd for fill in exits] == [row[account.TRADE_PNL] for row in closed]
    still_open = found.account.units != 0.0
    assert len(entries) == len(closed) + still_open
    for fill, row in zip(entries, closed, strict=False):
        assert (fill.bar, fill.price_usd, fill.fee_usd) == tuple(
            row[[account.TRADE_ENTRY_BAR, account.TRADE_ENTRY_PRICE, account.TRADE_ENTRY_FEE][n]] for n in range(3)
        )
        assert fill.units * (1 if fill.side == "BUY" else -1) == row[account.TRADE_UNITS]
    assert all(fill.bar_start == instant_of_ms(starts[fill.bar]) for fill in fills)


@pytest.mark.parametrize("strategy", strategy_names())
@settings(max_examples=15, deadline=None)
@given(data=st.data())
def test_session_equals_the_backtest_bit_for_bit_over_any_restarts(strategy: str, data: st.DataObject) -> None:
    rows = some_rows(data.draw(st.integers(1, 120)), data.draw(st.integers(0, 2**32)), data.draw(st.sampled_from([0.0, 0.01, 0.3])))
    parameters = {**data.draw(st.sampled_from([{}, SHORT[strategy]])), "direction": data.draw(st.sampled_from(["long", LONG_SHORT]))}
    costs = Costs(fee_bps=data.draw(st.floats(0, 200)), slippage_bps=data.draw(st.floats(0, 200)))
    timeframe, bars_per_year = data.draw(st.sampled_from([("1d", 252), ("1h", 8_760), ("1m", 525_600)]))
    market = RowsMarket(rows, timeframe=timeframe)
    order = a_paper_order(
        market=market, strategy=strategy, parameters=parameters, costs=costs, from_bar=BEFORE_ALL, timeframe=timeframe,
        bars_per_year=bars_per_year,
    )  # fmt: skip
    restarts = data.draw(st.frozensets(st.integers(0, len(rows) - 1), max_size=10))
    taken = trade_all(order, market, restarts)
    engine_costs = account.Costs(costs.fee_bps, costs.slippage_bps)
    found = simulate(prepared(order), rows, engine_costs, CASH)
    assert_same(taken, found, market.starts().tolist())
    told, metrics = marks_of(taken)[-1], simulation_metrics(found, CASH, bars_per_year)
    assert (told.sharpe, told.max_drawdown, told.trades) == (
        metrics.on_returns.sharpe_annualised, metrics.on_returns.max_drawdown_fraction, metrics.trades,
    )  # fmt: skip
    assert told.pnl_usd == metrics.final_equity_usd - CASH


@pytest.mark.parametrize("strategy", strategy_names())
@settings(max_examples=10, deadline=None)
@given(data=st.data())
def test_warmed_up_session_equals_the_engine_that_saw_the_bars_before(strategy: str, data: st.DataObject) -> None:
    """Its first fill is the decision of the last bar of the warm-up, as in one long run; only the money begins later."""
    rows = some_rows(data.draw(st.integers(20, 150)), data.draw(st.integers(0, 2**32)))
    market = RowsMarket(rows)
    warm = data.draw(st.integers(1, len(rows) - 1))
    starts = market.starts().tolist()
    order = a_paper_order(
        market=market, strategy=strategy, parameters={**SHORT[strategy], "direction": LONG_SHORT}, from_bar=instant_of_ms(starts[warm - 1])
    )  # fmt: skip
    taken = trade_all(order, market, data.draw(st.frozensets(st.integers(0, len(rows) - 1), max_size=5)))
    costs = account.Costs(order.costs.fee_bps, order.costs.slippage_bps)
    whole = simulate(prepared(order), rows, costs, CASH)
    alone = simulate_targets(np.ascontiguousarray(whole.targets[warm - 1 :]), np.ascontiguousarray(rows[warm - 1 :]), costs, CASH)
    marks = marks_of(taken)
    assert [mark.bar for mark in marks] == list(range(warm, len(rows)))
    assert [mark.equity_usd for mark in marks] == alone.equity[1:].tolist()
    assert [mark.snapshot.target for mark in marks] == whole.targets[warm:].tolist()
    until = LiveWindow(session_id=an_id("s"), from_bar=order.paper.from_bar, until_bar=marks[-1].bar_start)  # type: ignore[union-attr]
    again = run_window(order_of(order.model_copy(update={"bars_until": instant_of_ms(starts[-1])})), until, market)
    assert [(close.time_ms, close.strategy_usd) for close in again.equity] == [(ms_of(mark.bar_start), mark.equity_usd) for mark in marks]
    found, told = again.metrics, marks[-1]
    # What a picture of these marks draws as its deepest fall.
    peaks = accumulate((mark.equity_usd for mark in marks), max)
    assert max(1 - mark.equity_usd / peak for mark, peak in zip(marks, peaks, strict=True)) == told.max_drawdown
    assert (found.bars, found.trades, found.pnl_usd, found.sharpe, found.max_drawdown) == (
        told.traded_bars, told.trades, told.pnl_usd, told.sharpe, told.max_drawdown,
    )  # fmt: skip


@pytest.mark.parametrize("broken", ["state", "account", "trade", "target"])
def test_each_part_of_the_snapshot_is_needed(broken: str) -> None:
    """Negative control: a restart that loses one part of it gives other trades."""
    rows = some_rows(200)
    market = RowsMarket(rows)
    order = a_paper_order(market=market, from_bar=BEFORE_ALL)
    whole = trade_all(order, market)
    bars = market.bars("AAPL", "1d", END_OF_TIME_MS)
    differs = False
    for cut in range(20, 60):
        mark = marks_of(whole)[cut]
        snapshot = mark.snapshot.model_dump()
        lost: Any = {"state": 1.0, "account": 0.5, "trade": 0.0}.get(broken)
        snapshot[broken] = -snapshot[broken] if broken == "target" else tuple(number * lost for number in snapshot[broken])
        if broken == "state":
            snapshot[broken] = tuple(0.0 for _ in snapshot[broken])
        if broken == "trade":
            # It tells the bar's statistics whether a trade was closed at this very open.
            snapshot[broken] = (
                *snapshot[broken][: account.TRADE_EXIT_BAR],
                float(cut + 1),
                *snapshot[broken][account.TRADE_EXIT_BAR + 1 :],
            )
        session = PaperSession.resumed(order, mark.model_copy(update={"snapshot": mark.snapshot.model_validate(snapshot)}))
        said = session.take(TimedBar.at(bars, cut + 1), a_claim(order, "claim-0"), an_id("runner-1"))
        for number in range(cut + 2, len(rows)):
            said = session.take(TimedBar.at(bars, number), a_claim(order, "claim-0"), an_id("runner-1"))
        differs = differs or through_the_log(said[-1]) != whole[-1][-1]
    assert differs


@pytest.mark.parametrize("broken", ["tally", "outcomes"])
def test_bars_without_an_outcome_are_not_said(broken: str) -> None:
    """Negative control: a restart that loses how many bars were traded, or what became of them, ends in words and not in a mark."""
    market = RowsMarket(some_rows(60))
    order = a_paper_order(market=market, from_bar=BEFORE_ALL)
    mark = marks_of(trade_all(order, market))[40]
    lost = tuple(type(number)(2 * number) for number in getattr(mark.snapshot, broken))
    session = PaperSession.resumed(order, mark.model_copy(update={"snapshot": mark.snapshot.model_copy(update={broken: lost})}))
    with pytest.raises(StrategyError, match="must add up to the"):
        session.take(TimedBar.at(market.bars("AAPL", "1d", END_OF_TIME_MS), 41), a_claim(order, "claim-0"), an_id("runner-1"))


@pytest.mark.parametrize("strategy", ["sma-cross", "ts-momentum"])
def test_every_bar_has_one_outcome_and_they_are_those_of_the_backtest(strategy: str) -> None:
    rows = some_rows(200)
    market = RowsMarket(rows)
    order = a_paper_order(
        market=market, strategy=strategy, parameters={**SHORT[strategy], "direction": LONG_SHORT}, from_bar=BEFORE_ALL
    )  # fmt: skip
    marks = marks_of(trade_all(order, market, frozenset({30, 90, 91, 160})))
    program, costs = prepared(order), account.Costs(order.costs.fee_bps, order.costs.slippage_bps)
    whole = outcomes(program, program.decided(rows), rows, costs, CASH)
    assert Counter(mark.outcome for mark in marks) == {outcome.name: bars for outcome, bars in whole.items()}
    assert counts_of(marks[-1].snapshot.outcomes) == {outcome.name: bars for outcome, bars in whole.items()}
    assert {"WARMING_UP", "ENTERED", "HELD"} <= {outcome.name for outcome in whole}
    assert [mark.wanted for mark in marks] == program.decided(rows).tolist()


DEAR = {"funding_bps_per_day": 12.0, "borrow_bps_per_day": 30.0, "tick": 0.05, "lot": 0.5, "minimum_usd": 500.0}


@pytest.mark.parametrize("strategy", ["sma-cross", "macd"])
def test_a_session_under_a_symbols_own_costs_is_its_backtest_over_any_restarts(strategy: str) -> None:
    rows = some_rows(200)
    market = RowsMarket(rows)
    parameters = {**SHORT[strategy], "direction": LONG_SHORT}
    order = a_paper_order(
        market=market, strategy=strategy, parameters=parameters, from_bar=BEFORE_ALL, costs=Costs(fee_bps=10, slippage_bps=5, **DEAR)
    )
    marks = marks_of(trade_all(order, market, frozenset({30, 90, 91, 160})))
    own = by_name(strategy).program(parameters, Axis("AAPL", "1d", np.asarray(market.starts(), dtype=np.int64)))
    costs = account.Costs(**order.costs.model_dump())
    whole = run(own, rows, costs, CASH)
    assert [mark.equity_usd for mark in marks] == whole.equity.tolist()
    assert marks[-1].trades == whole.tally.trades > 3
    assert all(mark.units % DEAR["lot"] == 0.0 for mark in marks)
    # Negative control: funding is paid, and lots cut.
    assert run(own, rows, account.Costs(10, 5), CASH).equity.tolist() != whole.equity.tolist()
    unfunded = replace(costs, funding_bps_per_day=0.0, borrow_bps_per_day=0.0)
    assert run(own, rows, unfunded, CASH).equity.tolist() != whole.equity.tolist()


def test_a_bar_that_comes_when_a_later_one_was_taken_is_left_out_and_said() -> None:
    rows = some_rows(40)
    whole = RowsMarket(rows)
    order = a_paper_order(market=whole, from_bar=BEFORE_ALL)
    bars = whole.bars("AAPL", "1d", END_OF_TIME_MS)
    kept = np.delete(np.arange(len(bars)), 20)
    gap = Bars(
        "AAPL",
        "1d",
        bars.time[kept],
        bars.open[kept],
        bars.high[kept],
        bars.low[kept],
        bars.close[kept],
        bars.volume[kept],
        "gap",
        synthetic=True,
    )
    session = PaperSession.resumed(order, None)
    marks = marks_of([session.take(TimedBar.at(gap, number), a_claim(order, "claim-0"), an_id("runner-1")) for number in range(30)])
    assert {mark.late_bars for mark in marks} == {0}, "what never came is not late"
    told = [session.take(TimedBar.at(bars, number), a_claim(order, "claim-0"), an_id("runner-1")) for number in range(31, 40)]
    assert [mark.late_bars for mark in marks_of(told)] == [1] * 9
    assert [mark.traded_bars for mark in marks_of(told)] == [*range(31, 40)]


def test_newer_mark_replaces_the_orders_snapshot_and_an_older_one_does_not() -> None:
    market = RowsMarket(some_rows(40))
    order = a_paper_order(market=market, from_bar=BEFORE_ALL)
    marks = marks_of(trade_all(order, market))
    assert order.paper is not None
    renewed = order.model_copy(
        update={"paper": order.paper.model_copy(update={"snapshot": marks[20].snapshot, "last_bar": marks[20].bar_start})}
    )
    assert PaperSession.resumed(renewed, None).engine.bars_seen == 21
    assert PaperSession.resumed(renewed, marks[25]).engine.bars_seen == 26
    assert PaperSession.resumed(renewed, marks[15]).engine.bars_seen == 21


def test_marks_keep_the_highest_bar_of_each_session_whatever_the_attempt() -> None:
    """Attempts begin at 1 again with each job of a session."""
    market = RowsMarket(some_rows(12))
    order = a_paper_order(market=market, from_bar=BEFORE_ALL)
    found, marks = marks_of(trade_all(order, market)), Marks()
    marks.take(found[5].model_copy(update={"attempt": 7}))
    marks.take(found[6])
    marks.take(found[4].model_copy(update={"attempt": 9}))
    assert marks.of(found[0].session_id) == found[6]
    for number in range(MAX_SESSIONS):
        marks.take(found[0].model_copy(update={"session_id": an_id(f"other-{number}")}))
    assert len(marks.newest) == MAX_SESSIONS
    assert marks.of(found[0].session_id) is None


def test_flat_is_what_the_engine_would_have_filled_and_changes_nothing() -> None:
    """Priced by a run that is told to be flat at that very price."""
    rows = some_rows(60)
    market = RowsMarket(rows)
    order = a_paper_order(market=market, from_bar=BEFORE_ALL)
    costs = account.Costs(order.costs.fee_bps, order.costs.slippage_bps)
    targets = simulate(prepared(order), rows, costs, CASH).targets
    seen = set()
    for mark in marks_of(trade_all(order, market)):
        closing = np.array([[mark.close_usd] * 4 + [1.0]])
        cut = mark.bar + 1
        flat = np.append(targets[: cut - 1], [0, 0]).astype(np.int8)
        found = simulate_targets(flat, np.ascontiguousarray(np.vstack([rows[:cut], closing])), costs, CASH)
        assert mark.flat.equity_usd == found.equity[-1]
        assert mark.flat.units == mark.units
        seen.add(np.sign(mark.units))
        if mark.units:
            row = found.trades[-1]
            assert (mark.flat.price_usd, mark.flat.fee_usd, mark.flat.pnl_usd) == (
                row[account.TRADE_EXIT_PRICE], row[account.TRADE_EXIT_FEE], row[account.TRADE_PNL],
            )  # fmt: skip
        else:
            assert (mark.flat.price_usd, mark.flat.fee_usd, mark.flat.pnl_usd) == (0.0, 0.0, None)
    assert seen == {-1.0, 0.0, 1.0}


def test_bar_said_again_has_the_same_orders_and_another_session_has_others() -> None:
    market = RowsMarket(some_rows(60))
    order = a_paper_order(market=market, from_bar=BEFORE_ALL)
    once, again = (fills_of(trade_all(order, market, restarts)) for restarts in (frozenset(), frozenset({30})))
    other = fills_of(trade_all(a_paper_order(market=market, from_bar=BEFORE_ALL, session="other"), market))
    assert len(once) > 5
    assert [fill.order_id for fill in once] == [fill.order_id for fill in again]
    assert len({fill.order_id for fill in (*once, *other)}) == 2 * len(once)


def test_bar_that_is_not_later_is_refused() -> None:
    market = RowsMarket(some_rows(10))
    order = a_paper_order(market=market, from_bar=BEFORE_ALL)
    bars, session = market.bars("AAPL", "1d", END_OF_TIME_MS), PaperSession.resumed(order, None)
    session.take(TimedBar.at(bars, 3), a_claim(order), an_id("runner-1"))
    for number in (3, 2):
        with pytest.raises(BadInput, match="starts after"):
            session.take(TimedBar.at(bars, number), a_claim(order), an_id("runner-1"))


def test_snapshot_of_another_program_is_refused() -> None:
    market = RowsMarket(some_rows(30))
    order = a_paper_order(market=market, from_bar=BEFORE_ALL)
    mark = marks_of(trade_all(order, market))[-1]
    slower = order.model_copy(update={"parameters": {**QUICK, "slow": 50}})
    with pytest.raises(BadInput, match="snapshot"):
        PaperSession.resumed(slower, mark)
    short = mark.model_copy(update={"snapshot": mark.snapshot.model_copy(update={"account": (1.0, 2.0)})})
    with pytest.raises(BadInput, match="snapshot"):
        PaperSession.resumed(order, short)
    torn = order.model_copy(update={"paper": order.paper.model_copy(update={"snapshot": mark.snapshot})})  # type: ignore[union-attr]
    with pytest.raises(BadInput, match="last_bar"):
        PaperSession.resumed(torn, None)
    with pytest.raises(BadInput, match="paper"):
        PaperSession.resumed(order.model_copy(update={"paper": None}), None)


def test_result_that_is_no_number_is_a_strategy_error_and_no_event() -> None:
    market = RowsMarket(some_rows(10))
    order = a_paper_order(market=market, from_bar=BEFORE_ALL)
    session = PaperSession.resumed(order, None)
    bar = TimedBar.at(market.bars("AAPL", "1d", END_OF_TIME_MS), 0)
    with pytest.raises(StrategyError, match="bar 0"):
        session.take(replace(bar, close=float("nan")), a_claim(order), an_id("runner-1"))


@pytest.mark.parametrize("until", [utc(1990, 1, 1), utc(2030, 1, 1)])
def test_window_beyond_the_bars_of_its_order_is_refused(until: datetime) -> None:
    market = RowsMarket(some_rows(30))
    order = order_of(a_paper_order(market=market).model_copy(update={"bars_until": utc(2000, 6, 1)}))
    window = LiveWindow(session_id=an_id("s"), from_bar=utc(2000, 1, 10), until_bar=until)
    with pytest.raises(BadInput, match="until_bar"):
        run_window(order, window, market)


def test_window_ends_with_its_last_bar() -> None:
    market = RowsMarket(some_rows(100))
    days = [instant_of_ms(start) for start in market.starts().tolist()]
    order = order_of(a_paper_order(market=market).model_copy(update={"bars_until": days[-1]}))
    window = LiveWindow(session_id=an_id("s"), from_bar=days[39], until_bar=days[79])
    assert run_window(order, window, market).metrics.bars == 40


def test_rows_of_the_tests_trade() -> None:
    """The comparisons above mean something only if there is something to compare."""
    rows: FloatArray = some_rows(120)
    market = RowsMarket(rows)
    for strategy in strategy_names():
        order = a_paper_order(
            market=market, strategy=strategy, parameters={**SHORT[strategy], "direction": LONG_SHORT}, from_bar=BEFORE_ALL
        )
        fills = fills_of(trade_all(order, market))
        assert len(fills) > 4
        assert {fill.side for fill in fills} == {"BUY", "SELL"}
