"""What a strategy is written with: one class, its parameters, bars in, a plan out.

Place in the flow: a user's file → **strategy** → runner, which announces it and runs it in a process of its own. Needs numpy and nothing
else of the platform. See docs/own-bots.md.

```python
from autonomy.strategy import Bars, Int, Plan, Strategy

class Cross(Strategy):
    \"\"\"Long while the close is above its mean.\"\"\"
    name, version = "cross", 1
    length = Int(20, 2, 200, "bars", "length of the mean")

    def decide(self, bars: Bars) -> Plan:
        mean = rolling_mean(bars.close, self.length)
        return Plan(exposure=(bars.close > mean).astype(float))
```
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

from autonomy.timeframes import MONDAY_MS, MS

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Int:
    """A whole number of a strategy; read from an instance it is an `int`.

    Args:
        default: taken where a bot's document leaves it out.
        low, high: smallest and largest allowed value.
        unit: what it counts; "bars" for the length of a window.
        meaning: what it does, in words.
    """

    default: int
    low: int
    high: int
    unit: str = ""
    meaning: str = ""

    @overload
    def __get__(self, instance: None, owner: type) -> Self: ...
    @overload
    def __get__(self, instance: object, owner: type) -> int: ...
    def __get__(self, instance: object, owner: type) -> Any:
        """Read from the class it is the declaration; an instance holds the value under the same name, which is read first."""
        return self


@dataclass(frozen=True, slots=True)
class Float:
    """A number of a strategy; read from an instance it is a `float`. Arguments as in `Int`."""

    default: float
    low: float
    high: float
    unit: str = ""
    meaning: str = ""

    @overload
    def __get__(self, instance: None, owner: type) -> Self: ...
    @overload
    def __get__(self, instance: object, owner: type) -> float: ...
    def __get__(self, instance: object, owner: type) -> Any:
        """See `Int.__get__`."""
        return self


@dataclass(frozen=True, slots=True)
class Choice:
    """A word of a strategy, out of a closed list; read from an instance it is a `str`.

    Args:
        default: taken where a bot's document leaves it out.
        allowed: all words.
        meaning: what it does, in words.
    """

    default: str
    allowed: tuple[str, ...]
    meaning: str = ""

    @overload
    def __get__(self, instance: None, owner: type) -> Self: ...
    @overload
    def __get__(self, instance: object, owner: type) -> str: ...
    def __get__(self, instance: object, owner: type) -> Any:
        """See `Int.__get__`."""
        return self


Parameter = Int | Float | Choice


@dataclass(frozen=True, slots=True, eq=False)
class Bars:
    """Bars that have ended, oldest first.

    Args:
        symbol: such as "AAPL".
        timeframe: such as "1d".
        time: int64 (n), start of each bar, milliseconds since 1970-01-01 UTC, rising.
        open, high, low, close: float64 (n), prices.
        volume: float64 (n).
    """

    symbol: str
    timeframe: str
    time: IntArray
    open: FloatArray
    high: FloatArray
    low: FloatArray
    close: FloatArray
    volume: FloatArray

    def __len__(self) -> int:
        """How many."""
        return len(self.time)

    def __getitem__(self, symbol: str) -> "Bars":
        """The bars of another symbol of the bot.

        Raises:
            KeyError: this bot has no such symbol.
        """
        if symbol == self.symbol:
            return self
        raise KeyError(f"{symbol}: this bot reads {self.symbol} only")

    def at(self, timeframe: str) -> "Higher":
        """The same market in a higher timeframe, made from these bars; each of its rows is known only when its time has ended.

        Weeks begin on Monday, all others at multiples of the timeframe since 1970-01-01 UTC.

        Raises:
            ValueError: no such timeframe, or one that is not longer than this one.
        """
        if timeframe not in MS or MS[timeframe] <= MS[self.timeframe]:
            raise ValueError(f"{timeframe}: must be one of {', '.join(MS)}, and longer than {self.timeframe}")
        length, begin = MS[timeframe], MONDAY_MS if timeframe == "1w" else 0
        group = (self.time - begin) // length
        first = np.flatnonzero(np.diff(group, prepend=group[:1] - 1))
        last = np.append(first[1:], len(self)) - 1 if len(first) else first
        start = group[first] * length + begin
        whole = Bars(
            self.symbol, timeframe, start, self.open[first], _at_most(np.maximum, self.high, first), _at_most(np.minimum, self.low, first),
            self.close[last], _at_most(np.add, self.volume, first),
        )  # fmt: skip
        ends = self.time + MS[self.timeframe]
        return Higher(whole, np.searchsorted(start + length, ends, side="right") - 1)


def _at_most(combine: Any, values: FloatArray, first: NDArray[np.intp]) -> FloatArray:  # noqa: ANN401 (a ufunc, whose stubs know no reduceat)
    found: FloatArray = combine.reduceat(values, first) if len(first) else values[:0]
    return found


@dataclass(frozen=True, slots=True, eq=False)
class Higher:
    """Bars of a higher timeframe, and which of them was the last known at each bar of the lower one.

    Args:
        bars: of the higher timeframe; the last one may still be running at the end, and is never known then.
        known: int64 (n of the lower), number of the last one that had ended at the close of each lower bar; -1 before the first.
    """

    bars: Bars
    known: NDArray[np.intp]

    def align(self, values: ArrayLike) -> FloatArray:
        """Values of the higher bars at each lower bar: the last known one, NaN before the first.

        Args:
            values: float64 (m), one for each of `bars`; row j may use higher bars 0..j only.
        """
        padded = np.concatenate([[np.nan], np.asarray(values, dtype=np.float64)])
        return padded[self.known + 1]


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """What a strategy wants after each bar, in force from the next bar on; arrays as long as the bars.

    Args:
        exposure: share of the equity to hold, negative for a short position; finite.
        stop: price at which the position is left; NaN for none.
        take_profit: price at which the profit is taken; NaN for none.
        limit: price of an entry for the next bar only; NaN to enter at its open.
        why: a small whole number from 0 that the class's `reasons` puts into words.
        stays: which side stays as it is while it is held, whatever `exposure` says: 0 none, 1 long, 2 short, 3 both. Entries are events
            then: after a stop or target nothing is entered until a row wants it again.
    """

    exposure: ArrayLike
    stop: ArrayLike | None = None
    take_profit: ArrayLike | None = None
    limit: ArrayLike | None = None
    why: ArrayLike | None = None
    stays: ArrayLike | None = None


class Strategy:
    """What every strategy is a subclass of: it declares its parameters and decides on bars.

    Attributes:
        name: of letters, digits and hyphens; bots name it.
        version: raised when its decisions change on purpose.
        title: for people; by default made from the name. The docstring's first line says what it trades on.
        orderings: pairs of numbers, the first of which must be below the second.
        warm_up: names of numbers and whole numbers whose sum is how many bars are needed before the first decision other than flat; by
            default the sum of all numbers that count bars.
        reasons: what each `why` means.
        stop_loss: fraction of the entry price at which the engine stops a position, since `decide` does not know its fills.
        take_profit_after: minutes since the entry → gain (fraction) at which the profit is taken; the most minutes passed count.
        trailing, trailing_offset: fraction below the highest high since the entry; it begins once the gain was at least the offset.
        reentry: when the same side may be entered after a stop or target: "after_flat", "at_once", or after so many bars.
        rebalance: also trade when the exposure has drifted by more than this from the wanted one; None: only when what is wanted changes.
        step: decides bar by bar instead of `decide`, for speed: `step(state, bar, parameters) -> exposure` in what Numba compiles;
            `state` float64, zeros at first; `bar` with open, high, low, close, volume; `parameters` float64, the numbers in order, then
            the place of each chosen word.
        steps: `step` over all bars at once, `steps(bars, state, parameters, exposures)`, where one pass can be faster; compiled already,
            and of an installed package only.
        state_size: how many floats of state a step needs, as a function of the parameters.
    """

    name: ClassVar[str] = ""
    version: ClassVar[int] = 1
    title: ClassVar[str] = ""
    orderings: ClassVar[Sequence[tuple[str, str]]] = ()
    warm_up: ClassVar[Sequence[str | int] | None] = None
    reasons: ClassVar[Mapping[int, str]] = {}
    stop_loss: ClassVar[float | None] = None
    take_profit_after: ClassVar[Mapping[float, float]] = {}
    trailing: ClassVar[float | None] = None
    trailing_offset: ClassVar[float] = 0.0
    reentry: ClassVar[str | int] = "after_flat"
    rebalance: ClassVar[float | None] = None
    step: ClassVar[Callable[..., Any] | None] = None
    steps: ClassVar[Callable[..., None] | None] = None
    state_size: ClassVar[Callable[..., int] | None] = None

    def __init__(self, **parameters: float | str) -> None:
        """With values for some of its parameters, defaults for the others.

        Raises:
            TypeError: no such parameter.
        """
        declared = parameters_of(type(self))
        for name in parameters:
            if name not in declared:
                raise TypeError(f"{type(self).__name__} has no parameter {name}")
        for name, parameter in declared.items():
            # The declaration has no `__set__`: what stands in the instance is read before it.
            self.__dict__[name] = parameters.get(name, parameter.default)

    def decide(self, bars: Bars) -> Plan:
        """What is wanted after each bar; row i may use bars 0..i only."""
        raise NotImplementedError(f"{type(self).__name__} has neither decide nor step")


def parameters_of(strategy: type[Strategy]) -> dict[str, Parameter]:
    """The declared parameters of a class by name, its bases' first, in the order of their declaration."""
    found: dict[str, Parameter] = {}
    for base in reversed(strategy.__mro__):
        found.update({name: value for name, value in vars(base).items() if isinstance(value, Int | Float | Choice)})
    return found


