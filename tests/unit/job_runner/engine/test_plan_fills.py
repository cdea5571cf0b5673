"""The fills of plans: against a plain loop of the rules, against themselves bar by bar and across snapshots, against plain decisions."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import job_runner.engine.book as at
from job_runner.engine.account import TRADE_ENTRY_FEE, TRADE_EXIT_FEE, TRADE_PNL, TRADE_SIZE, Costs
from job_runner.engine.compiled import FloatArray, IntArray
from job_runner.engine.fills import simulate_targets
from job_runner.engine.plan_by_bar import PlanByBar, PlanSnapshot
from job_runner.engine.plan_simulation import PlanSimulation, simulate_plan
from job_runner.engine.plans import OURS, ExitRules, Outcome, Plan, Switches, Terms
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
    plan = Plan(
        exposure, near(-1.0, share[0], 0.02), near(1.0, share[1], 0.03), near(-1.0, share[2], 0.01), warm_up=int(rng.integers(0, 5))
    )
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
    assert engine.sharpe_annualised is None or math.isfinite(engine.sharpe_annualised)


def through_json(snapshot: PlanSnapshot) -> PlanSnapshot:
    """As it comes out of a log: numbers as text, what is no price as null."""
    known = json.loads(json.dumps([None if math.isnan(number) else number for number in snapshot.book]))
    return replace(snapshot, book=tuple(math.nan if number is None else number for number in known))


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 400), st.sampled_from([0.0, 0.01, 0.3]), st.floats(0, 200), st.floats(0, 200))
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
