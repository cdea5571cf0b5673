"""The fills of plans: against a plain loop of the rules, against themselves bar by bar and across snapshots, against plain decisions."""

import json
import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import job_runner.engine.book as at
from autonomy.bar_outcomes import BarOutcome, counts_of
from autonomy.errors import BadInput
from job_runner.engine.account import TRADE_ENTRY_FEE, TRADE_EXIT_FEE, TRADE_EXIT_PRICE, TRADE_PNL, TRADE_SIZE, TRADE_UNITS, Costs
from job_runner.engine.compiled import FloatArray, IntArray
from job_runner.engine.fills import simulate_targets
from job_runner.engine.plain_outcomes import outcomes_of_targets
from job_runner.engine.plan_by_bar import PlanByBar, PlanSnapshot
from job_runner.engine.plan_simulation import PlanSimulation, simulate_plan
from job_runner.engine.plans import OURS, Decision, ExitRules, Outcome, Plan, Switches, Terms
from support.plain_fills import Plain, run_plain
from support.research import some_rows

CASH = 10_000.0

fractions = st.sampled_from([None, 0.005, 0.01, 0.02, 0.05])
some_rules = st.builds(
    ExitRules,
    stop_loss=fractions,
    take_profit_after=st.sampled_from([{}, {0: 0.02}, {0: 0.05, 120: 0.02, 600: 0.0}, {60: 0.01}]),
    trailing=fractions,
    trailing_offset=st.sampled_from([0.0, 0.0, 0.01]),
    reentry=st.sampled_from(["after_flat", "at_once", 1, 3]),
    rebalance=st.sampled_from([None, None, 0.0, 0.05]),
)
some_terms = st.builds(
    Terms,
    taker_bps=st.sampled_from([0.0, 10.0, 75.0]),
    maker_bps=st.sampled_from([None, -1.0, 2.0]),
    slippage_bps=st.sampled_from([0.0, 5.0, 60.0]),
    funding_bps_per_day=st.sampled_from([0.0, 3.0, -20.0]),
    borrow_bps_per_day=st.sampled_from([0.0, 5.0]),
    tick=st.sampled_from([0.0, 0.01, 0.05, 0.125, 0.3]),
    lot=st.sampled_from([0.0, 0.1, 0.001, 7.0]),
    minimum_usd=st.sampled_from([0.0, 10.0, 500.0]),
    leverage=st.just(5.0),
)
other_switches = st.builds(
    Switches,
    touch=st.booleans(),
    gap_stop=st.sampled_from(["open", "whole_bar"]),
    gap_target=st.sampled_from(["open", "open_after_stop", "price", "clamp"]),
    target_net_of_fees=st.booleans(),
    trail_own_bar=st.booleans(),
    fee_reserved=st.booleans(),
    stop_on_entry_bar=st.booleans(),
    open_before_stop=st.booleans(),
)
some_switches = st.one_of(st.just(OURS), other_switches)


