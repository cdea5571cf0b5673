"""What every table is made of: columns with a comment each, and the kinds of value they hold.

Place in the flow: **columns** → tables. Instants are the broker's append time, or a tick's recorded `now`.
"""

from typing import Any, Final

from sqlalchemy import Column, DateTime, MetaData
from sqlalchemy.dialects.postgresql import UUID
from sqlalchemy.types import TypeEngine

METADATA: Final = MetaData()
INSTANT: Final = DateTime(timezone=True)
ID: Final = UUID(as_uuid=False)
HOLDS: Final = "holds"
"""Where a column keeps the type of its values (`Column.info`)."""


def column(name: str, kind: TypeEngine[Any], comment: str, *, key: bool = False, null: bool = True, holds: object = None) -> Column[object]:
    """A column that says what it holds; part of the key, or nullable unless said otherwise.

    Args:
        name: as in SQL; documents have it in camelCase.
        kind: as PostgreSQL stores it.
        comment: what it means, with its unit: the COMMENT of the column, and its description wherever it goes out.
        key: part of the primary key.
        null: whether it may be unknown.
        holds: the type of its values where `kind` says too little: the words of a text, the document of a JSON column.
    """
    return Column(name, kind, comment=comment, primary_key=key, nullable=null and not key, info={} if holds is None else {HOLDS: holds})
