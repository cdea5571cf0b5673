"""What a search may try: the strategy's ranges, cut to what the folds can judge.

Role: pure; between the offer of a strategy and the optimiser. Whatever numbers the optimiser draws become a parameter
document that the strategy accepts: out-of-order numbers are exchanged, never dropped, so that every draw is a trial.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from autonomy.errors import Broken
from autonomy.events import NumberOffered, OrderingOffered
from autonomy.strategies import Value, number
from job_runner.strategies.coded import CodedStrategy

# A range of floats is searched in steps of about this share of it: a fourth digit is no knowledge.
_DIGITS = 2
_BARS = "bars"


@dataclass(frozen=True, slots=True)
class Dimension:
    """One number of the search.

    Args:
        name: of the parameter.
        whole: whole numbers only.
        low: smallest.
        high: largest.
        own: the champion's.
        logarithmic: drawn evenly by ratio: 5 bars differ from 10 as 50 from 100.
        decimals: kept of a drawn float.
    """

    name: str
    whole: bool
    low: float
    high: float
    own: float
    logarithmic: bool
    decimals: int


@dataclass(frozen=True, slots=True)
class SearchSpace:
    """All parameter sets of one search.

    Args:
        strategy: whose parameters they are.
        dimensions: its numbers, in its own order.
        words: its words (direction), which are the champion's: what a bot may do is the operator's to say.
        longest_look_back: bars; of no document of this space is it longer.
    """

    strategy: CodedStrategy
    dimensions: tuple[Dimension, ...]
    words: tuple[tuple[str, str], ...]
    longest_look_back: int

    def champion(self) -> dict[str, float]:
        """The champion's numbers, as the optimiser would have drawn them."""
        return {dimension.name: dimension.own for dimension in self.dimensions}

    def document(self, drawn: Mapping[str, float]) -> dict[str, Value]:
        """The checked parameter document of a draw; the champion's numbers give the champion's document."""
        numbers = {dimension.name: _legible(dimension, drawn[dimension.name]) for dimension in self.dimensions}
        for rule in self.strategy.offer.orderings:
            _put_in_order(numbers, rule, {dimension.name: dimension for dimension in self.dimensions})
        return self.strategy.check({**numbers, **dict(self.words)})


def space_around(strategy: CodedStrategy, champion: Mapping[str, Value], most_look_back: int) -> SearchSpace:
    """The space of a search.

    Args:
        strategy: whose parameters they are.
        champion: checked document; always inside the space.
        most_look_back: bars; longer windows are left out, but for the champion's own.
    """
    cap = _window_cap(strategy, champion, most_look_back)
    dimensions = tuple(_dimension(parameter, number(champion, parameter.name), cap) for parameter in strategy.offer.numbers)
    words = tuple((choice.name, str(champion[choice.name])) for choice in strategy.offer.choices)
    highest: dict[str, Value] = {dimension.name: dimension.high for dimension in dimensions}
    return SearchSpace(strategy, dimensions, words, strategy.look_back({**champion, **highest}))


def _window_cap(strategy: CodedStrategy, champion: Mapping[str, Value], most_look_back: int) -> int:
    """The longest window, in bars, with which no look-back exceeds the bound, or the champion's own; at least the shortest allowed."""
    windows = [parameter for parameter in strategy.offer.numbers if parameter.unit == _BARS]
    if not windows:
        return 0
    least = int(max(parameter.low for parameter in windows)) + 1
    cap = int(max(parameter.high for parameter in windows))
    most = max(most_look_back, strategy.look_back(champion))
    while cap > least:
        # The champion's own window stays, also above the cap: the others have to make up for it.
        own = {window.name: number(champion, window.name) for window in windows}
        highest: dict[str, Value] = {**champion, **{window.name: max(min(window.high, cap), own[window.name]) for window in windows}}
        if strategy.look_back(highest) <= most:
            break
        cap -= 1
    return cap


def _dimension(parameter: NumberOffered, own: float, cap: int) -> Dimension:
    is_window = parameter.unit == _BARS
    high = max(min(parameter.high, cap), own) if is_window else parameter.high
    decimals = max(_DIGITS - math.floor(math.log10(parameter.high - parameter.low)), 0)
    return Dimension(parameter.name, parameter.kind == "int", parameter.low, high, own, is_window, decimals)


def _legible(dimension: Dimension, drawn: float) -> float:
    if dimension.whole:
        return round(drawn)
    if drawn == dimension.own:
        return drawn
    return min(max(round(drawn, dimension.decimals), dimension.low), dimension.high)


def _put_in_order(numbers: dict[str, float], rule: OrderingOffered, dimensions: Mapping[str, Dimension]) -> None:
    """Exchange two numbers that are the wrong way round; move equal ones apart."""
    lesser, greater = dimensions[rule.lesser], dimensions[rule.greater]
    low, high = sorted((numbers[rule.lesser], numbers[rule.greater]))
    low = min(max(low, lesser.low), lesser.high)
    high = min(max(high, greater.low), greater.high)
    if low >= high:
        step = 1.0 if lesser.whole else 10.0**-lesser.decimals
        if low + step <= greater.high:
            high = low + step
        else:
            low = high - step
    if not low < high:
        raise Broken(f"{rule.lesser} {low:g} and {rule.greater} {high:g} cannot be put in order")
    numbers[rule.lesser], numbers[rule.greater] = low, high
