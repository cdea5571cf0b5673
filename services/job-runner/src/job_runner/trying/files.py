"""A strategy's file, and the bars to try it on.

Role: reads what a user names, as a runner would read it; the copy lies in a folder that goes away.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import numpy as np

from autonomy.errors import BadInput
from autonomy.events import Costs
from job_runner.engine import account
from job_runner.engine.compiled import FloatArray
from job_runner.engine.programs import Axis
from job_runner.engine.running import run
from job_runner.market.bar_folder import FolderMarketData
from job_runner.market.sources import DAILY, END_OF_TIME_MS, EmbeddedMarketData, MarketData, OneSymbol
from job_runner.research.backtest import run_research
from job_runner.research.report import ResearchOrder, ResearchReport, SuiteSize
from job_runner.strategies.arrays import There
from job_runner.strategies.coded import CodedStrategy, Kept, by_name
from job_runner.strategies.folder import taken
from job_runner.strategies.guest import Guest, Spawner, StrategyFailed
from job_runner.strategies.guests import guests
from job_runner.trying.checking import Finding, asked_of, check_strategy
from job_runner.trying.comparison import Comparison, compared
from job_runner.trying.page import page_of

__all__ = ["backtested", "bars_of", "checked", "compared_with", "market_of", "page_of", "strategies_in"]

SEEDS: Final = ("0", "1")
LEAST_BARS: Final = 250
USUAL: Final = Costs(fee_bps=10.0, slippage_bps=5.0)
"""The policy's as it comes along."""
CASH_USD: Final = 100_000.0


@contextmanager
def strategies_in(path: Path) -> Iterator[Mapping[str, CodedStrategy]]:
    """The strategies of a file or package, by name, for as long as this lasts.

    Raises:
        BadInput, StrategyFailed, SyntaxError, OSError: as `folder.taken`.
    """
    with TemporaryDirectory(prefix="autonomy-strategy-") as copies, guests():
        yield {coded.name: coded for coded in taken(path, Path(copies))}


def market_of(folder: Path | None) -> MarketData:
    """Bars of a folder as people have them, else the embedded ones."""
    return EmbeddedMarketData() if folder is None else FolderMarketData(folder)


def bars_of(market: MarketData, symbol: str | None, timeframe: str = DAILY) -> tuple[FloatArray, Axis]:
    """All bars of a symbol, or of the first there is: float64 (n, BAR_SIZE), and which they are.

    Raises:
        BadInput: no such symbol or timeframe.
    """
    bars = market.bars(symbol or _first(market, timeframe), timeframe, END_OF_TIME_MS)
    return np.ascontiguousarray(bars.rows()), Axis(bars.symbol, bars.timeframe, bars.time)


def _first(market: MarketData, timeframe: str) -> str:
    """The first symbol that there are bars of a timeframe of."""
    known = market.markets()
    if not known:
        raise BadInput("bars", "a folder with bars", "none")
    found = [symbol for symbol, length in known if length == timeframe]
    if not found:
        raise BadInput("timeframe", f"one that there are bars of ({', '.join(sorted({length for _, length in known}))})", timeframe)
    return found[0]


def checked(path: Path, market: MarketData, symbol: str | None, timeframe: str = DAILY) -> dict[str, tuple[Finding, ...]]:
    """The findings about each strategy of a file."""
    rows, axis = bars_of(market, symbol, timeframe)
    with strategies_in(path) as found:
        return {name: _checked(coded, rows, axis) for name, coded in found.items()}


def _checked(coded: CodedStrategy, rows: FloatArray, axis: Axis) -> tuple[Finding, ...]:
    if not isinstance(coded.code, Kept):
        raise BadInput("file", "a strategy of a file", coded.name)
    hosts = {seed: Guest(coded.code.folder, coded.code.module, load_s=coded.code.load_s, spawner=Spawner(seed)) for seed in SEEDS}
    try:
        asked = {seed: asked_of(There(coded.code.folder, coded.code.module, coded.code.class_name, host)) for seed, host in hosts.items()}
        return (*check_strategy(coded, rows, axis, asked), *_as_elsewhere(coded, rows, axis))
    finally:
        for host in hosts.values():
            host.close()
            host.spawner.stop()


