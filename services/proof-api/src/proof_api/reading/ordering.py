"""In which order the fleet's list comes, and where its next page begins: keys of rows, never an OFFSET.

Place in the flow: route → **ordering** → shelf, export. Missing values come last in both directions, and the bot's id last decides, so that
every row has one place and a page neither loses nor repeats a row that did not change.

Source: R-B1.
"""

import base64
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum, unique
from typing import Final

from autonomy.errors import BadInput
from autonomy.values import BotState, Stage
from proof_api.reading.queries import Where, encode_cursor, key_of

URGENCY: Final = (
    BotState.RUNNER_STALE, BotState.BLOCKED_BY_GATES, BotState.BACKTEST_RUNNING, BotState.EVOLVING, BotState.RUNNER_RUNNING,
    BotState.BACKTEST_QUEUED, BotState.IDLE,
)  # fmt: skip
"""Badges from what may want a look to what rests."""


@unique
class SortBy(StrEnum):
    """What the fleet's list may be sorted by."""

    BOT = "bot"
    STATE = "state"
    SINCE = "since"
    STAGE = "stage"
    STRATEGY = "strategy"
    SYMBOL = "symbol"
    SHARPE = "sharpe"
    DRAWDOWN = "drawdown"
    TRADES = "trades"
    NEXT = "next"


@unique
class GroupBy(StrEnum):
    """What the fleet's list may be grouped by."""

    STRATEGY = "strategy"
    SYMBOL = "symbol"
    STAGE = "stage"


def _place(column: str, words: Sequence[StrEnum]) -> str:
    listed = " ".join(f"WHEN '{word.value}' THEN {place}" for place, word in enumerate(words, 1))
    return f"CASE {column} {listed} ELSE 0 END"


BY_CLOCK: Final = f"CASE WHEN state = 'RUNNER_RUNNING' AND last_beat_at < {{}}::timestamptz THEN 1 ELSE {_place('state', URGENCY)} END"
"""A badge's place as the reader's clock sees it; `{}` is the last instant of silence."""


@dataclass(frozen=True, slots=True)
class Term:
    """A part of the order.

    Attributes:
        sql: of a row of `bot_now`; `{}` stands for the instant of silence.
        has_null: whether a row may have no value.
    """

    sql: str
    kind: type
    has_null: bool = False
    falls: bool = False


COLUMNS: Final[dict[str, Term]] = {
    SortBy.BOT: Term("bot_id", str), SortBy.STATE: Term(_place("state", URGENCY), int), SortBy.SINCE: Term("since", datetime),
    SortBy.STAGE: Term(_place("stage", tuple(Stage)), int), SortBy.STRATEGY: Term("strategy", str), SortBy.SYMBOL: Term("symbol", str),
    SortBy.SHARPE: Term("sharpe", float, has_null=True), SortBy.DRAWDOWN: Term("max_drawdown", float, has_null=True),
    SortBy.TRADES: Term("trades", int, has_null=True), SortBy.NEXT: Term("coalesce(until_at, next_due_at)", datetime, has_null=True),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Order:
    """An order of the fleet.

    Attributes:
        word: says which, inside a cursor; empty for the plain one by id.
        silent_before: a runner whose last beat is older sorts as stale; None: as the rows say.
    """

    word: str
    terms: tuple[Term, ...]
    silent_before: datetime | None = None

    def begin(self, where: Where) -> list[str]:
        """The terms' statements, with their parameters put where the other conditions have theirs."""
        found = []
        for term in self.terms:
            if "{}" in term.sql:
                where.values.append(self.silent_before)
                found.append(term.sql.format(f"${len(where.values)}"))
            else:
                found.append(term.sql)
        return found

    def sorted_by(self, keys: Sequence[str], *, back: bool = False) -> str:
        """What stands after ORDER BY; `back` from the end to the beginning."""
        nulls = " NULLS FIRST" if back else " NULLS LAST"
        return ", ".join(
            f"{key}{' DESC' if term.falls is not back else ''}{nulls if term.has_null else ''}"
            for key, term in zip(keys, self.terms, strict=True)
        )

    def after(self, where: Where, keys: Sequence[str], cursor: str) -> None:
        """Narrow to what comes after the row of a cursor.

        Raises:
            BadInput: the cursor is not one of this order.
        """
        self.beyond(where, keys, self._decoded(cursor))

    def beyond(self, where: Where, keys: Sequence[str], values: Sequence[object], *, back: bool = False) -> None:
        """Narrow to what comes after a row with these values, or before it."""
        choices: list[str] = []
        same: list[str] = []
        for term, key, value in zip(self.terms, keys, values, strict=True):
            if value is None:
                choices += [" AND ".join([*same, f"{key} IS NOT NULL"])] if back else []
                same.append(f"{key} IS NULL")
                continue
            where.values.append(value)
            place = f"${len(where.values)}"
            passed = f"{key} {'<' if term.falls is not back else '>'} {place}"
            choices.append(" AND ".join([*same, f"({passed} OR {key} IS NULL)" if term.has_null and not back else passed]))
            same.append(f"{key} = {place}")
        where.parts.append(f"({' OR '.join(choices)})")

    def cursor(self, values: Sequence[object]) -> str:
        """The cursor behind a row with these keys."""
        return encode_cursor([*([self.word] if self.word else []), *values])

    def _decoded(self, cursor: str) -> list[object]:
        try:
            found = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
            if self.word and found.pop(0) != self.word:
                raise ValueError("of another order")
            *keys, last = [_key(value, term.kind) for value, term in zip(found, self.terms, strict=True)]
            if last is None:
                raise ValueError("without a bot")
        except (ValueError, TypeError, AttributeError, IndexError, OverflowError, RecursionError) as refusal:
            raise BadInput("cursor", "must be a nextCursor of this list in this order") from refusal
        return [*keys, last]


def _key(value: object, kind: type) -> object:
    if value is None:
        return None
    if kind is float:
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise ValueError("no number")
        return float(value)
    return key_of(value, kind)


def order_of(by: SortBy, group: GroupBy | None, *, falls: bool, silent_before: datetime | None) -> Order:
    """The order that is asked for: groups first, then what it is sorted by, then the bot."""
    chosen = Term(BY_CLOCK, int) if by is SortBy.STATE and silent_before is not None else COLUMNS[by]
    terms = [COLUMNS[group.value]] if group else []
    terms.append(replace(chosen, falls=falls))
    if by is not SortBy.BOT:
        terms.append(COLUMNS[SortBy.BOT])
    plain = group is None and by is SortBy.BOT and not falls
    word = "" if plain else f"{group.value if group else ''}/{by.value}/{'falls' if falls else 'rises'}"
    return Order(word, tuple(terms), silent_before)
