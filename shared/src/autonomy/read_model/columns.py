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


def column(name: str, kind: TypeEngine[Any], comment: str, *, key: bool = False, null: bool = True) -> Column[object]:
    """A column that says what it holds; part of the key, or nullable unless said otherwise."""
    return Column(name, kind, comment=comment, primary_key=key, nullable=null and not key)
