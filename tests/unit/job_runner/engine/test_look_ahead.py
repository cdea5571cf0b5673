"""Truncate and compare: decisions must not change when the future is cut off, and the check must catch those that do."""

import numpy as np
import pytest

from job_runner.engine.compiled import CLOSE, FloatArray, SmallIntArray
from job_runner.engine.fills import decisions
from job_runner.research.validation import look_ahead
from support.strategies import LONG_SHORT, program, strategy_names


class Uncounted:
    """Work nobody counts."""

    def done(self, bars: int) -> None:
        """Nothing to tell."""


def check(decide: object, rows: FloatArray, cuts: int = 60) -> int | None:
    days = list(range(len(rows)))
    return look_ahead(decide, lambda day: rows[: day + 1].copy(), days, cuts, Uncounted()).first_bad_ms  # type: ignore[arg-type]


@pytest.mark.parametrize("strategy", strategy_names())
def test_no_strategy_knows_the_future(strategy: str, apple: FloatArray) -> None:
    prepared = program(strategy, {"direction": LONG_SHORT})
    assert check(lambda rows: decisions(prepared, rows), apple) is None


@pytest.mark.parametrize("strategy", strategy_names())
def test_a_step_that_peeks_one_bar_ahead_is_caught(strategy: str, apple: FloatArray) -> None:
    prepared = program(strategy, {"direction": LONG_SHORT})

    def cheat(rows: FloatArray) -> SmallIntArray:
        # The strategy, but handed tomorrow's bar today.
        return decisions(prepared, np.ascontiguousarray(np.concatenate([rows[1:], rows[-1:]])))

    assert check(cheat, apple, cuts=len(apple)) is not None


def test_a_decision_scaled_by_the_whole_history_is_caught(apple: FloatArray) -> None:
    def cheat(rows: FloatArray) -> SmallIntArray:
        below: SmallIntArray = (rows[:, CLOSE] < rows[:, CLOSE].mean()).astype(np.int8)
        return below

    assert check(cheat, apple) is not None


def test_data_that_changes_with_hindsight_is_caught(apple: FloatArray) -> None:
    prepared = program("sma-cross", {})
    days = list(range(len(apple)))

    def rescaled(day: int) -> FloatArray:
        scaled: FloatArray = apple[: day + 1] / apple[day, CLOSE]
        return scaled

    found = look_ahead(lambda rows: decisions(prepared, rows), rescaled, days, 20, Uncounted())
    assert not found.ok