def _as_elsewhere(coded: CodedStrategy, rows: FloatArray, axis: Axis) -> tuple[Finding, ...]:
    """What is to be known of a strategy for another program: how many trades it makes there and here."""
    fee_bps = USUAL.fee_bps
    try:
        found = compared(coded, rows, axis, {}, CASH_USD, fee_bps)
    except StrategyFailed:
        return ()  # said by the checks already
    if found is None:
        return ()
    here = len(run(coded.program({}, axis), rows, account.Costs(fee_bps, 0.0), CASH_USD).trades)
    words = f"{len(found.trades)} trades by the fills of {found.program}, {here} by ours, at {fee_bps:g} bp a side and no slippage"
    return (Finding("fills", passed=None, words="; ".join([words, *found.notes])),)


def compared_with(
    coded: CodedStrategy,
    market: MarketData,
    symbol: str | None,
    parameters: Mapping[str, object],
    *,
    timeframe: str = DAILY,
    cash_usd: str = "100000",
    fee_bps: float | None = None,
) -> Comparison | None:
    """What the program that a strategy was written for makes of it; None where it is written for this one.

    Arguments as in `backtested`; of the costs that came with the bars it takes fee and lot.
    """
    bars = market.bars(symbol or _first(market, timeframe), timeframe, END_OF_TIME_MS)
    costs = bars.costs or USUAL
    axis = Axis(bars.symbol, bars.timeframe, bars.time)
    with guests():
        return compared(
            coded,
            np.ascontiguousarray(bars.rows()),
            axis,
            parameters,
            float(cash_usd),
            costs.fee_bps if fee_bps is None else fee_bps,
            costs.lot,
        )


def backtested(  # noqa: PLR0913 (what a bot is, and what an order adds)
    strategy: CodedStrategy | str,
    market: MarketData,
    symbol: str | None,
    parameters: Mapping[str, object],
    *,
    timeframe: str = DAILY,
    cash_usd: str = "100000",
    fee_bps: float | None = None,
    slippage_bps: float | None = None,
    suite: SuiteSize | None = None,
) -> ResearchReport:
    """What a baseline job of the platform gives for this bot, to the last digit.

    Args:
        strategy: of a file, or the name of an installed one.
        market: where bars come from.
        symbol: the first there is where none is named.
        parameters: of the strategy; keys left out take their default.
        timeframe: of the bars.
        cash_usd: at the start, decimal text.
        fee_bps: per side; by default what came with the bars, else 10.
        slippage_bps: per side; likewise, else 5.
        suite: how much validation; the policy's default where none is given.
    """
    coded = by_name(strategy) if isinstance(strategy, str) else strategy
    bars = market.bars(symbol or _first(market, timeframe), timeframe, END_OF_TIME_MS)
    costs = (bars.costs or USUAL).model_dump()
    costs |= {name: told for name, told in (("fee_bps", fee_bps), ("slippage_bps", slippage_bps)) if told is not None}
    asked = ResearchOrder(
        job_id="try", bot_id="try", strategy=coded.name, parameters=dict(parameters), symbol=bars.symbol, timeframe=timeframe,
        bars_per_year=bars.bars_per_year, until_ms=END_OF_TIME_MS, initial_cash_usd=cash_usd,
        min_bars=LEAST_BARS, suite=suite or SuiteSize(), **costs,
    )  # fmt: skip
    with guests():
        # As a worker gets them: one symbol, read once.
        return run_research(asked, OneSymbol(bars), lambda _phase, _fraction: None, lambda: False, strategy=coded)
