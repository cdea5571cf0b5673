"""A strategy with its parameters, ready to run over bars: what the engine knows of it.

Role: the seam between deciding and filling. `StepProgram` decides bar by bar in compiled code; strategies that decide on arrays come from
elsewhere with the same shape. Nothing here knows which strategies there are.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache
from types import FunctionType
from typing import Any, Final, Protocol

import numpy as np

from autonomy.errors import BadInput
from job_runner.engine.compiled import CLOSE, HIGH, LOW, OPEN, VOLUME, Bar, FloatArray, IntArray, SmallIntArray, bar_at, kernel
from job_runner.engine.plans import Decision, ExitRules

DAY_MS: Final = 86_400_000
Step = Callable[[FloatArray, Bar, FloatArray], int]
Loop = Callable[[FloatArray, FloatArray, FloatArray, SmallIntArray], None]
One = Callable[[FloatArray, FloatArray, FloatArray], int]


@dataclass(frozen=True, slots=True, eq=False)
class Axis:
    """Which bars a program is run over.

    Args:
        symbol: such as AAPL.
        timeframe: such as 1d.
        times: int64 (n), start of each bar, milliseconds since 1970-01-01 UTC; rows given to a program are the first ones of these.
    """

    symbol: str
    timeframe: str
    times: IntArray


def daily_axis(symbol: str, days: Sequence[int]) -> Axis:
    """The axis of daily bars: days since 1970-01-01."""
    return Axis(symbol, "1d", np.asarray(days, dtype=np.int64) * DAY_MS)


class PlanDecider(Protocol):
    """A program of plans in the middle of its bars: what a paper session keeps between two of them, beside the money."""

    def recall(self, rows: FloatArray, times: IntArray) -> None:
        """Take the bars that it had seen before, float64 (n, BAR_SIZE), with the start of each (int64 (n), ms)."""
        ...

    def observe(self, rows: FloatArray, times: IntArray) -> Decision:
        """Take more bars, n ≥ 1, as in `recall`; what is wanted after the last one."""
        ...


class PlanProgram(Protocol):
    """A strategy that says what it wants as a plan."""

    @property
    def strategy(self) -> str:
        """Wire name."""
        ...

    @property
    def look_back(self) -> int:
        """Bars before its first decision other than flat."""
        ...

    @property
    def rules(self) -> ExitRules:
        """What hangs on its fills."""
        ...

    @property
    def times(self) -> IntArray:
        """Start of each of its bars, int64 (n), ms since 1970-01-01 UTC."""
        ...

    def decided(self, rows: FloatArray) -> FloatArray:
        """What is wanted after each close of rows float64 (n, BAR_SIZE): float64 (n, 5).

        Exposure, stop, take profit, limit, sides that stay.
        """
        ...

    def begin(self) -> PlanDecider:
        """A fresh start before the first bar."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class StepProgram:
    """A strategy that decides bar by bar, compiled.

    Args:
        strategy: wire name.
        params: float64, its numbers in order, then the place of each chosen word.
        state_size: floats of state its step needs, zeros before the first bar.
        look_back: bars before its first decision other than flat.
        loop: decides on all rows in one pass.
        one: decides on one row.
        times: int64 (n), start of each of its bars, ms since 1970-01-01 UTC; only its costs by time ask for them.
    """

    strategy: str
    params: FloatArray
    state_size: int
    look_back: int
    loop: Loop
    one: One
    times: IntArray = field(default_factory=lambda: np.zeros(0, dtype=np.int64))

    def decided(self, rows: FloatArray) -> SmallIntArray:
        """The exposure wanted after each close: int8 (n), of rows float64 (n, BAR_SIZE), read front to back."""
        found = np.zeros(len(rows), dtype=np.int8)
        self.loop(rows, np.zeros(self.state_size), self.params, found)
        return found

    def begin(self) -> "StepDecider":
        """A fresh start before the first bar."""
        return StepDecider(self, np.zeros(self.state_size))


