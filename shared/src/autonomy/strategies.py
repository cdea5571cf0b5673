"""Parameters against what a strategy announces: checked, completed, in one text, and in few words.

Role: the planner's gates, the desk, the job-runner and the page all read a parameter document with these functions, against the offer
that was announced (`StrategyOffered`). Pure; no strategy is named here, and no parameter from outside reaches an engine unchecked.
"""

import json
import math
from collections.abc import Mapping
from contextlib import suppress
from typing import Final, assert_never

from autonomy.errors import BadInput
from autonomy.events.offers import MAX_PARAMETERS, NumberOffered, StrategyOffered

Value = int | float | str
MAX_WORD: Final = 60
MOST: Final = 1e15
"""No number of a strategy is larger; what is not yet checked by an offer has at least this bound."""


def check_parameters(offer: StrategyOffered, parameters: Mapping[str, object]) -> dict[str, Value]:
    """Turn a parameter document from outside into a complete, typed one.

    Numbers of kind float become float, so that 2 and 2.0 are the same document and the same fingerprint.

    Args:
        offer: what the strategy announces.
        parameters: the document; keys left out take their default.

    Returns:
        Every parameter of the strategy, in the order in which they are announced.

    Raises:
        BadInput: names the field (`parameters.fast`) and the limit.
    """
    for key in parameters:
        if key not in offer.field_names:
            known = ", ".join(offer.field_names) or "no parameters"
            raise BadInput(f"parameters.{str(key)[:40]}", f"{offer.name} knows {known}")
    checked: dict[str, Value] = {}
    for parameter in offer.numbers:
        checked[parameter.name] = _checked_number(parameter, parameters.get(parameter.name, parameter.default))
    for choice in offer.choices:
        word = parameters.get(choice.name, choice.default)
        if not isinstance(word, str) or word not in choice.allowed:
            raise BadInput(f"parameters.{choice.name}", f"one of {', '.join(choice.allowed)}", word)
        checked[choice.name] = word
    for rule in offer.orderings:
        if not number(checked, rule.lesser) < number(checked, rule.greater):
            raise BadInput(
                f"parameters.{rule.lesser}",
                f"below parameters.{rule.greater} ({checked[rule.greater]})",
                checked[rule.lesser],
            )
    return checked


def completed(offer: StrategyOffered | None, held: Mapping[str, Value]) -> dict[str, Value]:
    """What a bot holds, with what it leaves out: one that came before its strategy was announced holds only what was written then.

    As it stands where nobody offers the strategy, or the offer refuses it.
    """
    with suppress(BadInput):
        return dict(held) if offer is None else check_parameters(offer, held)
    return dict(held)


def plain_parameters(parameters: Mapping[str, object]) -> dict[str, Value]:
    """A parameter document of a strategy that nobody has announced yet: numbers and words within bounds, nothing more can be told.

    Raises:
        BadInput: names the field and the limit.
    """
    if len(parameters) > MAX_PARAMETERS:
        raise BadInput("parameters", f"at most {MAX_PARAMETERS}", len(parameters))
    plain: dict[str, Value] = {}
    for name, value in parameters.items():
        field = f"parameters.{name[:40]}"
        if isinstance(value, str):
            if not 1 <= len(value) <= MAX_WORD:
                raise BadInput(field, f"a word of 1 to {MAX_WORD} letters, or a number", value)
            plain[name] = value
        elif isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= MOST:
            raise BadInput(field, f"a number from {-MOST:g} to {MOST:g}, or a word", _shown(value))
        else:
            plain[name] = value
    return plain


def warm_up(offer: StrategyOffered, checked: Mapping[str, Value]) -> int:
    """Bars the strategy must have seen before its first decision other than flat.

    Args:
        offer: what the strategy announces.
        checked: as returned by `check_parameters`.
    """
    return offer.warm_up_bars + sum(math.ceil(number(checked, name)) for name in offer.warm_up)


def describe(strategy: str, parameters: Mapping[str, object]) -> str:
    """Strategy and parameters in a few words, such as "sma-cross 20/50, long"; needs no offer, so it can be said at any time."""
    numbers = [_brief(value) for value in parameters.values() if isinstance(value, int | float) and not isinstance(value, bool)]
    words = [value for value in parameters.values() if isinstance(value, str)]
    return ", ".join([f"{strategy} {'/'.join(numbers)}".strip(), *words])


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


def _checked_number(parameter: NumberOffered, value: object) -> int | float:
    field = f"parameters.{parameter.name}"
    kind_words = "a whole number" if parameter.kind == "int" else "a number"
    limit = f"{kind_words} from {parameter.low:g} to {parameter.high:g} {parameter.unit}".strip()
    # bool is an int in Python, but "fast: true" is a mistake, not 1.
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise BadInput(field, limit, value)
    # Compared before any conversion: a 400-digit int has no float, and its text is not worth writing.
    if not parameter.low <= value <= parameter.high:
        raise BadInput(field, limit, _shown(value))
    match parameter.kind:
        case "int":
            if value != int(value):
                raise BadInput(field, limit, value)
            return int(value)
        case "float":
            return float(value) + 0.0
        case _:
            assert_never(parameter.kind)


def _brief(value: float) -> str:
    return f"{value:g}" if abs(value) <= MOST else "…"


def _shown(value: object) -> object:
    return "a huge number" if isinstance(value, int) and abs(value) > 10**30 else value
