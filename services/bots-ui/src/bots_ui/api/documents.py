"""Documents of the proof API as templates read them: what is missing reads as nothing, never as an error of this page.

Place in the flow: client → **documents** → pages → templates. Pure.
"""

from collections.abc import Mapping
from typing import Any, TypeVar

from autonomy.client import Answer, Document, Found, Refused, Unreachable

Key = TypeVar("Key", bound=str)


class Told(dict[Any, object]):
    """An object of a document; a field that the API does not tell is None."""

    def __missing__(self, key: str) -> None:
        """An untold field."""


def told(value: object) -> object:
    """The same document, with untold fields reading as None at every depth."""
    match value:
        case Mapping():
            return Told((str(key), told(inner)) for key, inner in value.items())
        case list():
            return [told(inner) for inner in value]
        case _:
            return value


def told_part(document: Mapping[Key, object], key: Key) -> Told:
    """An object inside a document; empty when it is missing or null."""
    found = told(document.get(key))
    return found if isinstance(found, Told) else Told()


def part_of(document: Mapping[Key, object], key: Key) -> Document:
    """An object inside a document as it came, however large; empty when it is missing or null."""
    found = document.get(key)
    return found if isinstance(found, Mapping) else {}


def list_of(document: Mapping[Key, object], key: Key) -> list[Document]:
    """A list of objects inside a document."""
    value = told(document.get(key))
    return [item for item in value if isinstance(item, Told)] if isinstance(value, list) else []


def items_of(answer: Answer) -> list[Document]:
    """The items of a list, none where it was not given."""
    return list_of(answer.document, "items") if isinstance(answer, Found) else []


def document_of(answer: Answer) -> Document:
    """The document, empty where it was not given."""
    return answer.document if isinstance(answer, Found) else {}


def lost_words(answer: Answer) -> str:
    """Why there is nothing to show; empty when there is."""
    match answer:
        case Found():
            return ""
        case Refused() | Unreachable():
            return answer.words


def text_of(document: Mapping[Key, object], key: Key) -> str:
    """A text of a document; empty when it is missing or null."""
    value = document.get(key)
    return "" if value is None else str(value)


def number_of(document: Mapping[Key, object], key: Key) -> float | None:
    """A number of a document, or None."""
    value = document.get(key)
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
