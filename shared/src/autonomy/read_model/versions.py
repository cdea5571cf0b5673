"""Which tables these are: a version that follows from what they say, so that nobody has to raise a number.

Place in the flow: tables, views → **version** → the schema's comment; `autonomy doctor` and the projection compare it.
"""

import hashlib
from functools import cache
from typing import Final

from sqlalchemy.dialects import postgresql
from sqlalchemy.schema import CreateIndex, CreateTable, SetColumnComment, SetTableComment

from autonomy.read_model.columns import METADATA
from autonomy.read_model.views import VIEWS

VERSION_WORDS: Final = "Read models of Autonomy, version {}"
"""The schema's comment; the version is its last word."""


def version_in(comment: object) -> str:
    """The version that a schema's comment names; empty when it names none."""
    return str(comment or "").rpartition(" ")[2]


@cache
def schema_version() -> str:
    """A hash over the statements that make every table, index, comment and view; 12 hexadecimal digits."""
    dialect = postgresql.dialect()  # type: ignore[no-untyped-call] # SQLAlchemy leaves it without types
    parts: list[object] = []
    for table in METADATA.sorted_tables:
        parts += [CreateTable(table).compile(dialect=dialect), SetTableComment(table).compile(dialect=dialect)]
        parts += [SetColumnComment(column).compile(dialect=dialect) for column in table.columns]
        parts += sorted(str(CreateIndex(index).compile(dialect=dialect)) for index in table.indexes)
    parts += [part for name in sorted(VIEWS) for part in (name, *VIEWS[name])]
    return hashlib.sha256("\n".join(map(str, parts)).encode()).hexdigest()[:12]
