"""The installed strategies for tests of the engine: by name, ready to run, and what evidence of them is bound to."""

from collections.abc import Mapping
from typing import Final

from job_runner.engine.programs import StepProgram, daily_axis
from job_runner.research.backtest import fingerprint_in
from job_runner.research.report import ResearchOrder
from job_runner.strategies.coded import by_name, installed

LONG_SHORT: Final = "long-short"


def strategy_names() -> tuple[str, ...]:
    """Of all strategies that are installed."""
    return tuple(installed().strategies)


def program(name: str, parameters: Mapping[str, object], bars: int = 20_000) -> StepProgram:
    """One of them, ready to run over daily bars, of which there may be so many."""
    made = by_name(name).program(parameters, daily_axis("AAPL", range(bars)))
    assert isinstance(made, StepProgram)
    return made


def fingerprint_of_order(order: ResearchOrder, source_id: str) -> str:
    """What evidence from an order of an installed strategy is bound to, on bars of that source."""
    return fingerprint_in(order, source_id, by_name(order.strategy))