def drawn(seed: int, bars: int, volatility: float, leverage: float = 3.0) -> tuple[FloatArray, IntArray, Plan]:
    """Bars on cents, so that levels are touched exactly; hours with gaps; a plan of blocks with levels near the price."""
    rng = np.random.default_rng(seed)
    close = np.maximum(np.round(100.0 * np.exp(np.cumsum(rng.normal(0.0, volatility, bars))), 2), 0.05)
    open_ = np.maximum(np.round(np.concatenate([[100.0], close[:-1]]) * np.exp(rng.normal(0.0, volatility / 2, bars)), 2), 0.05)
    high = np.round(np.maximum(open_, close) * np.exp(np.abs(rng.normal(0.0, volatility / 2, bars))), 2)
    low = np.maximum(np.round(np.minimum(open_, close) * np.exp(-np.abs(rng.normal(0.0, volatility / 2, bars))), 2), 0.01)
    rows = np.stack(
        [open_, np.maximum(high, np.maximum(open_, close)), np.minimum(low, np.minimum(open_, close)), close, np.ones(bars)], axis=1
    )
    times = np.cumsum(rng.choice([3_600_000, 3_600_000, 7_200_000, 86_400_000], bars)).astype(np.int64)
    wishes = rng.choice([0.0, 0.0, 1.0, 1.0, 0.5, 0.25, -0.5, -1.0, leverage, -leverage], bars)
    keeps = rng.random(bars) < rng.choice([0.0, 0.6, 0.9])
    exposure = np.array([wishes[0]] * bars)
    for bar in range(1, bars):
        exposure[bar] = exposure[bar - 1] if keeps[bar] else wishes[bar]
    side = np.where(exposure < 0.0, -1.0, 1.0)

    def near(sign: float, share: float, width: float) -> FloatArray:
        prices = np.maximum(np.round(close * (1.0 + sign * side * np.abs(rng.normal(0.0, width, bars))), 2), 0.01)
        return np.where(rng.random(bars) < share, prices, np.nan)

    share = rng.choice([0.0, 0.3, 1.0], 3)
    stays = np.where(rng.random(bars) < rng.choice([0.0, 0.5, 0.9]), rng.integers(0, 4, bars), 0).astype(np.float64)
    plan = Plan(
        exposure, near(-1.0, share[0], 0.02), near(1.0, share[1], 0.03), near(-1.0, share[2], 0.01), warm_up=int(rng.integers(0, 5)),
        stays=stays,
    )  # fmt: skip
    return np.ascontiguousarray(rows), times, plan


def equal(ours: PlanSimulation, plain: Plain) -> None:
    """All bars, fills and trades of the plain loop."""
    assert [Outcome(code).name for code in ours.outcomes] == plain.outcomes
    assert [(int(row[at.FILL_BAR]), Outcome(int(row[at.FILL_OUTCOME])).name) for row in ours.fills] == [(f[0], f[4]) for f in plain.fills]
    np.testing.assert_allclose(ours.equity, plain.equity, rtol=1e-9, atol=1e-9 * CASH)
    for row, fill in zip(ours.fills.tolist(), plain.fills, strict=True):
        assert row[at.FILL_UNITS : at.FILL_FEE + 1] == pytest.approx(fill[1:4], rel=1e-9, abs=1e-9)
    assert len(ours.trades) == len(plain.trades)
    for row, trade in zip(ours.trades.tolist(), plain.trades, strict=True):
        shown = [*row[:5], row[TRADE_ENTRY_FEE] + row[TRADE_EXIT_FEE], row[TRADE_PNL]]
        assert shown == pytest.approx(trade[:7], rel=1e-7, abs=1e-7 * CASH)
        assert Outcome(int(row[at.TRADE_OUTCOME])).name == trade[7]
    assert ours.account.fees == pytest.approx(plain.fees, rel=1e-9, abs=1e-9)
    assert ours.account.slippage == pytest.approx(plain.slipped, rel=1e-9, abs=1e-9)
    assert ours.funding_usd == pytest.approx(plain.funding, rel=1e-9, abs=1e-9)


