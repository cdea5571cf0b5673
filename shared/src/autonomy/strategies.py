"""The catalogue of strategies: what may be asked for, in which limits, and what it needs to run.

Role: the only list of strategy templates. The planner's gates read it, the job-runner codes it, the page describes
it. Place in the flow: command → **catalogue check** → fingerprint → job. It holds no trading code and no numerical
library, and no parameter from outside reaches the engine without `check_parameters`.
"""

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal, assert_never

from autonomy.errors import BadInput

Value = int | float | str
Kind = Literal["int", "float"]

LONG = "long"
LONG_SHORT = "long-short"


@dataclass(frozen=True, slots=True)
class Parameter:
    """One number of a template.

    Args:
        name: as written in parameter documents.
        kind: `int` or `float`.
        low: smallest allowed value, in `unit`.
        high: largest allowed value, in `unit`.
        default: taken when the document leaves it out, in `unit`.
        unit: what it counts.
        meaning: what it does, in words.
    """

    name: str
    kind: Kind
    low: float
    high: float
    default: float
    unit: str
    meaning: str


@dataclass(frozen=True, slots=True)
class Choice:
    """One word of a template, out of a closed list."""

    name: str
    allowed: tuple[str, ...]
    default: str
    meaning: str


@dataclass(frozen=True, slots=True)
class Ordering:
    """A rule across parameters: `lesser` must be strictly below `greater`."""

    lesser: str
    greater: str


@dataclass(frozen=True, slots=True)
class Template:
    """One strategy that may be asked for.

    Args:
        name: wire name, never changed or reused.
        version: raised when the template's decisions change on purpose.
        title: in words, for people.
        idea: one sentence on what it trades on.
        parameters: its numbers, in display order.
        choices: its words (direction).
        orderings: rules across parameters.
        bars_needed: warm-up in bars as a function of checked parameters.
        label: short text such as "20/50" as a function of checked parameters.
    """

    name: str
    version: int
    title: str
    idea: str
    parameters: tuple[Parameter, ...]
    choices: tuple[Choice, ...]
    orderings: tuple[Ordering, ...]
    bars_needed: Callable[[Mapping[str, Value]], int]
    label: Callable[[Mapping[str, Value]], str]

    def look_back(self, parameters: Mapping[str, Value]) -> int:
        """Bars the template must have seen before its first decision other than flat.

        Args:
            parameters: as returned by `check_parameters`.
        """
        return self.bars_needed(parameters)

    @property
    def field_names(self) -> tuple[str, ...]:
        """Every key a parameter document of this template may hold."""
        return (*(p.name for p in self.parameters), *(c.name for c in self.choices))


def template(strategy: str) -> Template:
    """The template of this name.

    Raises:
        BadInput: no such strategy.
    """
    for candidate in catalogue():
        if candidate.name == strategy:
            return candidate
    # The planner's answer stands in the log: it must not depend on which other strategies there are.
    raise BadInput("strategy", "must be a strategy of the catalogue", strategy)


def strategy_names() -> tuple[str, ...]:
    """Wire names of all templates, in catalogue order."""
    return tuple(t.name for t in catalogue())


def check_parameters(strategy: str, parameters: Mapping[str, object]) -> dict[str, Value]:
    """Turn a parameter document from outside into a complete, typed one.

    Numbers of kind float become float, so that 2 and 2.0 are the same document and the same fingerprint.

    Args:
        strategy: wire name of the template.
        parameters: the document; keys left out take their default.

    Returns:
        Every parameter of the template, in catalogue order.

    Raises:
        BadInput: names the field (`parameters.fast`) and the limit.
    """
    chosen = template(strategy)
    for key in parameters:
        if key not in chosen.field_names:
            raise BadInput(f"parameters.{str(key)[:40]}", f"{chosen.name} knows {', '.join(chosen.field_names)}")
    checked: dict[str, Value] = {}
    for parameter in chosen.parameters:
        checked[parameter.name] = _checked_number(parameter, parameters.get(parameter.name, parameter.default))
    for choice in chosen.choices:
        word = parameters.get(choice.name, choice.default)
        if not isinstance(word, str) or word not in choice.allowed:
            raise BadInput(f"parameters.{choice.name}", f"one of {', '.join(choice.allowed)}", word)
        checked[choice.name] = word
    for rule in chosen.orderings:
        if not number(checked, rule.lesser) < number(checked, rule.greater):
            raise BadInput(
                f"parameters.{rule.lesser}",
                f"below parameters.{rule.greater} ({checked[rule.greater]})",
                checked[rule.lesser],
            )
    return checked


def look_back(strategy: str, parameters: Mapping[str, object]) -> int:
    """Bars the strategy needs before its first decision, after checking the parameters."""
    return template(strategy).look_back(check_parameters(strategy, parameters))


def describe(strategy: str, parameters: Mapping[str, object]) -> str:
    """Strategy and parameters in a few words, such as "SMA 20/50" or "RSI 14, long-short"."""
    chosen = template(strategy)
    checked = check_parameters(strategy, parameters)
    words = chosen.label(checked)
    return f"{words}, {LONG_SHORT}" if checked.get("direction") == LONG_SHORT else words


def canonical(parameters: Mapping[str, Value]) -> str:
    """The one text of a checked parameter document: sorted keys, compact JSON, whole numbers without a point.

    Raises:
        BadInput: a value is not finite (there is no JSON for it).
    """
    for name, value in parameters.items():
        if isinstance(value, float) and not math.isfinite(value):
            raise BadInput(f"parameters.{name}", "a finite number", value)
    return json.dumps(dict(parameters), sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)