@dataclass(slots=True, eq=False)
class StepDecider:
    """A `StepProgram` in the middle of its bars; `floats` is all it remembers."""

    program: StepProgram
    floats: FloatArray

    @property
    def state(self) -> tuple[float, ...]:
        """What it needs to go on in another process."""
        return tuple(self.floats.tolist())

    def restore(self, state: tuple[float, ...]) -> None:
        """Go on from there; raises BadInput for the state of another program."""
        if len(state) != self.program.state_size:
            raise BadInput("snapshot.state", f"{self.program.state_size} numbers", len(state))
        self.floats[:] = state

    def observe(self, rows: FloatArray) -> int:
        """Take more bars, n ≥ 1; the exposure wanted after the last one."""
        if len(rows) == 1:
            return int(self.program.one(self.program.params, np.ascontiguousarray(rows[0]), self.floats))
        found = np.zeros(len(rows), dtype=np.int8)
        self.program.loop(np.ascontiguousarray(rows), self.floats, self.program.params, found)
        return int(found[-1])


@dataclass(frozen=True, slots=True, eq=False)
class PlannedSteps:
    """A `StepProgram` as a `PlanProgram`: where its costs ask for more than plain fills know."""

    steps: StepProgram

    @property
    def strategy(self) -> str:
        """See `PlanProgram.strategy`."""
        return self.steps.strategy

    @property
    def look_back(self) -> int:
        """See `PlanProgram.look_back`."""
        return self.steps.look_back

    @property
    def rules(self) -> ExitRules:
        """None: a step wants a side, and nothing hangs on its fills."""
        return ExitRules()

    @property
    def times(self) -> IntArray:
        """See `PlanProgram.times`."""
        return self.steps.times

    def decided(self, rows: FloatArray) -> FloatArray:
        """See `PlanProgram.decided`."""
        return planned_targets(self.steps.decided(rows))

    def begin(self) -> "PlannedStepDecider":
        """See `PlanProgram.begin`."""
        return PlannedStepDecider(self.steps.begin())


@dataclass(slots=True, eq=False)
class PlannedStepDecider:
    """A `PlannedSteps` in the middle of its bars; a `PlanDecider`."""

    decider: StepDecider

    def recall(self, rows: FloatArray, times: IntArray) -> None:  # noqa: ARG002 (steps know no time)
        """See `PlanDecider.recall`."""
        if len(rows):
            self.decider.observe(rows)

    def observe(self, rows: FloatArray, times: IntArray) -> Decision:  # noqa: ARG002 (steps know no time)
        """See `PlanDecider.observe`."""
        return Decision(float(self.decider.observe(rows)))


def planned_targets(targets: SmallIntArray) -> FloatArray:
    """Plain decisions, int8 (n), as those of a plan: float64 (n, 5), no prices, no side that stays."""
    decided = np.full((len(targets), 5), np.nan)
    decided[:, 0], decided[:, 4] = targets, 0.0
    return decided


Program = StepProgram | PlanProgram
Decided = SmallIntArray | FloatArray


@cache
def compiled(step: Step, code_hash: str, steps: Loop | None = None) -> tuple[Loop, One]:
    """A step in the two loops around it, compiled for it alone; `steps` instead of the first, where a strategy brings a faster one.

    A compiled function cannot be handed to another without losing the cache on disk. So the loops are made anew around each step, from
    the same code with another global, and kept in a folder that the hash of the step's code names.
    """
    compiled_step = step if hasattr(step, "py_func") else kernel(step, code_hash[:16])
    return steps or _around(_all, compiled_step, code_hash), _around(_single, compiled_step, code_hash)


def _around(loop: Any, step: Step, code_hash: str) -> Any:  # noqa: ANN401 (a function made of code and globals)
    made = FunctionType(loop.__code__, {**loop.__globals__, "step": step}, loop.__name__)
    made.__module__, made.__annotations__ = loop.__module__, {}
    return kernel(made, code_hash[:16])


def step(state: FloatArray, bar: Bar, params: FloatArray) -> int:
    """Stands for the step that a loop is made around."""
    raise NotImplementedError


def _all(rows: FloatArray, state: FloatArray, params: FloatArray, targets: SmallIntArray) -> None:
    for i in range(rows.shape[0]):
        targets[np.uintp(i)] = step(state, bar_at(rows, i), params)


def _single(params: FloatArray, row: FloatArray, state: FloatArray) -> int:
    return step(state, Bar(row[OPEN], row[HIGH], row[LOW], row[CLOSE], row[VOLUME]), params)
