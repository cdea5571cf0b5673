"""Markets and orders for the tests of evolutions."""

from dataclasses import dataclass, field, replace

import numpy as np

from autonomy.events import EvolutionPlan
from autonomy.policy import EvolutionPolicy
from autonomy.timeframes import DAY_MS
from job_runner.engine.compiled import FloatArray
from job_runner.market.sources import Bars
from job_runner.search.evolution import run_evolution
from job_runner.search.evolution_report import EvolutionOrder, EvolutionReport
from support.days import day_ms
from support.research import an_order

DEFAULTS = EvolutionPolicy()
BARS = 3_000


@dataclass(frozen=True)
class MemoryMarket:
    """Bars in memory, labelled as the test wants them: one symbol, TEST."""

    rows: FloatArray
    synthetic: bool = False
    asked: list[int] = field(default_factory=list)

    def markets(self) -> tuple[tuple[str, str], ...]:
        return (("TEST", "1d"),)

    def bars(self, symbol: str, timeframe: str, until: int) -> Bars:
        self.asked.append(until)
        time = np.arange(10_000, 10_000 + len(self.rows), dtype=np.int64) * DAY_MS
        count = int(np.searchsorted(time, until, side="right"))
        columns = [np.ascontiguousarray(self.rows[:count, place]) for place in range(5)]
        opened, high, low, close, volume = columns
        return Bars(symbol, timeframe, time[:count], opened, high, low, close, volume, "memory/test", synthetic=self.synthetic)

    def changed_at(self, bar: int) -> "MemoryMarket":
        """The same market with one bar 3 % higher."""
        rows = self.rows.copy()
        rows[bar, :4] *= 1.03
        return replace(self, rows=rows)


def a_noise_market(seed: int, bars: int = BARS) -> MemoryMarket:
    """A martingale: no parameters of any strategy earn anything but by luck."""
    numbers = np.random.default_rng(seed)
    return MemoryMarket(_rows(numbers.normal(-0.5 * 0.012**2, 0.012, bars), numbers))


def a_trending_market(seed: int, bars: int = BARS, drift: float = 0.004, volatility: float = 0.01, length: int = 25) -> MemoryMarket:
    """Trends of about a month that change their direction: an edge for whoever looks back some days, none for months."""
    numbers = np.random.default_rng(seed)
    turns = numbers.random(bars) < 1.0 / length
    direction = np.where(np.cumsum(turns) % 2 == 0, 1.0, -1.0)
    return MemoryMarket(_rows(direction * drift + numbers.normal(0.0, volatility, bars), numbers))


def _rows(changes: FloatArray, numbers: np.random.Generator) -> FloatArray:
    close = 100.0 * np.exp(np.cumsum(changes))
    open_ = np.concatenate([[100.0], close[:-1]]) * np.exp(numbers.normal(0.0, 0.001, len(close)))
    high, low = np.maximum(open_, close) * 1.002, np.minimum(open_, close) * 0.998
    return np.ascontiguousarray(np.stack([open_, high, low, close, np.full(len(close), 1e6)], axis=1))


def a_plan(**changes: object) -> EvolutionPlan:
    """The default policy's search."""
    fields: dict[str, object] = {
        name: getattr(DEFAULTS, name)
        for name in (
            "population",
            "generations",
            "folds",
            "embargo_bars",
            "holdout_fraction",
            "min_holdout_bars",
            "max_evaluations",
            "max_wall_s",
        )
    }
    return EvolutionPlan.model_validate({"why": "WEAK", "seed": 1, "read_until": None, **fields, **changes})


SMALL_SEARCH = {"population": 8, "generations": 4}


def a_search(plan: EvolutionPlan | None = None, **changes: object) -> EvolutionOrder:
    """A search on TEST for the champion ts-momentum with its default window of 120 bars."""
    order = an_order(**{"strategy": "ts-momentum", "symbol": "TEST", "until_ms": day_ms(10**6), **changes})
    return EvolutionOrder(order, plan or a_plan(**SMALL_SEARCH))


def evolve(order: EvolutionOrder, market: MemoryMarket, **seams: object) -> EvolutionReport:
    """Run it here."""
    return run_evolution(order, market, lambda _phase, _fraction: None, lambda: False, **seams)  # type: ignore[arg-type]
