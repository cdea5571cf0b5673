"""Strategies as a runner announces them: what may be asked for, in which limits, and what it needs to run.

Place in the flow: code in a runner → **offer** → log → planner, API and page. Nothing in the platform names a strategy; whoever needs to
know one reads it here, so a decision stays re-derivable when strategies come and go.
"""

from typing import Annotated, Final, Literal, Self

from pydantic import Field, model_validator

from autonomy.events.document import Count, Digest, Document, Text, later

MAX_STRATEGIES: Final = 200
"""One announcement holds so many; the limit keeps it within one record."""
MAX_PARAMETERS: Final = 32
MAX_STRATEGY_FAULTS: Final = 50
"""Files that one announcement names; the last one says how many more there are."""
NAME_PATTERN: Final = r"^[a-z0-9][a-z0-9-]{0,59}$"
PARAMETER_PATTERN: Final = r"^[a-z][a-z0-9_]{0,39}$"
StrategyName = Annotated[str, Field(pattern=NAME_PATTERN)]
ParameterName = Annotated[str, Field(pattern=PARAMETER_PATTERN)]
Word = Annotated[str, Field(min_length=1, max_length=60)]


class NumberOffered(Document):
    """One number of a strategy.

    Attributes:
        kind: a whole number or any.
        low, high: smallest and largest allowed value, in `unit`.
        default: taken where a document leaves it out.
        unit: what it counts; in "bars" it is the length of a window, and searches draw it by ratio.
        meaning: what it does, in words.
    """

    name: ParameterName
    kind: Literal["int", "float"]
    low: float
    high: float
    default: float
    unit: Text
    meaning: Text

    @model_validator(mode="after")
    def in_order(self) -> Self:
        """The default lies in the range, and whole numbers are whole."""
        if not self.low <= self.default <= self.high:
            raise ValueError(f"{self.name}: the default {self.default:g} must be from {self.low:g} to {self.high:g}")
        if self.kind == "int" and any(value != int(value) for value in (self.low, self.high, self.default)):
            raise ValueError(f"{self.name}: limits and default of a whole number must be whole")
        return self


class ChoiceOffered(Document):
    """One word of a strategy, out of a closed list."""

    name: ParameterName
    allowed: Annotated[tuple[Word, ...], Field(min_length=1, max_length=20)]
    default: Word
    meaning: Text

    @model_validator(mode="after")
    def is_allowed(self) -> Self:
        """The default is one of the words, and none stands twice."""
        if self.default not in self.allowed or len(set(self.allowed)) != len(self.allowed):
            raise ValueError(f"{self.name}: the default must be one of the allowed words, each of which stands once")
        return self


class OrderingOffered(Document):
    """A rule across parameters: `lesser` must be strictly below `greater`."""

    lesser: ParameterName
    greater: ParameterName


class ReasonOffered(Document):
    """What a small number in a strategy's `why` means."""

    code: Annotated[int, Field(ge=0, le=126)]
    words: Text


class GainAfter(Document):
    """From so many minutes after its entry a position is closed at this gain (fraction of the mean entry price)."""

    minutes: Annotated[float, Field(ge=0)]
    gain: float


class ExitsOffered(Document):
    """What hangs on a strategy's fills, which its decisions cannot know; kept by the engine.

    Attributes:
        stop_loss: fraction of the mean entry price at which a position is stopped.
        take_profit_after: the row with the most minutes passed counts.
        trailing, trailing_offset: a stop this far (fraction) below the highest high since the entry, once the gain was at least the offset.
        reentry: when a side may be entered again after a stop or target: `after_flat`, `at_once`, or after so many bars.
        rebalance: also trade when the exposure is further than this from the wanted one.
    """

    stop_loss: float | None = None
    take_profit_after: Annotated[tuple[GainAfter, ...], Field(max_length=32)] = ()
    trailing: float | None = None
    trailing_offset: float = 0.0
    reentry: Literal["after_flat", "at_once"] | Annotated[int, Field(ge=1, le=1_000_000)] = "after_flat"
    rebalance: float | None = None


class StrategyOffered(Document):
    """A strategy that a runner can run.

    Attributes:
        name, version: as in its class; the version is raised when its decisions change on purpose.
        code_hash: over all code on the path of its decisions and fills, and the versions of the libraries; evidence belongs to this alone.
        title, idea: in words, for people.
        numbers, choices: its parameters, in the order in which they are shown.
        orderings: rules across numbers.
        warm_up: numbers whose sum, with `warm_up_bars`, is how many bars must have been seen before the first decision other than flat.
        reasons: what its `why` means.
        form: `step` decides bar by bar, compiled; `decide` all bars at once, on arrays.
        origin: where it comes from: an installed package with its version, or a file in the folder of strategies.
        exits: what hangs on its fills; None for nothing.
        jailed: whether its code runs in a process of its own, without files, network and other processes.
    """

    name: StrategyName
    version: Count
    code_hash: Digest
    title: Text
    idea: Text
    numbers: Annotated[tuple[NumberOffered, ...], Field(max_length=MAX_PARAMETERS)] = ()
    choices: Annotated[tuple[ChoiceOffered, ...], Field(max_length=MAX_PARAMETERS)] = ()
    orderings: Annotated[tuple[OrderingOffered, ...], Field(max_length=MAX_PARAMETERS)] = ()
    warm_up: Annotated[tuple[ParameterName, ...], Field(max_length=MAX_PARAMETERS)] = ()
    warm_up_bars: Count = 0
    reasons: Annotated[tuple[ReasonOffered, ...], Field(max_length=127)] = ()
    form: Literal["step", "decide"]
    origin: Text
    jailed: bool
    exits: ExitsOffered | None = later(None)

    @model_validator(mode="after")
    def is_consistent(self) -> Self:
        """Every name stands once, and rules are about numbers that there are."""
        names = list(self.field_names)
        if len(set(names)) != len(names):
            raise ValueError(f"each parameter must have a name of its own: {', '.join(names)}")
        numbers = {parameter.name for parameter in self.numbers}
        for name in (*(end for rule in self.orderings for end in (rule.lesser, rule.greater)), *self.warm_up):
            if name not in numbers:
                raise ValueError(f"orderings and warm-up are about numbers of the strategy, {name} is none")
        return self

    @property
    def field_names(self) -> tuple[str, ...]:
        """Every key that a parameter document may hold, in the order in which they are shown."""
        return (*(number.name for number in self.numbers), *(choice.name for choice in self.choices))


class StrategyFault(Document):
    """A file that should hold a strategy and cannot be used as it is now.

    Attributes:
        file: its name in the folder of strategies, or an entry point.
        line: where the fault is; None where it has no line.
        in_use: whether the last good version of it stays in use.
    """

    file: Text
    line: Count | None
    reason: Text
    in_use: bool = False