@settings(max_examples=400, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 120), st.sampled_from([0.003, 0.01, 0.04]), some_rules, some_terms, some_switches)
def test_every_bar_is_that_of_the_plain_loop(
    seed: int, bars: int, volatility: float, rules: ExitRules, terms: Terms, switches: Switches
) -> None:
    rows, times, plan = drawn(seed, bars, volatility)
    ours = simulate_plan(plan, rules, terms, rows, CASH, times_ms=times, switches=switches)
    equal(ours, run_plain(plan, rules, terms, rows.tolist(), CASH, times.tolist(), switches))
    assert sum(ours.counts().values()) == bars


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 2**32), st.integers(2, 120), some_rules, some_terms, some_switches, st.data())
def test_bar_by_bar_and_across_snapshots_is_the_whole_pass_to_the_last_bit(
    seed: int, bars: int, rules: ExitRules, terms: Terms, switches: Switches, data: st.DataObject
) -> None:
    rows, times, plan = drawn(seed, bars, 0.01)
    whole = simulate_plan(plan, rules, terms, rows, CASH, times_ms=times, switches=switches)
    cuts = data.draw(st.sets(st.integers(1, bars - 1), max_size=3))
    engine = PlanByBar(rules, terms, CASH, switches=switches)
    equity, outcomes, fills, trades = [], [], [], []
    for bar, row in enumerate(rows.tolist()):
        if bar in cuts:
            engine = PlanByBar(rules, terms, 1.0, through_json(engine.snapshot), switches)
        taken = engine.on_bar(int(times[bar]), (*row,), plan.at(bar), plan.warm_up)
        equity.append(engine.equity_usd)
        outcomes.append(taken.outcome)
        fills += [[fill.bar, fill.units, fill.price_usd, fill.fee_usd, fill.outcome] for fill in taken.fills]
        trades += taken.trades.tolist()
    assert equity == whole.equity.tolist()
    assert outcomes == whole.outcomes.tolist()
    assert fills == whole.fills.tolist()
    assert trades == whole.trades.tolist()
    assert (engine.account, engine.tally, engine.counts) == (whole.account, whole.tally, whole.counts())
    assert engine.annualised_sharpe(252) is None or math.isfinite(engine.annualised_sharpe(252) or 0.0)


def through_json(snapshot: PlanSnapshot) -> PlanSnapshot:
    """As it comes out of a log: numbers as text, what is no price as null."""
    known = json.loads(json.dumps([None if math.isnan(number) else number for number in snapshot.book], allow_nan=False))
    return replace(snapshot, book=tuple(math.nan if number is None else number for number in known))


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 400), st.sampled_from([0.0, 0.01, 0.3, 1.5]), st.floats(0, 200), st.floats(0, 200))
def test_plain_decisions_are_those_of_the_pass_without_plans_to_the_last_bit(
    seed: int, bars: int, volatility: float, fee_bps: float, slippage_bps: float
) -> None:
    rows = some_rows(bars, seed, volatility)
    rng = np.random.default_rng(seed)
    targets = np.repeat(rng.integers(-1, 2, bars), rng.integers(1, 9, bars))[:bars].astype(np.int8)
    plain = simulate_targets(targets, rows, Costs(fee_bps, slippage_bps), CASH)
    ours = simulate_plan(Plan.of_targets(targets), ExitRules(), Terms(fee_bps, slippage_bps=slippage_bps), rows, CASH)
    assert np.array_equal(ours.equity, plain.equity)
    assert np.array_equal(ours.trades[:, :TRADE_SIZE], plain.trades)
    assert (ours.account, ours.tally) == (plain.account, plain.tally)
    warm_up = int(seed % 7)
    ours = simulate_plan(
        replace(Plan.of_targets(targets), warm_up=min(warm_up, bars)), ExitRules(), Terms(fee_bps, slippage_bps=slippage_bps), rows, CASH
    )
    assert np.array_equal(ours.outcomes, outcomes_of_targets(targets, rows, Costs(fee_bps, slippage_bps), CASH, warm_up))


def test_the_words_for_outcomes_are_in_the_order_of_the_engines_numbers() -> None:
    assert [outcome.name for outcome in Outcome] == [outcome.name for outcome in BarOutcome]
    assert [*Outcome] == [*range(len(Outcome))]
    assert counts_of([0, 3, *[0] * 10, 2]) == {BarOutcome.NO_SIGNAL: 3, BarOutcome.STOPPED_OUT: 2}
    with pytest.raises(ValueError, match="at most 14 are known"):
        counts_of([0] * 15)


def flat_rows(*opens: float) -> FloatArray:
    """Bars that stand at one price each."""
    return np.ascontiguousarray(np.repeat(np.array(opens)[:, None], 5, axis=1))