def declaration_of(strategy: type[Strategy]) -> dict[str, Any]:
    """What a class says of itself, as the plain document that an offer is made of."""
    declared = parameters_of(strategy)
    numbers = {name: value for name, value in declared.items() if not isinstance(value, Choice)}
    needed = strategy.warm_up
    if needed is None:
        needed = [name for name, value in numbers.items() if value.unit == "bars"]
    idea = next(iter((strategy.__doc__ or "").strip().splitlines()), "") if strategy.__doc__ != Strategy.__doc__ else ""
    return {
        "name": strategy.name,
        "version": strategy.version,
        "title": strategy.title or strategy.name.replace("-", " ").capitalize(),
        "idea": idea,
        "numbers": [
            {
                "name": name, "kind": "int" if isinstance(value, Int) else "float", "low": value.low, "high": value.high,
                "default": value.default, "unit": value.unit, "meaning": value.meaning,
            }
            for name, value in numbers.items()
        ],
        "choices": [
            {"name": name, "allowed": list(value.allowed), "default": value.default, "meaning": value.meaning}
            for name, value in declared.items() if isinstance(value, Choice)
        ],
        "orderings": [{"lesser": lesser, "greater": greater} for lesser, greater in strategy.orderings],
        "warmUp": [part for part in needed if isinstance(part, str)],
        "warmUpBars": sum(part for part in needed if not isinstance(part, str)),
        "reasons": [{"code": code, "words": words} for code, words in strategy.reasons.items()],
        "form": "decide" if strategy.step is None else "step",
        "exits": _exits_of(strategy),
    }  # fmt: skip


def _exits_of(strategy: type[Strategy]) -> dict[str, Any] | None:
    """What hangs on fills, where a class says anything of it."""
    said = {
        "stopLoss": strategy.stop_loss,
        "trailing": strategy.trailing,
        "trailingOffset": strategy.trailing_offset,
        "reentry": strategy.reentry,
        "rebalance": strategy.rebalance,
        "takeProfitAfter": [{"minutes": minutes, "gain": gain} for minutes, gain in strategy.take_profit_after.items()],
    }
    return None if said == _exits_of_nothing() else said


def _exits_of_nothing() -> dict[str, Any]:
    return {
        "stopLoss": None, "trailing": None, "trailingOffset": 0.0, "reentry": "after_flat", "rebalance": None, "takeProfitAfter": [],
    }  # fmt: skip
