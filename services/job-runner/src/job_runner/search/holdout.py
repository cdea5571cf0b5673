"""The hold-out: bars that no search has seen, looked at once.

Role: holds the last bars of an evolution behind a seal. There is one way to them, and it works once: whoever could
look twice could choose by what he saw.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from autonomy.errors import Broken
from autonomy.strategies import Value
from job_runner.engine.compiled import FloatArray
from job_runner.engine.running import follow
from job_runner.engine.statistics import Metrics, probabilistic_sharpe, returns_of, simulation_metrics
from job_runner.research.validation import Case


@dataclass(frozen=True, slots=True, eq=False)
class HoldOutResult:
    """What one parameter set did in the hold-out.

    Args:
        metrics: of an account that starts flat with the hold-out's first bar.
        probabilistic_sharpe: probability that the true Sharpe ratio is above 0.
        returns: float64, of that account, bar by bar.
    """

    metrics: Metrics
    probabilistic_sharpe: float | None
    returns: FloatArray


class SealedHoldOut:
    """The last bars of a case.

    Args:
        case: all bars; those before the hold-out are history for the indicators.
        first: number of the hold-out's first bar, at least 1.
    """

    def __init__(self, case: Case, first: int) -> None:
        self._case = case
        self._first = first
        self._opened = False

    def open(self, contenders: Sequence[Mapping[str, Value]]) -> list[HoldOutResult]:
        """Try these, all at once.

        Raises:
            Broken: it was opened before.
        """
        if self._opened:
            raise Broken("the hold-out is looked at once")
        self._opened = True
        return [self._tried(parameters) for parameters in contenders]

    def _tried(self, parameters: Mapping[str, Value]) -> HoldOutResult:
        case = self._case
        # One bar before, so that the first fill has a decision.
        start = self._first - 1
        program = case.program(parameters)
        simulation = follow(program, program.decided(case.rows)[start:], case.rows[start:], case.costs, case.cash_usd, start)
        returns = returns_of(simulation.equity)
        return HoldOutResult(simulation_metrics(simulation, case.cash_usd, case.bars_per_year), probabilistic_sharpe(returns), returns)
