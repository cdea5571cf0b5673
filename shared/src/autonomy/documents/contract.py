"""How the contract of the log is served: the list of schemas, a JSON Schema, and the AsyncAPI document.

Place in the flow: `autonomy.contract` → **contract** → OpenAPI. Only their outer shape is said here: what stands inside is the business of
those standards.
"""

from typing import Any, Literal

from pydantic import Field

from autonomy.documents.rows import Shown


class SchemaEntry(Shown):
    """One kind of record."""

    type: str
    """the record's `type`, as bot-decision.v1"""
    topic: str
    """where it stands"""
    producer: str
    """which process says it"""
    dataschema: str
    """the record's `dataschema`"""
    href: str
    """where its JSON Schema is served here"""


class SchemaList(Shown):
    """All kinds of records of the log."""

    items: list[SchemaEntry]
    """one for each kind, in the order of the flow"""


Keyword = dict[str, Any]


class JsonSchema(Shown):
    """A JSON Schema of an object, dialect 2020-12; a reader hands it to a library of that standard."""

    dialect: str | None = Field(default=None, alias="$schema")
    """which dialect it is in"""
    identity: str | None = Field(default=None, alias="$id")
    """the record's `dataschema`"""
    definitions: dict[str, Keyword] = Field(default_factory=dict, alias="$defs")
    """what it refers to"""
    type: Literal["object"]
    """always an object"""
    title: str
    """what it is about"""
    description: str = ""
    """what such a record means"""
    properties: dict[str, Keyword]
    """its fields"""
    required: list[str] = Field(default_factory=list)
    """the fields that are always there"""
    additional_properties: Literal[False] = Field(alias="additionalProperties")
    """nothing else may be there"""


class AsyncApiInfo(Shown):
    """What the document is about."""

    title: str
    """its title"""
    version: str
    """of the contract"""
    description: str
    """where to read on"""


class AsyncApiParts(Shown):
    """What channels and operations refer to."""

    messages: dict[str, Keyword]
    """each kind of record, by its `type`, with its JSON Schema"""


class AsyncApi(Shown):
    """An AsyncAPI 3.0 document of all topics of the log."""

    asyncapi: Literal["3.0.0"]
    """which version of the standard"""
    info: AsyncApiInfo
    """what it is about"""
    default_content_type: str
    """of every record"""
    channels: dict[str, Keyword]
    """the topics, by name"""
    operations: dict[str, Keyword]
    """who writes what where"""
    components: AsyncApiParts
    """the records themselves"""
