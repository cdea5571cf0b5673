"""What waits for an approval, as one table: each number of the gates in a column of its own, so that bots are compared down a column.

Place in the flow: `/api/promotions`, the rows of the stream → **approvals** → `promotions.html`. Pure.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from autonomy.client import Document
from autonomy.gates import PromotionGate
from bots_ui.api.documents import list_of, text_of
from bots_ui.shown.bullets import Bullet, bullets_of, nearest
from bots_ui.shown.charts import spark_path


@dataclass(frozen=True, slots=True)
class Column:
    """A number that some gate compares."""

    code: str
    name: str
    sign: str


@dataclass(frozen=True, slots=True)
class Waiting:
    """One open recommendation.

    Attributes:
        spark: a line through its last backtest's equity, empty where none is known.
        bullets: one for each column, None where the bot has no such number.
        nearest: the deciding gate that passes by least, with its bullet.
    """

    document: Document
    spark: str
    bullets: tuple[Bullet | None, ...]
    nearest: tuple[str, Bullet] | None


def approvals_of(items: Sequence[Document], rows: Mapping[str, Mapping[str, object]]) -> tuple[tuple[Column, ...], tuple[Waiting, ...]]:
    """The columns, in the gates' own order, and the recommendations in the order they came in.

    Args:
        items: open recommendations.
        rows: by bot, what the stream tells of it.
    """
    drawn = [[(text_of(gate, "code"), bullet) for gate in list_of(item, "gates") for bullet in bullets_of(gate)] for item in items]
    told = [{Column(code, bullet.name, bullet.sign): bullet for code, bullet in one} for one in drawn]
    order = {code.value: place for place, code in enumerate(PromotionGate)}
    found = dict.fromkeys(column for one in told for column in one)
    columns = tuple(sorted(found, key=lambda column: order.get(column.code, len(order))))
    return columns, tuple(
        Waiting(
            item, spark_path(rows.get(text_of(item, "botId"), {}).get("spark")), tuple(one.get(column) for column in columns),
            nearest(each),
        )
        for item, one, each in zip(items, told, drawn, strict=True)
    )  # fmt: skip