def test_funding_is_due_after_the_entry_up_to_the_exit() -> None:
    """Entry at the open of bar 1, exit at that of bar 3: two nights of 10 bp, on the value at each open."""
    rows = flat_rows(100.0, 100.0, 110.0, 120.0, 120.0)
    terms = Terms(funding_bps_per_day=10.0, borrow_bps_per_day=5.0)
    long = simulate_plan(Plan(np.array([1.0, 1.0, 0.0, 0.0, 0.0])), ExitRules(), terms, rows, 1_000.0)
    assert long.funding_usd == pytest.approx(10.0 * (110.0 + 120.0) * 0.001)
    assert long.trades[0, TRADE_PNL] == pytest.approx(200.0 - long.funding_usd)
    assert long.trades[0, at.TRADE_FUNDING] == long.funding_usd
    assert long.equity[-1] == pytest.approx(1_000.0 + long.trades[0, TRADE_PNL])
    short = simulate_plan(Plan(np.array([-1.0, -1.0, 0.0, 0.0, 0.0])), ExitRules(), terms, rows, 1_000.0)
    assert short.funding_usd == pytest.approx(-10.0 * (110.0 + 120.0) * (0.001 - 0.0005))


def test_funding_counts_the_time_and_not_the_bars() -> None:
    rows, held = flat_rows(100.0, 100.0, 100.0), Plan(np.ones(3))
    times = np.array([0, 3_600_000, 4 * 86_400_000], dtype=np.int64)
    found = simulate_plan(held, ExitRules(), Terms(funding_bps_per_day=24.0), rows, 1_000.0, times_ms=times)
    assert found.funding_usd == pytest.approx(1_000.0 * 0.0024 * (4 - 1 / 24))


def test_a_target_comes_down_with_the_age_of_the_trade() -> None:
    rows = np.array([[100.0, 104.0, 99.0, 100.0, 1.0]] * 6)
    rules = ExitRules(take_profit_after={0: 0.10, 120: 0.03})
    hours = np.arange(6, dtype=np.int64) * 3_600_000
    found = simulate_plan(Plan(np.ones(6)), rules, Terms(), rows, CASH, times_ms=hours)
    # Entered in bar 1; two hours later, in bar 3, the target of 103 is in force.
    assert [Outcome(code).name for code in found.outcomes] == ["SIGNAL", "ENTERED", "HELD", "TARGET", "STOPPED_OUT", "STOPPED_OUT"]


def test_a_side_opens_again_after_so_many_bars() -> None:
    rows = np.array([[100.0, 101.0, 94.0, 100.0, 1.0]] + [[100.0, 101.0, 99.0, 100.0, 1.0]] * 6)
    rows[1, 2] = 94.0
    for reentry, last in (("after_flat", "STOPPED_OUT"), ("at_once", "ENTERED"), (2, "STOPPED_OUT")):
        found = simulate_plan(Plan(np.ones(7)), ExitRules(stop_loss=0.05, reentry=reentry), Terms(), rows, CASH)  # type: ignore[arg-type]
        names = [Outcome(code).name for code in found.outcomes]
        assert names[1:3] == ["STOPPED", last]
        assert ("ENTERED" in names) == (reentry != "after_flat")
        if reentry == 2:
            assert names[2:] == ["STOPPED_OUT", "STOPPED_OUT", "ENTERED", "HELD", "HELD"]


