"""Facts put into one message: grouped by kind and cause, the most urgent first.

Place in the flow: facts, alarms → **messages** → sending. Pure. A message says of each group what, why, what to do and where to look, and
ends with a key: whoever got the same key before has seen the same message.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

from autonomy.attention import plural
from autonomy.values import derived_id
from notifier.facts import Fact
from notifier.kinds import RANK, Kind

MAX_BODY: Final = 3_500
"""Characters: what the narrowest usual receivers take."""
MAX_TITLE: Final = 140
NAMED: Final = 5
"""Bots that a group names."""
Tone = Literal["info", "warning", "failure", "success"]
TONES: Final[dict[Kind, Tone]] = {
    Kind.HALTED: "failure", Kind.SILENT: "failure", Kind.REVERTED: "warning", Kind.QUARANTINED: "warning", Kind.DRIFT: "warning",
    Kind.SOURCE: "warning", Kind.RECOMMENDED: "info", Kind.APPLIED: "info",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Message:
    """What one receiver gets.

    Attributes:
        key: the same for the same message, however often it is sent.
    """

    key: str
    title: str
    body: str
    tone: Tone = "info"


@dataclass(slots=True)
class Group:
    """Facts of one kind with one cause."""

    first: Fact
    count: int = 0
    bots: list[str] = field(default_factory=list)

    @property
    def headline(self) -> str:
        """How many, and what is said of them."""
        unit = self.first.unit if self.count == 1 else plural(self.first.unit)
        return f"{self.count:,} {unit} {self.first.what}"

    def lines(self, page: str) -> list[str]:
        """What, why, what to do, who, where to look."""
        alone = len(self.bots) == 1 and self.count == 1
        named = ", ".join(self.bots[:NAMED])
        more = self.count - min(NAMED, len(self.bots))
        return [
            _flat(self.headline), _flat(f"Why: {self.first.why}"), _flat(f"To do: {self.first.todo}"),
            *([f"Bots: {named}" + (f" and {more:,} more" if more > 0 else "")] if named else []),
            f"Look: {page}/bots/{self.bots[0]}" if alone else f"Look: {page}/attention",
        ]  # fmt: skip


def groups_of(facts: Iterable[Fact]) -> list[Group]:
    """Grouped by kind and cause, in the order of the kinds."""
    found: dict[tuple[Kind, str], Group] = {}
    for fact in facts:
        group = found.setdefault((fact.kind, fact.cause), Group(fact))
        group.count += 1
        if fact.bot and len(group.bots) < NAMED + 1:
            group.bots.append(fact.bot)
    return sorted(found.values(), key=lambda group: (RANK[group.first.kind], -group.count))


def key_of(receiver: str, *cause: object) -> str:
    """The key of a message to a receiver."""
    return derived_id("notice", receiver, *cause)


def compose(facts: Sequence[Fact], page: str, key: str, most: int = MAX_BODY) -> Message:
    """One message about all of them; what does not fit is counted.

    Args:
        facts: at least one.
        page: the Bots page's address, without a slash at its end.
        key: of the message.
        most: characters of the body.
    """
    groups = groups_of(facts)
    first = groups[0]
    title = f"Autonomy: {first.headline}" + (f", and {len(groups) - 1} more" if len(groups) > 1 else "")
    parts: list[str] = []
    room = most - len(_ending(key)) - 60
    for number, group in enumerate(groups):
        part = "\n".join(group.lines(page))
        if parts and sum(map(len, parts)) + 2 * len(parts) + len(part) > room:
            left = len(groups) - number
            parts.append(f"{left} more {plural('kind') if left > 1 else 'kind'} of news: {page}/attention")
            break
        parts.append(part[:room])
    return Message(key, _cut(title), "\n\n".join(parts) + _ending(key), TONES[first.first.kind])


def plain(title: str, lines: Iterable[str], key: str, tone: Tone) -> Message:
    """A message that is about no group."""
    return Message(key, _cut(title), "\n".join(map(_flat, lines)) + _ending(key), tone)


def _ending(key: str) -> str:
    return f"\n\nKey: {key}"


def _flat(text: str) -> str:
    """Somebody's words as one line, so that they make up no line of ours and no header of a mail."""
    return " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())


def _cut(title: str) -> str:
    title = _flat(title)
    return title if len(title) <= MAX_TITLE else f"{title[: MAX_TITLE - 1]}…"
