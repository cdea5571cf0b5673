"""What a list's address asks for: filters, order, groups and columns; read from it, and written back as the one address of this view.

Place in the flow: address → **asked** → pages, which ask the API the same. Pure. Unknown words are left out, so that an address never
breaks the page.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final
from urllib.parse import urlencode

from autonomy.gates import Needs
from autonomy.reasons import Reason
from autonomy.values import SYMBOL_PATTERN, BotState, Recency, Stage
from bots_ui.shown.columns import LIST_COLUMNS

PAGE_SIZE: Final = 50
SIZES: Final = (25, 50, 100, 200)
GROUPS: Final = ("strategy", "symbol", "stage")
SORTS: Final[Mapping[str, str]] = {
    "bot": "bot", "state": "what it does now", "since": "how long it has", "stage": "stage", "strategy": "strategy", "symbol": "symbol",
    "sharpe": "Sharpe", "drawdown": "drawdown", "trades": "trades", "next": "what comes next",
}  # fmt: skip
"""What the fleet's list may be sorted by, in words."""
CHOOSABLE: Final = tuple(column.key for column in LIST_COLUMNS if column.key not in {"bot", "now"})
"""Columns that may be left out; without the bot and what it does now a list says nothing."""
USUAL: Final = tuple(column.key for column in LIST_COLUMNS if column.key in CHOOSABLE and column.usual)
MAX_TEXT: Final = 80
MAX_CURSOR: Final = 600
MAX_NAMED: Final = 20
CHOICES: Final[Mapping[str, tuple[str, ...]]] = {
    "state": tuple(BotState), "stage": tuple(Stage), "reason": tuple(Reason), "recency": tuple(Recency),
    "recommended": ("true",), "needs": tuple(Needs), "synthetic": ("true", "false"),
}  # fmt: skip
NAMED: Final[Mapping[str, re.Pattern[str]]] = {
    "strategy": re.compile("^[a-z0-9-]{1,64}$"), "symbol": re.compile(SYMBOL_PATTERN), "blocker": re.compile("^[A-Z_]{1,64}$"),
    "gate": re.compile("^[A-Z_]{1,64}$"),
}  # fmt: skip
"""Filters of the fleet by names that the page does not know beforehand."""
Query = Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Look:
    """How a list is shown, which never changes what it is of.

    Attributes:
        columns: those that may be left out and are shown; None: the usual ones.
    """

    sort: str = "bot"
    falls: bool = False
    group: str = ""
    size: int = PAGE_SIZE
    columns: tuple[str, ...] | None = None

    @property
    def is_sorted(self) -> bool:
        """Whether rows come in another order than by their bot."""
        return self.sort != "bot" or self.falls or self.group != ""

    @property
    def hidden(self) -> tuple[str, ...]:
        """Columns that are not shown."""
        shown = USUAL if self.columns is None else self.columns
        return tuple(key for key in CHOOSABLE if key not in shown)

    def order(self) -> list[tuple[str, str]]:
        """The order with its groups, as the API and the address say it."""
        found = [("sort", self.sort)] if self.sort != "bot" else []
        found += [("order", "desc")] if self.falls else []
        return found + ([("group", self.group)] if self.group else [])

    def params(self) -> list[tuple[str, str]]:
        """As the address says it."""
        found = self.order()
        found += [("size", str(self.size))] if self.size != PAGE_SIZE else []
        return found + [("columns", key) for key in (self.columns or (("none",) if self.columns == () else ()))]

    def asked(self) -> list[tuple[str, str]]:
        """As the API is asked."""
        return [*self.order(), ("limit", str(self.size))]


USUAL_LOOK: Final = Look()


