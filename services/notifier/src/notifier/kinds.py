"""What people are told, by kind; and what they can do about it where `autonomy.attention` has no words for it.

Place in the flow: rules, facts and alarms → **kinds** → messages. Pure.
"""

from collections.abc import Mapping
from enum import StrEnum, unique
from typing import Final


@unique
class Kind(StrEnum):
    """The kinds that rules name, the most urgent first: so they stand in a message."""

    HALTED = "halted"
    SILENT = "silent"
    REVERTED = "reverted"
    QUARANTINED = "quarantined"
    DRIFT = "drift"
    SOURCE = "source"
    RECOMMENDED = "recommended"
    APPLIED = "applied"


RANK: Final[Mapping[Kind, int]] = {kind: rank for rank, kind in enumerate(Kind)}
MEANINGS: Final[Mapping[Kind, str]] = {
    Kind.HALTED: "a planner halted and decides nothing",
    Kind.SILENT: "the planner gives no sign of life or seals no tick, or the log cannot be read",
    Kind.REVERTED: "bots were taken back to LAB",
    Kind.QUARANTINED: "a bot crashed its runner too often, or a record could not be read",
    Kind.DRIFT: "a paper session is not as the engine",
    Kind.SOURCE: "a source of bars cannot be used",
    Kind.RECOMMENDED: "a promotion is recommended",
    Kind.APPLIED: "a promotion or a challenger was applied",
}
"""Of each kind, for `autonomy notify check`."""
REVERTED_TODO: Final = "see who did it and why; baselines follow by themselves, and evidence from before is void"
APPLIED_TODO: Final = "nothing; look at its gates if it surprises you"
