"""What every event is made of: closed, frozen documents and the identifiers in them."""

from typing import Annotated, Any, ClassVar, Final

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

MAX_BOTS_PER_COMMAND: Final = 500
MAX_BOTS_PER_APPLY: Final = 2_000
MAX_RETIRED_PER_APPLY: Final = 5_000
"""Of one part of a fleet's files: its answer names each of them and must fit into one record."""
MAX_TEXT: Final = 500
BASE64_PATTERN: Final = r"^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{4}|[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)$"
Text = Annotated[str, Field(max_length=MAX_TEXT)]
Identifier = Annotated[str, Field(pattern=r"^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$")]
Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Money = Annotated[str, Field(pattern=r"^-?\d{1,18}(\.\d{1,8})?$")]
MAX_NUMBER: Final = 2**53 - 1
Count = Annotated[int, Field(ge=0, le=MAX_NUMBER)]
Tick = Annotated[int, Field(ge=0, le=MAX_NUMBER)]


def later(default: object) -> Any:  # noqa: ANN401 (a field of any type)
    """A field that came later: left out of a record while it has its default, so the bytes and hashes of older records stay as they are.

    Args:
        default: what a record without the field means; immutable.
    """
    return Field(default=default, exclude_if=lambda value: value == default)


class Document(BaseModel):
    """A frozen, closed part of an event; camelCase on the wire, no NaN, no infinity."""

    model_config = ConfigDict(frozen=True, extra="forbid", alias_generator=to_camel, populate_by_name=True, allow_inf_nan=False)


class Event(Document):
    """Anything with a place in a topic."""

    wire: ClassVar[str]
    topic: ClassVar[str]
    producer: ClassVar[str]
