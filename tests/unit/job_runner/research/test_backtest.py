"""One research job: complete, deterministic, cancellable, and clear about bad input."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autonomy.errors import BadInput
from autonomy.events import ResearchSummary
from job_runner.market.bar_files import HIGHEST_PRICE, LOWEST_PRICE
from job_runner.market.sources import DataMissing, EmbeddedMarketData, MarketData, SyntheticMarketData
from job_runner.pool.research_worker import summary_of
from job_runner.research.backtest import run_research
from job_runner.research.report import Cancelled, ResearchOrder, ResearchReport, SuiteSize
from job_runner.research.validation import MAX_NEIGHBOURS, neighbours
from job_runner.strategies.coded import by_name
from support.days import day_ms
from support.paper import RowsMarket
from support.research import SMALL, an_order, some_rows
from support.strategies import strategy_names


def run(order: ResearchOrder, market: MarketData) -> ResearchReport:
    return run_research(order, market, lambda _phase, _fraction: None, lambda: False)


@pytest.mark.parametrize("strategy", strategy_names())
def test_the_same_order_gives_the_same_report(strategy: str, embedded: EmbeddedMarketData) -> None:
    order = an_order(strategy=strategy)
    one, other = run(order, embedded), run(order, embedded)
    assert replace(one, elapsed_s=()) == replace(other, elapsed_s=())
    assert one.look_ahead_ok
    assert one.trials_counted == one.neighbourhood.evaluated + one.walk_forward.evaluations


def test_evaluations_made_before_deflate_the_sharpe_ratio_too(embedded: EmbeddedMarketData) -> None:
    fresh, tried = run(an_order(), embedded), run(an_order(prior_trials=5_000), embedded)
    assert tried.trials_counted == fresh.trials_counted + 5_000
    assert (tried.deflated_sharpe or 0.0) < (fresh.deflated_sharpe or 0.0)
    assert tried.probabilistic_sharpe == fresh.probabilistic_sharpe
    with pytest.raises(BadInput, match="prior_trials"):
        run(an_order(prior_trials=-1), embedded)


def test_results_do_not_depend_on_how_the_work_is_cut(embedded: EmbeddedMarketData, monkeypatch: pytest.MonkeyPatch) -> None:
    order = an_order()
    whole = run(order, embedded)
    monkeypatch.setattr("job_runner.research.timing.CHUNK_BARS", 1)
    assert run(order, embedded).timing == whole.timing


def test_the_fingerprint_is_of_the_question_and_not_of_the_day(embedded: EmbeddedMarketData) -> None:
    first = run(an_order(), embedded)
    later = run(an_order(until_ms=day_ms(14_100)), embedded)
    assert later.fingerprint == first.fingerprint
    assert later.data_sha256 != first.data_sha256
    for change in ({"parameters": {"fast": 21}}, {"fee_bps": 11.0}, {"symbol": "IBM"}, {"strategy": "macd"}):
        assert run(an_order(**change), embedded).fingerprint != first.fingerprint


def test_no_bar_after_the_last_day_is_used(embedded: EmbeddedMarketData) -> None:
    report = run(an_order(until_ms=day_ms(13_500)), embedded)
    assert report.last_ms <= day_ms(13_500)
    assert report.equity[-1].time_ms == report.last_ms
    assert len(report.equity) == 400
    bars = embedded.bars("AAPL", "1d", day_ms(13_500))
    closes = dict(zip(bars.time.tolist(), bars.close.tolist(), strict=True))
    assert [point.close_usd for point in report.equity] == [closes[point.time_ms] for point in report.equity]


def test_synthetic_bars_are_labelled_in_the_report() -> None:
    assert run(an_order(symbol="SYN-A"), SyntheticMarketData(3)).synthetic


def test_progress_never_falls_and_ends_at_one(embedded: EmbeddedMarketData) -> None:
    told: list[tuple[str, float]] = []
    run_research(an_order(), embedded, lambda phase, fraction: told.append((phase, fraction)), lambda: False)
    fractions = [fraction for _, fraction in told]
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1.0
    assert [*dict.fromkeys(phase for phase, _ in told)] == [
        "data", "backtest", "stress", "neighbourhood", "walk-forward", "timing", "net", "look-ahead", "deflation",
    ]  # fmt: skip


@pytest.mark.parametrize("asked", [1, 5, 15, 25])
def test_a_cancelled_job_stops_at_the_next_question(asked: int, embedded: EmbeddedMarketData) -> None:
    questions = 0

    def is_cancelled() -> bool:
        nonlocal questions
        questions += 1
        return questions >= asked

    with pytest.raises(Cancelled):
        run_research(an_order(), embedded, lambda _phase, _fraction: None, is_cancelled)
    assert questions == asked


def test_too_few_bars_says_how_many(embedded: EmbeddedMarketData) -> None:
    with pytest.raises(DataMissing, match="196 bars, 250 needed"):
        run(an_order(symbol="FB", until_ms=day_ms(20_000)), embedded)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"symbol": "NOPE"}, "symbol"),
        ({"timeframe": "1h"}, "timeframe"),
        ({"strategy": "magic"}, "strategy"),
        ({"parameters": {"fast": 60}}, "parameters.fast"),
        ({"fee_bps": float("nan")}, "fee_bps"),
        ({"slippage_bps": -1.0}, "slippage_bps"),
        ({"initial_cash_usd": "0"}, "initial_cash_usd"),
        ({"initial_cash_usd": "Infinity"}, "initial_cash_usd"),
        ({"initial_cash_usd": "lots"}, "initial_cash_usd"),
    ],
)
def test_bad_input_names_the_field(change: dict[str, object], named: str, embedded: EmbeddedMarketData) -> None:
    with pytest.raises(BadInput) as refusal:
        run(an_order(**change), embedded)
    assert refusal.value.field == named


@pytest.mark.parametrize("field", ["permuted_markets", "truncation_cuts", "stress_levels", "walk_forward_windows"])
def test_suite_sizes_have_limits(field: str) -> None:
    with pytest.raises(BadInput, match=f"suite.{field}"):
        replace(SMALL, **{field: 0})
    with pytest.raises(BadInput, match="suite"):
        SuiteSize(neighbourhood_steps=21)


def test_the_neighbourhood_is_bounded_and_starts_with_the_order_itself() -> None:
    points = neighbours(by_name("macd"), {}, 20)
    assert 500 < len(points) <= MAX_NEIGHBOURS
    assert points[0] == {"fast": 12, "slow": 26, "signal": 9, "direction": "long"}
    assert len(neighbours(by_name("macd"), {}, 0)) == 1


def test_worse_costs_never_help(embedded: EmbeddedMarketData) -> None:
    stress = run(an_order(suite=replace(SMALL, stress_levels=4)), embedded).stress
    free = stress.points[0].total_return_fraction
    assert free is not None
    assert all((point.total_return_fraction or 0.0) <= free for point in stress.points)
    assert len(stress.points) == 16


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1), strategy=st.sampled_from(strategy_names()), level=st.sampled_from([1e-12, 1e-9, 1.0, 1e9]),
    jumps=st.lists(st.tuples(st.integers(1, 399), st.sampled_from([20.0, 1 / 20, 100.0, 1 / 7, 1.0])), max_size=6),
)  # fmt: skip
def test_odd_prices_give_a_result_that_can_be_told_or_a_stated_refusal(
    seed: int, strategy: str, level: float, jumps: list[tuple[int, float]]
) -> None:
    """Seen: a price of 1e-310 gave fees of NaN, and a bar of x 20 an OverflowError."""
    rows = some_rows(400, seed)
    rows[:, :4] *= level / 100.0
    for bar, times in jumps:
        rows[bar:, :4] *= times
    rows[:, :4] = np.clip(rows[:, :4], LOWEST_PRICE, HIGHEST_PRICE)
    report = run(an_order(strategy=strategy, suite=replace(SMALL, permuted_markets=10)), RowsMarket(rows))
    summary = summary_of(report, "artifact")
    assert ResearchSummary.model_validate_json(summary.model_dump_json()) == summary


@pytest.mark.parametrize("times", [20.0, 1e6])
def test_a_jump_in_a_single_bar_is_told(times: float) -> None:
    rows = some_rows(400)
    rows[200:, :4] *= times
    report = run(an_order(suite=replace(SMALL, permuted_markets=10)), RowsMarket(rows))
    assert report.metrics.on_returns.sharpe_annualised is not None
    (found,) = summary_of(report, "artifact").data_findings
    assert float(found.split("jumps × ")[1].split()[0]) == pytest.approx(times, rel=0.02)


def test_sound_bars_have_no_findings(embedded: EmbeddedMarketData) -> None:
    assert summary_of(run(an_order(), embedded), "artifact").data_findings == ()
