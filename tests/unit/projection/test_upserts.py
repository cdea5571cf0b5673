"""What goes to the database has every column.

Source: R-F10.
"""

import pytest

from projection.fold.bot_now import Row
from projection.store.batches import UPSERTS


def a_row(table: str) -> Row:
    return {str(name): None for name in UPSERTS[table].columns}  # SQLAlchemy names are a kind of str that orjson refuses


@pytest.mark.parametrize("table", ["bot_now", "bots", "pulses"])
def test_a_row_without_one_of_its_columns_is_a_fault_and_never_a_null(table: str) -> None:
    whole = a_row(table)
    assert UPSERTS[table].document([whole, whole]).obj == [whole, whole]
    for name in UPSERTS[table].columns:
        lacking = {column: value for column, value in whole.items() if column != name}
        with pytest.raises(KeyError, match=name):
            UPSERTS[table].document([whole, lacking])
