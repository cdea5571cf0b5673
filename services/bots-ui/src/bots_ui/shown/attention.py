"""What needs a person, as the page shows it: each cause with where to look and what to do.

Place in the flow: `/api/attention`, the stream → **attention** → header, strip and queue. Pure. Counts, words and who must act are the
API's, out of one snapshot; here they get their links.

Source: R-B3; docs/architecture.md, "The Bots page".
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final
from urllib.parse import urlencode

from autonomy.attention import AttentionKind
from autonomy.gates import Needs
from bots_ui.api.documents import Told, list_of, number_of, text_of, told_part
from bots_ui.shown.words import instant_of

SHOWN: Final = 4
"""Causes in the strip of the Bots page; all stand in the queue."""
PLACES: Final[Mapping[str, tuple[str, str]]] = {
    AttentionKind.APPROVAL: ("/promotions", "look at them"), AttentionKind.RUNNER_STALE: ("/?state=RUNNER_STALE", "show them"),
    AttentionKind.WORKER_SILENT: ("/workers", "show them"), AttentionKind.SOURCE: ("/workers", "show it"),
    AttentionKind.STRATEGY_FILE: ("/workers", "show it"), AttentionKind.QUARANTINE: ("/quarantine", "show them"),
    AttentionKind.PAUSE: ("/commands", "who asked for it"),
}  # fmt: skip
"""Where to look, by kind."""
GATES_OF_BOTS: Final = frozenset({AttentionKind.BLOCKED, AttentionKind.DEVELOPER})
IMPORTED: Final = "UNVERIFIED_IMPORT"
"""The one gate that a revert clears."""


@dataclass(frozen=True, slots=True)
class Entry:
    """Everything of one kind with one cause.

    Attributes:
        href: where to look; empty where no page shows it.
        link: what the link says.
        shown: the filter that a revert of these bots opens on; empty where a revert clears nothing.
        resumes: it is the fleet's pause, which a button of the header ends.
    """

    kind: str
    code: str
    needs: str
    count: int
    unit: str
    what: str
    todo: str
    since: datetime | None
    bots: tuple[str, ...]
    href: str
    link: str
    shown: str = ""
    resumes: bool = False

    @property
    def is_blocked(self) -> bool:
        """Whether a gate is the cause: then an age is only that of the decision that names it."""
        return self.kind in GATES_OF_BOTS


@dataclass(frozen=True, slots=True)
class Queue:
    """What needs a person.

    Attributes:
        needed: for how much an operator has to act; None while it is not known.
        blocked: bots with a blocker, by whom they wait for; empty while it is not known.
    """

    needed: int | None = None
    blocked: Mapping[str, object] = field(default_factory=Told)
    entries: tuple[Entry, ...] = ()

    @property
    def mine(self) -> tuple[Entry, ...]:
        """What an operator has to do."""
        return tuple(entry for entry in self.entries if entry.needs == Needs.OPERATOR.value)

    @property
    def others(self) -> tuple[Entry, ...]:
        """What somebody else has to do."""
        return tuple(entry for entry in self.entries if entry.needs != Needs.OPERATOR.value)

    @property
    def title(self) -> str:
        """What stands before a page's title; nothing where nothing is needed, or nothing is known."""
        return f"({self.needed:,}) " if self.needed else ""


UNKNOWN: Final = Queue()


def queue_of(document: Mapping[str, object]) -> Queue:
    """The queue that the API told; an empty document says nothing, not that nothing is needed."""
    needed = number_of(document, "needed")
    return Queue(
        None if needed is None else int(needed), told_part(document, "blocked"),
        tuple(_entry_of(item) for item in list_of(document, "items")),
    )  # fmt: skip


def _entry_of(item: Mapping[str, object]) -> Entry:
    kind, code, bots = text_of(item, "kind"), text_of(item, "code"), item.get("bots")
    named = tuple(str(bot) for bot in bots) if isinstance(bots, list) else ()
    href, link = PLACES.get(kind, ("", ""))
    shown, resumes = "", kind == AttentionKind.PAUSE and code == "fleet"
    if kind in GATES_OF_BOTS:
        asked = urlencode({"needs": text_of(item, "needs"), "blocker": code})
        href, link, shown = f"/?{asked}", "show them", asked if code == IMPORTED else ""
    elif resumes:
        href, link = "/loop?verb=resume", "resume…"
    return Entry(
        kind, code, text_of(item, "needs"), int(number_of(item, "count") or 0), text_of(item, "unit"), text_of(item, "what"),
        text_of(item, "todo"), instant_of(item.get("since")), named, href, link, shown, resumes,
    )  # fmt: skip