def test_a_side_that_stays_is_left_alone_until_a_row_says_otherwise() -> None:
    """An entry as an event: held without being wanted, and after a stop not entered again without being asked for."""
    rows = np.array([[100.0, 101.0, 99.0, 100.0, 1.0]] * 8)
    rows[4, 2] = 94.0
    plan = Plan(np.array([0.0, 1.0, 0.0, -1.0, 0.0, 0.0, -1.0, 0.0]), stays=np.array([3.0, 3.0, 3.0, 3.0, 3.0, 3.0, 3.0, 0.0]))
    found = simulate_plan(plan, ExitRules(stop_loss=0.05, reentry="at_once"), Terms(), rows, CASH)
    names = [Outcome(code).name for code in found.outcomes]
    # The short of row 3 is not made while the long is held; that of row 6 is.
    assert names == ["NO_SIGNAL", "SIGNAL", "ENTERED", "HELD", "STOPPED", "NO_SIGNAL", "SIGNAL", "ENTERED"]
    assert found.wanted.tolist() == [0.0, 1.0, 1.0, 1.0, 0.0, 0.0, -1.0, 0.0]
    one_side = simulate_plan(replace(plan, stays=np.array([3.0, 3.0, 3.0, 2.0, 3.0, 3.0, 3.0, 0.0])), ExitRules(), Terms(), rows, CASH)
    assert [Outcome(code).name for code in one_side.outcomes][4] == "ENTERED"  # the long did not stay: reversed


def test_a_target_goes_before_a_stop_that_has_trailed_only_by_the_switch() -> None:
    rows = np.array([[100.0, 100.0, 100.0, 100.0, 1.0]] * 2 + [[100.0, 103.0, 102.0, 103.0, 1.0], [103.0, 106.0, 100.0, 101.0, 1.0]])
    rules = ExitRules(stop_loss=0.05, trailing=0.02, take_profit_after={0: 0.05})
    ours = simulate_plan(Plan(np.ones(4)), rules, Terms(), rows, CASH)
    theirs = simulate_plan(Plan(np.ones(4)), rules, Terms(), rows, CASH, switches=Switches(trail_own_bar=True))
    assert [Outcome(int(found.outcomes[3])).name for found in (ours, theirs)] == ["STOPPED", "TARGET"]


def test_a_later_row_of_targets_fills_at_its_open_only_by_the_switch() -> None:
    rows = np.array([[100.0, 102.0, 99.0, 100.0, 1.0]] * 3 + [[102.0, 102.5, 101.0, 102.0, 1.0]])
    hours = np.arange(4, dtype=np.int64) * 3_600_000
    rules = ExitRules(take_profit_after={0: 0.10, 120: 0.015})
    for gap, price in (("clamp", 102.0), ("price", 101.5)):
        found = simulate_plan(
            Plan(np.ones(4)), rules, Terms(), rows, CASH, times_ms=hours, switches=Switches(gap_target=gap)  # type: ignore[arg-type]
        )  # fmt: skip
        assert found.trades[0, TRADE_EXIT_PRICE] == pytest.approx(price)


def test_a_limit_takes_at_a_better_open_but_never_beyond_itself() -> None:
    rows = flat_rows(100.0, 97.99, 100.0)
    plan = Plan(np.array([1.0, 1.0, 1.0]), limit=np.array([98.0, np.nan, np.nan]))
    found = simulate_plan(plan, ExitRules(), Terms(taker_bps=10.0, maker_bps=0.0, slippage_bps=50.0), rows, CASH)
    assert found.fills[0, at.FILL_PRICE] == 98.0
    assert found.fills[0, at.FILL_FEE] == pytest.approx(abs(found.fills[0, at.FILL_UNITS]) * 98.0 * 0.001)


def test_a_wish_that_was_refused_is_asked_for_again() -> None:
    rows = flat_rows(100.0, 100.0, 100.0, 100.0)
    small = simulate_plan(Plan(np.full(4, 0.001)), ExitRules(), Terms(minimum_usd=50.0), rows, CASH)
    assert small.counts() == {Outcome.SIGNAL: 1, Outcome.BELOW_MINIMUM: 3}
    beyond = simulate_plan(Plan(np.ones(4), stop=np.array([101.0, 101.0, 99.0, 99.0])), ExitRules(), Terms(), rows, CASH)
    assert beyond.counts() == {Outcome.SIGNAL: 1, Outcome.BEYOND_STOP: 2, Outcome.ENTERED: 1}


