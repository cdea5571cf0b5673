"""Strategies that decide on all bars at once: as programs of the engine, whole and bar by bar.

Role: whoever decides is asked for the first n bars and gives arrays as long; bar by bar the same question is asked about all bars so far
and the last row taken, so a causal strategy trades the very rows of its backtest. A row that has changed since is a fault: REPAINTED.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Protocol

import numpy as np

from autonomy.errors import BadInput
from autonomy.strategies import Value
from autonomy.strategy import Bars, Strategy
from job_runner.engine.compiled import BAR_SIZE, FloatArray, IntArray
from job_runner.engine.plans import Decision, ExitRules
from job_runner.engine.programs import Axis
from job_runner.strategies import host
from job_runner.strategies.frames import Array
from job_runner.strategies.guest import LOAD_S, Guest, SentBars, StrategyFailed
from job_runner.strategies.guests import open_guest

PLAN: Final = ("exposure", *host.PRICES, "stays")
"""Columns of decisions, as the engine has them."""


class Source(Protocol):
    """Whoever decides."""

    def decide(self, parameters: Mapping[str, Value], bars: SentBars, until: int) -> dict[str, Array]:
        """The arrays of a plan after each of the first bars; raises StrategyFailed."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class Here:
    """A class of an installed package, in this process."""

    strategy: type[Strategy]

    def decide(self, parameters: Mapping[str, Value], bars: SentBars, until: int) -> dict[str, Array]:
        """See `Source.decide`."""
        try:
            return host.decide(self.strategy, {"parameters": dict(parameters), "until": until}, _bars_here(bars))
        except Exception as fault:
            said = host.fault_of(fault, "")
            raise StrategyFailed(str(said["words"])) from fault


@dataclass(frozen=True, slots=True, eq=False)
class There:
    """A class of somebody's file, in a process of its own; in `guest`, where one is given."""

    folder: str
    module: str
    class_name: str
    guest: Guest | None = None
    load_s: float = LOAD_S

    def decide(self, parameters: Mapping[str, Value], bars: SentBars, until: int) -> dict[str, Array]:
        """See `Source.decide`."""
        if self.guest is not None:
            return self.guest.decide(self.class_name, parameters, bars, until)
        with open_guest(self.folder, self.module, self.load_s) as guest:
            return guest.decide(self.class_name, parameters, bars, until)


@dataclass(slots=True, eq=False)
class ArrayProgram:
    """A strategy that decides on arrays, with its parameters; a `PlanProgram` of the engine.

    Args:
        strategy: wire name.
        parameters: checked document.
        look_back: bars before its first decision other than flat.
        rules: what hangs on its fills.
        axis: the bars it is run over.
        source: whoever decides.
    """

    strategy: str
    parameters: Mapping[str, Value]
    look_back: int
    rules: ExitRules
    axis: Axis
    source: Source
    _sent: tuple[FloatArray, SentBars] | None = None

    @property
    def times(self) -> IntArray:
        """See `PlanProgram.times`."""
        return self.axis.times

    def decided(self, rows: FloatArray) -> FloatArray:
        """See `PlanProgram.decided`; the rows are the first of the axis.

        Raises:
            StrategyFailed: whatever it did instead.
        """
        return self.decided_on(rows, self.axis)

    def decided_on(self, rows: FloatArray, axis: Axis) -> FloatArray:
        """The same over other bars."""
        return rows_of(self.arrays_on(rows, axis), len(rows))

    def arrays_on(self, rows: FloatArray, axis: Axis) -> Mapping[str, Array]:
        """The arrays that the strategy gave for them, its own reasons included."""
        if len(rows) > len(axis.times):
            raise BadInput("rows", f"at most {len(axis.times)}, as the axis has", len(rows))
        if self._sent is None or self._sent[0] is not rows:
            self._sent = (rows, sent_bars(axis, rows))
        return self.source.decide(self.parameters, self._sent[1], len(rows))

    def begin(self) -> "ArrayDecider":
        """See `PlanProgram.begin`."""
        return ArrayDecider(self)


@dataclass(slots=True, eq=False)
class ArrayDecider:
    """An `ArrayProgram` in the middle of its bars: it remembers the bars, and what was decided on each."""

    program: ArrayProgram
    _rows: FloatArray = field(default_factory=lambda: np.empty((0, BAR_SIZE)))
    _times: IntArray = field(default_factory=lambda: np.empty(0, dtype=np.int64))
    _decided: FloatArray = field(default_factory=lambda: np.empty((0, len(PLAN))))

    def recall(self, rows: FloatArray, times: IntArray) -> None:
        """See `PlanDecider.recall`; what it decides on them now is what later decisions are compared with."""
        self._rows, self._times = np.array(rows), np.array(times)
        if len(rows):
            self._decided, _ = self._all()

    def observe(self, rows: FloatArray, times: IntArray) -> Decision:
        """See `PlanDecider.observe`.

        Raises:
            StrategyFailed: also when a decision on an earlier bar is another one now.
        """
        self._rows, self._times = np.concatenate([self._rows, rows]), np.concatenate([self._times, times])
        (decided, why), before = self._all(), len(self._decided)
        changed = (decided[:before] != self._decided) & ~(np.isnan(decided[:before]) & np.isnan(self._decided))
        if changed.any():
            bar, column = (int(place[0]) for place in np.nonzero(changed))
            raise StrategyFailed(
                f"REPAINTED: with {len(self._rows)} bars the {PLAN[column]} after bar {bar} is {decided[bar, column]:g}, "
                f"with {before} it was {self._decided[bar, column]:g}"
            )
        self._decided = decided
        exposure, stop, take_profit, limit, stays = decided[-1].tolist()
        return Decision(exposure, stop, take_profit, limit, None if why is None else int(why[-1]), int(stays))

    def _all(self) -> tuple[FloatArray, Array | None]:
        axis = self.program.axis
        arrays = self.program.arrays_on(self._rows, Axis(axis.symbol, axis.timeframe, self._times))
        return rows_of(arrays, len(self._rows)), arrays.get("why")


def sent_bars(axis: Axis, rows: FloatArray) -> SentBars:
    """Rows float64 (n, BAR_SIZE) as a strategy gets them."""
    columns = {name: np.ascontiguousarray(rows[:, place]) for place, name in enumerate(host.COLUMNS)}
    return SentBars(axis.symbol, axis.timeframe, {"time": axis.times[: len(rows)], **columns})


def rows_of(arrays: Mapping[str, Array], bars: int) -> FloatArray:
    """The arrays of a plan as the engine takes them: float64 (n, 5), NaN for a price that is none."""
    decided = np.full((bars, len(PLAN)), np.nan)
    decided[:, PLAN.index("stays")] = 0.0
    for column, name in enumerate(PLAN):
        if name in arrays:
            decided[:, column] = arrays[name]
    return decided


def _bars_here(bars: SentBars) -> Bars:
    return host.bars_of({"symbol": bars.symbol, "timeframe": bars.timeframe}, {name: array.view() for name, array in bars.arrays.items()})
