"""The policy's document as the page shows it: section by section, each value with its default where it is another.

Place in the flow: `/api/policy` → **policy** → template. Pure. It walks whatever the document has, so that a new value is shown without a
line here.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from autonomy.client import Document
from autonomy.policy import DEFAULT
from autonomy.policy_values import values_of
from bots_ui.shown.words import MISSING

WHOLE: Final = "the fleet"
"""Where values stand that belong to no section."""
ORDER: Final[Mapping[str, int]] = {path: place for place, (path, _) in enumerate(values_of(DEFAULT.document()))}
UNNAMED: Final = "not named"
"""What a value is called that a table of the document does not have."""


@dataclass(frozen=True, slots=True)
class Value:
    """One value.

    Attributes:
        path: with dots, within its section.
        default: in words; None where it is the default.
    """

    path: str
    words: str
    default: str | None = None


@dataclass(frozen=True, slots=True)
class Section:
    """A part of the document, such as `research`, or one stage."""

    name: str
    values: tuple[Value, ...]

    @property
    def changed(self) -> int:
        """How many of its values are not the default."""
        return sum(value.default is not None for value in self.values)


def value_words(value: object) -> str:
    """A value of a policy in words."""
    match value:
        case None:
            return UNNAMED
        case bool():
            return "yes" if value else "no"
        case list():
            return ", ".join(map(value_words, value)) or "none"
        case float() | int():
            return f"{value:,.15g}".replace("-", "−")
        case _:
            return str(value) or MISSING


def sections_of(document: Mapping[str, object], changes: Sequence[Document]) -> tuple[Section, ...]:
    """Every value, in the order of the policy's own definition: a document that was stored has lost it.

    Args:
        document: of the policy.
        changes: where it differs from the default, as the API told it.
    """
    defaults = {str(change["path"]): value_words(change["default"]) for change in changes}
    found: dict[str, list[Value]] = {}
    for path, value in sorted(values_of(document), key=lambda entry: ORDER.get(entry[0], len(ORDER))):
        if isinstance(value, Mapping):
            continue  # a table without entries
        section, within = split(path)
        found.setdefault(section, []).append(Value(within, value_words(value), defaults.get(path)))
    return tuple(Section(name, tuple(values)) for name, values in found.items())


def split(path: str) -> tuple[str, str]:
    """The section of a path, and what is left of it: a stage is a section of its own."""
    head, dot, rest = path.partition(".")
    if not dot:
        return WHOLE, head
    if head == "stages":
        stage, _, within = rest.partition(".")
        return f"{head}.{stage}", within or stage
    return head, rest