def test_exposure_after_the_fee_is_what_was_wanted() -> None:
    rows = flat_rows(100.0, 100.0, 100.0, 100.0)
    found = simulate_plan(Plan(np.array([0.5, -0.25, 0.8, 0.8])), ExitRules(), Terms(taker_bps=25.0), rows, CASH)
    for bar, wanted in ((1, 0.5), (2, -0.25), (3, 0.8)):
        held = found.fills[found.fills[:, at.FILL_BAR] <= bar, at.FILL_UNITS].sum()
        assert held * 100.0 / found.equity[bar] == pytest.approx(wanted, rel=1e-9)


def test_what_closing_would_give_is_what_closing_gives() -> None:
    rows, times, plan = drawn(5, 60, 0.01)
    rules, terms = ExitRules(rebalance=0.05), Terms(10.0, slippage_bps=5.0, leverage=5.0)
    engine = PlanByBar(rules, terms, CASH)
    for bar, row in enumerate(rows.tolist()):
        before, flat = engine.snapshot, engine.flat_at(row[0])
        assert str(engine.snapshot) == str(before)
        copy = PlanByBar(rules, terms, 1.0, before)
        copy.observe(int(times[bar]) - 1, Decision(), bars=0)
        taken = copy.on_bar(int(times[bar]), (row[0],) * 4 + (1.0,), Decision())
        assert flat.equity_usd == pytest.approx(copy.equity_usd, rel=1e-12)
        assert flat.units == pytest.approx(-sum(fill.units for fill in taken.fills), rel=1e-12)
        assert flat.pnl_usd == (pytest.approx(taken.trades[0][TRADE_PNL]) if taken.fills else None)
        engine.on_bar(int(times[bar]), (*row,), plan.at(bar))


def test_bars_before_the_first_live_one_are_seen_and_not_traded() -> None:
    engine = PlanByBar(ExitRules(), Terms(), CASH)
    engine.observe(5 * 86_400_000, Decision(1.0), bars=6)
    taken = engine.on_bar(6 * 86_400_000, (100.0, 101.0, 99.0, 100.0, 1.0), Decision(1.0))
    assert (taken.outcome, taken.fills[0].bar, engine.bars_seen) == (Outcome.ENTERED, 6, 7)
    assert engine.counts == {Outcome.ENTERED: 1}


def test_a_trade_of_many_fills_adds_up() -> None:
    """Sizes change at each close; what all trades gave is the change of cash."""
    rng = np.random.default_rng(3)
    rows = some_rows(500, 3)
    exposure = np.where(np.arange(500) < 480, rng.choice([0.2, 0.6, 1.0, -0.5, 0.0], 500), 0.0)
    found = simulate_plan(Plan(exposure), ExitRules(), Terms(10.0, slippage_bps=5.0, funding_bps_per_day=3.0), rows, CASH)
    assert found.account.units == 0.0
    assert found.trades[:, TRADE_PNL].sum() == pytest.approx(found.account.cash - CASH, rel=1e-9)
    assert np.abs(found.trades[:, TRADE_UNITS]).sum() < np.abs(found.fills[:, at.FILL_UNITS]).sum()