def number(parameters: Mapping[str, Value], name: str) -> float:
    """A checked numeric parameter.

    Raises:
        BadInput: it is missing or a word.
    """
    value = parameters.get(name)
    if isinstance(value, str) or value is None:
        raise BadInput(f"parameters.{name}", "a number", value)
    return value


def _checked_number(parameter: Parameter, value: object) -> int | float:
    field = f"parameters.{parameter.name}"
    kind_words = "a whole number" if parameter.kind == "int" else "a number"
    limit = f"{kind_words} from {parameter.low:g} to {parameter.high:g} {parameter.unit}"
    # bool is an int in Python, but "fast: true" is a mistake, not 1.
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise BadInput(field, limit, value)
    # Compared before any conversion: a 400-digit int has no float, and its text is not worth writing.
    if not parameter.low <= value <= parameter.high:
        raise BadInput(field, limit, "a huge number" if isinstance(value, int) and abs(value) > 10**30 else value)
    match parameter.kind:
        case "int":
            if value != int(value):
                raise BadInput(field, limit, value)
            return int(value)
        case "float":
            return float(value) + 0.0
        case _:
            assert_never(parameter.kind)


def _whole(parameters: Mapping[str, Value], name: str) -> int:
    return int(number(parameters, name))


def _direction(meaning: str) -> Choice:
    return Choice("direction", (LONG, LONG_SHORT), LONG, meaning)


def catalogue() -> tuple[Template, ...]:
    """All templates. The order is for display; nothing depends on it."""
    return (_SMA_CROSS, _MACD, _RSI_REVERSION, _BOLLINGER_REVERSION, _DONCHIAN_BREAKOUT, _TS_MOMENTUM)


_SMA_CROSS = Template(
    name="sma-cross",
    version=1,
    title="SMA cross",
    idea="Long while the fast mean of closes is above the slow one.",
    parameters=(
        Parameter("fast", "int", 2, 200, 20, "bars", "length of the fast mean"),
        Parameter("slow", "int", 3, 400, 50, "bars", "length of the slow mean"),
    ),
    choices=(_direction("flat or short while the fast mean is below"),),
    orderings=(Ordering("fast", "slow"),),
    bars_needed=lambda p: _whole(p, "slow"),
    label=lambda p: f"SMA {p['fast']}/{p['slow']}",
)

_MACD = Template(
    name="macd",
    version=1,
    title="MACD",
    idea="Long while the difference of two exponential means is above its own mean.",
    parameters=(
        Parameter("fast", "int", 2, 100, 12, "bars", "span of the fast exponential mean"),
        Parameter("slow", "int", 3, 200, 26, "bars", "span of the slow exponential mean"),
        Parameter("signal", "int", 2, 100, 9, "bars", "span of the signal line"),
    ),
    choices=(_direction("flat or short while it is below"),),
    orderings=(Ordering("fast", "slow"),),
    bars_needed=lambda p: _whole(p, "slow") + _whole(p, "signal"),
    label=lambda p: f"MACD {p['fast']}/{p['slow']}/{p['signal']}",
)

_RSI_REVERSION = Template(
    name="rsi-reversion",
    version=1,
    title="RSI reversion",
    idea="Buys when the relative strength index is low, sells when it is high.",
    parameters=(
        Parameter("period", "int", 2, 100, 14, "bars", "length of Wilder's smoothing"),
        Parameter("lower", "float", 1, 49, 30, "index points", "buy below"),
        Parameter("upper", "float", 51, 99, 70, "index points", "sell above"),
    ),
    choices=(_direction("flat or short after a sell"),),
    orderings=(Ordering("lower", "upper"),),
    bars_needed=lambda p: _whole(p, "period") + 1,
    label=lambda p: f"RSI {p['period']}",
)

_BOLLINGER_REVERSION = Template(
    name="bollinger-reversion",
    version=1,
    title="Bollinger reversion",
    idea="Buys below the lower band, leaves at the mean.",
    parameters=(
        Parameter("period", "int", 3, 200, 20, "bars", "length of mean and deviation"),
        Parameter("width", "float", 0.5, 5, 2, "standard deviations", "distance of the bands from the mean"),
    ),
    choices=(_direction("whether it also sells above the upper band"),),
    orderings=(),
    bars_needed=lambda p: _whole(p, "period"),
    label=lambda p: f"Bollinger {p['period']}/{p['width']:g}",
)

_DONCHIAN_BREAKOUT = Template(
    name="donchian-breakout",
    version=1,
    title="Donchian breakout",
    idea="Buys a close above the highest high of the bars before, leaves below the lowest low of fewer bars.",
    parameters=(
        Parameter("entry", "int", 3, 250, 20, "bars", "length of the entry channel"),
        Parameter("exit", "int", 2, 249, 10, "bars", "length of the exit channel"),
    ),
    choices=(_direction("whether it also sells a close below the entry channel"),),
    orderings=(Ordering("exit", "entry"),),
    bars_needed=lambda p: _whole(p, "entry") + 1,
    label=lambda p: f"Donchian {p['entry']}/{p['exit']}",
)

_TS_MOMENTUM = Template(
    name="ts-momentum",
    version=1,
    title="Time-series momentum",
    idea="Long while the close is above the close of some bars ago.",
    parameters=(
        Parameter("window", "int", 2, 400, 120, "bars", "how far back the comparison reaches"),
        Parameter("threshold", "float", 0, 50, 0, "percent", "smallest move that counts"),
    ),
    choices=(_direction("flat or short while it is below"),),
    orderings=(),
    bars_needed=lambda p: _whole(p, "window") + 1,
    label=lambda p: f"Momentum {p['window']}",
)
