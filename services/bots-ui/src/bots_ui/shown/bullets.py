"""The numbers of a gate as bullets: a dot for what was measured, a line for what is required, the side that passes shaded.

Place in the flow: a gate's figures, as the planner recorded them → **bullets** → inline SVG. Pure; no number is read out of a sentence.

Every line stands in the middle, whatever its figure's unit: the left end is zero, and the right end is twice the limit. So a
column of bullets is read in one look, and how far a dot is from its line is its margin as a share of the limit.

Source: docs/architecture.md, "The Bots page".
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from autonomy.client import Document
from autonomy.gates import PromotionGate
from bots_ui.api.documents import list_of, text_of
from bots_ui.shown.charts import is_finite

WIDTH: Final = 100
"""Of a drawing, in its own units; the line stands at half of it."""
HALF: Final = WIDTH // 2
NAMES: Final[Mapping[str, str]] = {
    "sharpe": "Sharpe", "trades": "closed trades", "costs_bps": "costs a side, bp", "bars_per_trade": "bars a trade",
    "exposure": "exposure", "net_t": "t at double costs", "max_drawdown": "drawdown", "z": "z", "paired_t": "paired t", "bars": "bars",
    "live_bars": "bars traded", "bars_behind": "bars behind",
}  # fmt: skip
"""A figure's name on the page; one that is not here is called as the record calls it."""


@dataclass(frozen=True, slots=True)
class Bullet:
    """One figure with one limit.

    Attributes:
        name: of the figure, for people.
        value, limit: the figures in words.
        x: where the dot stands, from 0 to `WIDTH`; None where nothing was measured.
        over: the dot stands at an end, and what was measured lies beyond it.
        lower: what lies below the limit passes.
        passes: whether what was measured does.
        deciding: its gate has a say.
        margin: the distance from the limit as a share of it, negative on the wrong side; None where it has none.
    """

    name: str
    value: str
    limit: str
    x: float | None
    over: bool
    lower: bool
    passes: bool
    deciding: bool
    margin: float | None

    @property
    def words(self) -> str:
        """The whole in words, for who points at it or cannot see it."""
        sign = "at most" if self.lower else "at least"
        room = f"; {self.room}" if self.room else ""
        return f"{self.name} {self.value}, required {sign} {self.limit}{room}{'' if self.deciding else '; has no say'}"

    @property
    def sign(self) -> str:
        """The comparison in one character."""
        return "≤" if self.lower else "≥"

    @property
    def room(self) -> str:
        """The margin in words."""
        if self.margin is None:
            return ""
        return f"{abs(self.margin):.0%} {'to spare' if self.passes else 'missing'}"


def bullets_of(gate: Document) -> tuple[Bullet, ...]:
    """The bullets of a gate's figures; a figure that is only shown has none."""
    found, deciding = list[Bullet](), gate.get("deciding") is not False
    for figure in list_of(gate, "figures"):
        for limit, lower in ((figure.get("atLeast"), False), (figure.get("atMost"), True)):
            if is_finite(limit):
                found.append(_bullet(text_of(figure, "name"), figure.get("value"), float(limit), lower=lower, deciding=deciding))
    return tuple(found)


def nearest(found: Sequence[tuple[str, Bullet]]) -> tuple[str, Bullet] | None:
    """Of bullets with the codes of their gates, the deciding one that passes by least, or lacks most; None where none has a margin.

    A person's own risk limits are no evidence, and far off by default: they are left out.
    """
    margins = [
        (bullet.margin, code, bullet)
        for code, bullet in found
        if code != PromotionGate.LIMITS.value and bullet.margin is not None and bullet.deciding
    ]
    if not margins:
        return None
    _, code, bullet = min(margins, key=lambda one: one[0])
    return code, bullet


def _bullet(name: str, value: object, limit: float, *, lower: bool, deciding: bool) -> Bullet:
    shown = NAMES.get(name, name.replace("_", " "))
    if not is_finite(value):
        return Bullet(shown, "undefined", f"{limit:.4g}", None, over=False, lower=lower, passes=False, deciding=deciding, margin=None)
    # A limit of zero has no twice; then the ends are what was measured on either side.
    reach = abs(limit) or abs(value) or 1.0
    place = HALF + HALF * (value - limit) / reach
    passes = value <= limit if lower else value >= limit
    margin = (limit - value if lower else value - limit) / abs(limit) if limit else None
    return Bullet(
        shown, f"{value:.4g}", f"{limit:.4g}", min(max(place, 0.0), float(WIDTH)), over=not 0 <= place <= WIDTH, lower=lower, passes=passes,
        deciding=deciding, margin=margin,
    )  # fmt: skip