@pytest.mark.parametrize(
    ("make", "field"),
    [
        (lambda: Plan(np.array([1.0, np.nan])), r"plan\.exposure\[1\]"),
        (lambda: Plan(np.ones(2), stop=np.array([1.0, -1.0])), r"plan\.stop\[1\]"),
        (lambda: Plan(np.ones(2), limit=np.array([np.inf, 1.0])), r"plan\.limit\[0\]"),
        (lambda: Plan(np.ones(2), take_profit=np.ones(3)), r"plan\.take_profit"),
        (lambda: Plan(np.ones(2, dtype=np.float32)), r"plan\.exposure"),
        (lambda: Plan(np.ones(2), warm_up=-1), r"plan\.warm_up"),
        (lambda: ExitRules(stop_loss=1.0), r"rules\.stop_loss"),
        (lambda: ExitRules(trailing=0.0), r"rules\.trailing"),
        (lambda: ExitRules(trailing_offset=-0.1), r"rules\.trailing_offset"),
        (lambda: ExitRules(reentry=0), r"rules\.reentry"),
        (lambda: ExitRules(take_profit_after={-1: 0.1}), r"rules\.take_profit_after"),
        (lambda: ExitRules(take_profit_after={minute: 0.1 for minute in range(40)}), r"rules\.take_profit_after: at most"),
        (lambda: ExitRules(rebalance=-0.1), r"rules\.rebalance"),
        (lambda: Terms(taker_bps=-1.0), r"terms\.taker_bps"),
        (lambda: Terms(maker_bps=-101.0), r"terms\.maker_bps"),
        (lambda: Terms(tick=math.nan), r"terms\.tick"),
        (lambda: Terms(leverage=0.0), r"terms\.leverage"),
        (lambda: Switches(end="soon"), r"switches\.end"),  # type: ignore[arg-type]
        (lambda: simulate_plan(Plan(np.full(3, 1.5)), ExitRules(), Terms(), some_rows(3), CASH), r"plan\.exposure\[0\].*leverage"),
        (lambda: simulate_plan(Plan(np.ones(4)), ExitRules(), Terms(), some_rows(3), CASH), r"plan\.exposure: .*for each bar"),
        (lambda: simulate_plan(Plan(np.ones(3)), ExitRules(), Terms(), some_rows(3), 0.0), "initial_cash_usd"),
        (
            lambda: simulate_plan(Plan(np.ones(2)), ExitRules(), Terms(), some_rows(2), CASH, times_ms=np.array([5, 5], dtype=np.int64)),
            r"times_ms\[1\]",
        ),
        (lambda: PlanByBar(ExitRules(), Terms(), CASH).observe(0, Decision(math.nan)), r"plan\.exposure\[0\]"),
        (lambda: PlanByBar(ExitRules(), Terms(), CASH).observe(0, Decision(1.0, stop=0.0)), r"plan\.stop\[0\]"),
        (lambda: PlanByBar(ExitRules(), Terms(), CASH, PlanSnapshot((), (), ())), r"snapshot\.book"),
    ],
)
def test_what_is_out_of_its_limits_is_named(make: Any, field: str) -> None:
    with pytest.raises(BadInput, match=field):
        make()


def test_a_bar_that_is_not_later_is_refused() -> None:
    engine = PlanByBar(ExitRules(), Terms(), CASH)
    engine.on_bar(10, (1.0, 1.0, 1.0, 1.0, 1.0), Decision())
    with pytest.raises(BadInput, match="time_ms"):
        engine.on_bar(10, (1.0, 1.0, 1.0, 1.0, 1.0), Decision())


def test_numbers_that_are_none_are_seen() -> None:
    assert not simulate_plan(Plan(np.ones(3)), ExitRules(), Terms(), flat_rows(1e-310, 1e-310, 1e300), CASH).is_finite
    assert simulate_plan(Plan(np.ones(3)), ExitRules(), Terms(), some_rows(3), CASH).is_finite


def test_every_row_finds_room() -> None:
    """More fills and trades than are usual: the pass is made once more, with room for all."""
    rows = some_rows(2_000)
    exposure = np.where(np.arange(2_000) % 2 == 0, 1.0, -1.0)
    found = simulate_plan(Plan(exposure), ExitRules(), Terms(), rows, CASH)
    assert (len(found.trades), len(found.fills)) == (1_998, 3_997)
    assert found.trades[-1, TRADE_EXIT_FEE] == 0.0
    assert np.isfinite(found.fills).all()
