"""Strategies that decide on all bars at once: as programs of the engine, whole and bar by bar.

Role: whoever decides is asked for the first n bars and gives arrays as long; bar by bar the same question is asked about all bars so far
and the last row taken, so a causal strategy trades the very rows of its backtest. A row that has changed since is a fault: REPAINTED.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from autonomy.errors import BadInput
from autonomy.strategies import Value
from autonomy.strategy import Bars, Strategy
from job_runner.engine.compiled import BAR_SIZE, FloatArray, IntArray, SmallIntArray
from job_runner.engine.programs import Axis
from job_runner.strategies import host
from job_runner.strategies.frames import Array
from job_runner.strategies.guest import Guest, SentBars, StrategyFailed
from job_runner.strategies.guests import open_guest


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

    def decide(self, parameters: Mapping[str, Value], bars: SentBars, until: int) -> dict[str, Array]:
        """See `Source.decide`."""
        if self.guest is not None:
            return self.guest.decide(self.class_name, parameters, bars, until)
        with open_guest(self.folder, self.module) as guest:
            return guest.decide(self.class_name, parameters, bars, until)


@dataclass(slots=True, eq=False)
class ArrayProgram:
    """A strategy that decides on arrays, with its parameters.

    Args:
        strategy: wire name.
        parameters: checked document.
        look_back: bars before its first decision other than flat.
        axis: the bars it is run over.
        source: whoever decides.
    """

    strategy: str
    parameters: Mapping[str, Value]
    look_back: int
    axis: Axis
    source: Source
    _sent: tuple[FloatArray, SentBars] | None = None

    def arrays(self, rows: FloatArray, axis: Axis | None = None) -> dict[str, Array]:
        """The arrays of its plan over rows float64 (n, BAR_SIZE), which begin with the axis.

        Raises:
            StrategyFailed: whatever it did instead.
        """
        over = self.axis if axis is None else axis
        if len(rows) > len(over.times):
            raise BadInput("rows", f"at most {len(over.times)}, as the axis has", len(rows))
        if self._sent is None or self._sent[0] is not rows:
            self._sent = (rows, sent_bars(over, rows))
        return self.source.decide(self.parameters, self._sent[1], len(rows))

    def targets(self, rows: FloatArray) -> SmallIntArray:
        """See `Program.targets`."""
        return targets_of(self.arrays(rows))

    def begin(self) -> "ArrayDecider":
        """See `Program.begin`."""
        return ArrayDecider(self)


@dataclass(slots=True, eq=False)
class ArrayDecider:
    """An `ArrayProgram` in the middle of its bars: it remembers the bars, and what was decided on each."""

    program: ArrayProgram
    _rows: FloatArray = field(default_factory=lambda: np.empty((0, BAR_SIZE)))
    _times: IntArray = field(default_factory=lambda: np.empty(0, dtype=np.int64))
    _decided: SmallIntArray = field(default_factory=lambda: np.empty(0, dtype=np.int8))

    @property
    def state(self) -> tuple[float, ...]:
        """See `Decider.state`: the bars say it all."""
        return ()

    def restore(self, state: tuple[float, ...]) -> None:
        """See `Decider.restore`."""
        if state:
            raise BadInput("snapshot.state", "no numbers, for a strategy that decides on arrays", len(state))

    def recall(self, rows: FloatArray, times: IntArray) -> None:
        """See `Decider.recall`; what it decides on them now is what later decisions are compared with."""
        self._rows, self._times = np.array(rows), np.array(times)
        if len(rows):
            self._decided = self._targets()

    def observe(self, rows: FloatArray, times: IntArray) -> int:
        """See `Decider.observe`.

        Raises:
            StrategyFailed: also when a decision on an earlier bar is another one now.
        """
        self._rows, self._times = np.concatenate([self._rows, rows]), np.concatenate([self._times, times])
        targets = self._targets()
        before = len(self._decided)
        changed = np.flatnonzero(targets[:before] != self._decided)
        if len(changed):
            bar = int(changed[0])
            raise StrategyFailed(
                f"REPAINTED: with {len(self._rows)} bars the decision after bar {bar} is {targets[bar]}, with {before} it was "
                f"{self._decided[bar]}"
            )
        self._decided = targets
        return int(targets[-1])

    def _targets(self) -> SmallIntArray:
        axis = self.program.axis
        return targets_of(self.program.arrays(self._rows, Axis(axis.symbol, axis.timeframe, self._times)))


def sent_bars(axis: Axis, rows: FloatArray) -> SentBars:
    """Rows float64 (n, BAR_SIZE) as a strategy gets them."""
    columns = {name: np.ascontiguousarray(rows[:, place]) for place, name in enumerate(host.COLUMNS)}
    return SentBars(axis.symbol, axis.timeframe, {"time": axis.times[: len(rows)], **columns})


def targets_of(arrays: Mapping[str, Array]) -> SmallIntArray:
    """Exposures as the engine fills them: int8, -1, 0 or 1.

    Raises:
        StrategyFailed: another exposure, or an order that the engine does not know.
    """
    exposure = arrays["exposure"]
    odd = ~np.isin(exposure, (-1.0, 0.0, 1.0))
    if odd.any():
        bar = int(odd.argmax())
        raise StrategyFailed(f"exposure of bar {bar} is {exposure[bar]:g}: -1, 0 or 1")
    return exposure.astype(np.int8)


def _bars_here(bars: SentBars) -> Bars:
    return host.bars_of({"symbol": bars.symbol, "timeframe": bars.timeframe}, {name: array.view() for name, array in bars.arrays.items()})
