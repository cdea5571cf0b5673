"""A statement of SQLAlchemy Core as asyncpg takes it: its text is made once, each call only brings values.

Place in the flow: tables → statement → **text and values** → PostgreSQL. Making the text takes milliseconds, which no request pays twice.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import asyncpg
from sqlalchemy import ColumnElement, Select, Text, func, literal_column, select
from sqlalchemy.dialects import postgresql
from sqlalchemy.dialects.postgresql import JSONB


@dataclass(frozen=True, slots=True)
class Statement:
    """A SELECT.

    Attributes:
        sql: with $1, $2 …
        names: of the parameters, in their order.
        constants: those that the statement itself holds.
    """

    sql: str
    names: tuple[str, ...]
    constants: Mapping[str, object]

    async def row(self, connection: "asyncpg.Connection[asyncpg.Record]", **given: object) -> "asyncpg.Record":
        """Its one row.

        Args:
            connection: of a role that may read.
            given: a value for each parameter that is no constant.
        """
        values = [given[name] if name in given else self.constants[name] for name in self.names]
        found = await connection.fetchrow(self.sql, *values)
        if found is None:
            raise RuntimeError("a SELECT of subqueries gives one row")
        return found


def statement_of(query: Select[Any]) -> Statement:
    """The text of a query, for asyncpg's way of naming parameters."""
    text = query.compile(dialect=postgresql.dialect(paramstyle="numeric_dollar"))  # type: ignore[no-untyped-call] # SQLAlchemy leaves it untyped
    constants = {name: value for name, value in text.params.items() if value is not None}
    return Statement(str(text), tuple(text.positiontup or ()), constants)


def word(code: StrEnum) -> "ColumnElement[str]":
    """A code as a word of the text, not as a parameter: only so is an index over rows of that code found."""
    return literal_column(f"'{code.value}'", Text())


def rows_of(query: Select[Any], name: str) -> ColumnElement[Any]:
    """All rows of a query as one JSON value, a list of objects by column."""
    part = query.subquery(f"{name}_rows")
    whole = literal_column(f"to_jsonb({name}_rows)", JSONB)
    found = select(func.coalesce(func.jsonb_agg(whole), literal_column("'[]'::jsonb", JSONB))).select_from(part)
    return found.scalar_subquery().label(name)
