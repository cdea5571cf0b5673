"""What became of a bar that a bot traded, or a backtest passed over: one outcome each, so that the counts add up to the bars.

Place in the flow: the engine counts by numbers, marks and results say the words on the log, and API, page, CLI and docs/events.md take
their words from here: the answer to "why has it not traded". Pure.

Source: R-G5, docs/fills.md.
"""

from collections.abc import Mapping, Sequence
from enum import StrEnum, unique
from typing import Final, NamedTuple

from autonomy.gates import complete


@unique
class BarOutcome(StrEnum):
    """What became of a bar, in the order of the numbers that the engine counts by; it only grows at its end.

    Of several in one bar the last fill counts, then a refused order, then whether a position is held, then what the close wants.
    """

    WARMING_UP = "WARMING_UP"
    NO_SIGNAL = "NO_SIGNAL"
    SIGNAL = "SIGNAL"
    HELD = "HELD"
    ENTERED = "ENTERED"
    EXITED = "EXITED"
    STOPPED = "STOPPED"
    TARGET = "TARGET"
    REBALANCED = "REBALANCED"
    BELOW_MINIMUM = "BELOW_MINIMUM"
    BEYOND_STOP = "BEYOND_STOP"
    LIMIT_NOT_REACHED = "LIMIT_NOT_REACHED"
    STOPPED_OUT = "STOPPED_OUT"
    RUINED = "RUINED"


class OutcomeInfo(NamedTuple):
    """An outcome.

    Attributes:
        words: what is said of one bar, in a few words.
        meaning: the rule behind it.
        changes: what lets the bot trade after it; empty where it trades.
    """

    code: BarOutcome
    words: str
    meaning: str
    changes: str = ""


OUTCOMES: Final[Mapping[BarOutcome, OutcomeInfo]] = complete(BarOutcome, {outcome.code: outcome for outcome in (
    OutcomeInfo(
        BarOutcome.WARMING_UP, "warming up", "Flat, and the strategy has not seen enough bars to want anything.",
        "more bars; how many, its parameters say",
    ),
    OutcomeInfo(
        BarOutcome.NO_SIGNAL, "nothing wanted", "Flat, and the strategy wants no position after this close.",
        "another market, other parameters or another strategy",
    ),
    OutcomeInfo(
        BarOutcome.SIGNAL, "a position is wanted", "Flat, and this close wants a position from the next open on.",
        "the next bar, at whose open the order is filled",
    ),
    OutcomeInfo(BarOutcome.HELD, "position held", "A position was held through the bar, untouched."),
    OutcomeInfo(BarOutcome.ENTERED, "entered", "A position was opened, also the other side of a reversal."),
    OutcomeInfo(BarOutcome.EXITED, "left", "The position was closed at the open, since nothing or the other side was wanted."),
    OutcomeInfo(BarOutcome.STOPPED, "stopped", "The position was closed at its stop, or at an open beyond it."),
    OutcomeInfo(BarOutcome.TARGET, "target reached", "The position was closed at its target, or at an open beyond it."),
    OutcomeInfo(BarOutcome.REBALANCED, "size changed", "The position was made larger or smaller."),
    OutcomeInfo(
        BarOutcome.BELOW_MINIMUM, "order too small", "The order was smaller than a lot or the venue's minimum, and was not sent.",
        "more cash, or a larger share of it",
    ),
    OutcomeInfo(
        BarOutcome.BEYOND_STOP, "price beyond its stop",
        "The entry's own stop or target was passed before it could be made, and it was not made.", "a stop further from the price",
    ),
    OutcomeInfo(
        BarOutcome.LIMIT_NOT_REACHED, "limit not reached", "The bar did not trade through the limit.", "a limit nearer to the price",
    ),
    OutcomeInfo(
        BarOutcome.STOPPED_OUT, "closed after a stop",
        "The side is closed after a stop or target, until the strategy's `reentry` opens it.",
        "a close that wants nothing or the other side, or a shorter `reentry`",
    ),
    OutcomeInfo(
        BarOutcome.RUINED, "nothing left", "The equity is used up; nothing is traded any more.",
        "a new session, after a revert or with another version",
    ),
)})  # fmt: skip


def counts_of(numbers: Sequence[int]) -> dict[BarOutcome, int]:
    """Counts in the order of the engine's numbers, by outcome; those that occurred.

    Raises:
        ValueError: more numbers than outcomes: a newer engine's.
    """
    if len(numbers) > len(BarOutcome):
        raise ValueError(f"{len(numbers)} counts of outcomes: at most {len(BarOutcome)} are known")
    return {outcome: count for outcome, count in zip(BarOutcome, numbers, strict=False) if count}
