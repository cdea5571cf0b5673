"""A row of a read model as a document: which columns go out, under which names, with which types and words.

Place in the flow: tables → **rows** → documents and SELECT lists. Derived from the table, so that SQL, JSON and schema cannot differ.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from types import GenericAlias
from typing import Any, Final
from uuid import UUID

from pydantic import ConfigDict, Field, create_model
from sqlalchemy import Boolean, Column, DateTime, Float, Integer, Table, Text
from sqlalchemy.dialects.postgresql import UUID as ID_TYPE

from autonomy.errors import Broken
from autonomy.events import Document
from autonomy.read_model.columns import HOLDS

Fields = dict[str, Any]
"""Fields of a model by name, each with its type and description, as `pydantic.create_model` takes them."""
KINDS: Final = ((Boolean, bool), (Integer, int), (Float, float), (Text, str), (DateTime, datetime), (ID_TYPE, UUID))


class Shown(Document):
    """A part of an answer: closed and frozen, camelCase; the string below a field is its description."""

    model_config = ConfigDict(use_attribute_docstrings=True)


class Described(Document):
    """A base for models that are made while this runs, each field with its description.

    Without it pydantic looks for a class statement in the source of every caller, in vain: 0.4 s of each process's start.
    """

    model_config = ConfigDict(use_attribute_docstrings=False)


def type_of(column: "Column[Any]") -> Any:  # noqa: ANN401 (any type at all)
    """What a column's values are in JSON.

    Raises:
        Broken: its kind says too little, and it does not say what it holds.
    """
    held = column.info.get(HOLDS)
    if held is None:
        held = next((kind for of, kind in KINDS if isinstance(column.type, of)), None)
    if held is None:
        raise Broken(f"column {column.table.name}.{column.name} does not say what it holds")
    return held | None if column.nullable else held


def fields_of(table: Table, names: Mapping[str, str]) -> Fields:
    """Fields for columns of a table, by the names under which they go out.

    Args:
        table: of the read model.
        names: by column, the name in SQL answers; it becomes camelCase.
    """
    return {shown: (type_of(table.columns[name]), Field(description=table.columns[name].comment)) for name, shown in names.items()}


@dataclass(frozen=True, slots=True)
class RowForm:
    """A row as it goes out.

    Attributes:
        table: whose.
        names: by column, in the table's order, the name in the answer of SQL.
        model: its JSON.
    """

    table: Table
    names: Mapping[str, str]
    model: type[Document]

    @property
    def columns(self) -> str:
        """The list of a SELECT."""
        return ", ".join(name if name == shown else f"{name} AS {shown}" for name, shown in self.names.items())

    @property
    def select(self) -> str:
        """A SELECT of these columns, to be completed with conditions."""
        return f"SELECT {self.columns} FROM {self.table.name}"  # noqa: S608 (names of the read model)

    def key_of(self, column: str) -> type:
        """The kind of a column that rows are ordered by; it is never null."""
        kind = type_of(self.table.columns[column])
        return kind if isinstance(kind, type) else str

    def part_of(self, row: Mapping[str, object]) -> dict[str, object]:
        """Of a row with all its columns those that go out, under their names."""
        return {shown: row[name] for name, shown in self.names.items()}


def row_form(
    name: str, table: Table, *, only: Collection[str] = (), without: Collection[str] = (), renamed: Mapping[str, str] | None = None
) -> RowForm:
    """The form of a table's rows.

    Args:
        name: of the model, unique in OpenAPI.
        table: of the read model; its comment is the description.
        only: these columns; none means all.
        without: all but these; a column that is added to the table goes out unless it is named here.
        renamed: by column, another name than its own.

    Raises:
        Broken: a column that is named is not there, or one does not say what it holds.
    """
    unknown = {*only, *without, *(renamed or {})} - set(table.columns.keys())
    if unknown:
        raise Broken(f"{name}: {table.name} has no column {min(unknown)}")
    wanted = [column.name for column in table.columns if (not only or column.name in only) and column.name not in without]
    names = {column: (renamed or {}).get(column, column) for column in wanted}
    model = create_model(name, __base__=Document, __module__=__name__, __doc__=table.comment, **fields_of(table, names))
    return RowForm(table, names, model)


def many(model: object) -> Any:  # noqa: ANN401 (a type made while this runs)
    """The type of a list of such documents."""
    return GenericAlias(list, (model,))


def maybe(model: type[Document]) -> Any:  # noqa: ANN401 (as above)
    """The type of such a document, or null."""
    return model | None


def made_of(name: str, words: str, *bases: type[Document], **parts: tuple[Any, str]) -> type[Document]:
    """A document with rows in it.

    Args:
        name: of the model, unique in OpenAPI.
        words: its description.
        bases: what else it has.
        parts: by field, its type and description.
    """
    fields: Fields = {field: (kind, Field(description=said)) for field, (kind, said) in parts.items()}
    return create_model(name, __base__=(*bases, Described), __module__=__name__, __doc__=words, **fields)