@dataclass(frozen=True, slots=True)
class Asked:
    """What a list's address asks for."""

    chosen: Mapping[str, tuple[str, ...]]
    text: str = ""
    cursor: str = ""
    named: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    look: Look = USUAL_LOOK

    @property
    def is_filtered(self) -> bool:
        """Whether anything is filtered out."""
        return bool(self.text) or any(self.chosen.values()) or any(self.named.values())

    @property
    def wanted(self) -> dict[str, tuple[str, ...]]:
        """Every filter but the text, by its name."""
        return {**self.chosen, **self.named}

    def params(self, *, paged: bool = True) -> list[tuple[str, str]]:
        """The filter, as the API and the address say it."""
        found = [(name, value) for name, values in self.wanted.items() for value in values]
        found += [("q", self.text)] if self.text else []
        return found + ([("cursor", self.cursor)] if self.cursor and paged else [])

    @property
    def shown(self) -> str:
        """The filter alone, as an address says it; empty for none."""
        return urlencode(self.params(paged=False))

    @property
    def of_list(self) -> list[tuple[str, str]]:
        """Filter and order: which bots, one after the other."""
        return [*self.params(paged=False), *self.look.order()]

    def address(self, path: str = "/", **changed: str) -> str:
        """The canonical address, without a page's cursor unless it is given."""
        return with_query(path, [*self.params(paged=False), *self.look.params(), *changed.items()])

    def whole(self) -> list[tuple[str, str]]:
        """Everything, as the canonical address says it."""
        return [*self.params(paged=False), *self.look.params(), *([("cursor", self.cursor)] if self.cursor else [])]

    def toggled(self, name: str, value: str, path: str = "/") -> str:
        """The address with one word of the filter switched."""
        values = self.wanted.get(name, ())
        after = tuple(known for known in values if known != value) if value in values else (*values, value)
        if name in self.chosen:
            return replace(self, chosen={**self.chosen, name: after}).address(path)
        return replace(self, named={**self.named, name: after}).address(path)

    def sorted_by(self, sort: str) -> str:
        """The address with the list sorted by this: rising first, or falling where it rises already."""
        falls = self.look.sort == sort and not self.look.falls
        return replace(self, look=replace(self.look, sort=sort, falls=falls)).address()

    def narrowed(self, group: str) -> str:
        """The address with one group alone."""
        ungrouped = replace(self, look=replace(self.look, group=""))
        if self.look.group in self.chosen:
            return replace(ungrouped, chosen={**self.chosen, self.look.group: (group,)}).address()
        return replace(ungrouped, named={**self.named, self.look.group: (group,)}).address()


def asked_of(query: Query, choices: Mapping[str, tuple[str, ...]]) -> Asked:
    """Read a list's address."""
    chosen = {
        name: tuple(dict.fromkeys(value for key, value in query if key == name and value in allowed)) for name, allowed in choices.items()
    }
    last = dict(query)
    return Asked(chosen, last.get("q", "").replace("\x00", "").strip()[:MAX_TEXT], last.get("cursor", "")[:MAX_CURSOR])


def fleet_asked(query: Query) -> Asked:
    """Read the address of the fleet's list."""
    named = {
        name: tuple(dict.fromkeys(value for key, value in query if key == name and pattern.match(value)))[:MAX_NAMED]
        for name, pattern in NAMED.items()
    }
    asked = asked_of(query, CHOICES)
    look = look_of(query)
    return replace(asked, named={name: values for name, values in named.items() if values}, look=look)


def look_of(query: Query) -> Look:
    """How the address wants the list shown."""
    last, columns = dict(query), [value for key, value in query if key == "columns"]
    shown = tuple(key for key in CHOOSABLE if key in columns)
    size = last.get("size", "")
    return Look(
        last.get("sort", "") if last.get("sort", "") in SORTS else "bot", last.get("order", "") == "desc",
        last.get("group", "") if last.get("group", "") in GROUPS else "",
        int(size) if size in {str(known) for known in SIZES} else PAGE_SIZE, None if not columns or shown == USUAL else shown,
    )  # fmt: skip


def with_query(path: str, params: Query) -> str:
    """An address with its query."""
    return f"{path}?{urlencode(list(params))}" if params else path
