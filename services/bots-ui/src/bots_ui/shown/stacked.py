"""Wide tables for narrow screens: each cell says which column it is of, so that a row can be a stack of lines with their labels.

Place in the flow: template → **stacked** → HTML. Pure. A label is the heading above the cell, taken from the table as it was rendered: it
is written once, and a table that is added later has its labels too. What is stacked, and from which width on, is the style's.
"""

import html
import re
from typing import Final

from jinja2.ext import Extension
from markupsafe import Markup
from typing_extensions import override

TABLES: Final = re.compile(r'<table class="(?:plain|blockers)\b.*?</table>', re.DOTALL)
"""Tables of a template; none holds another one of these."""
HEAD: Final = re.compile(r"<thead\b.*?</thead>", re.DOTALL)
ROW: Final = re.compile(r"<tr\b.*?</tr>", re.DOTALL)
CELL: Final = re.compile(r"<(t[dh])\b([^>]*)>(.*?)</\1>", re.DOTALL)
TAG: Final = re.compile(r"<[^>]*>")
SPAN: Final = re.compile(r'\b(row|col)span="(\d+)"')
DRAWN: Final = re.compile(r"<(?:svg|button|input)")
NOTHING: Final = frozenset({"", "–"})


class Stacked(Extension):
    """Puts the filter of this name around each wide table of a template, as it is loaded."""

    @override
    def preprocess(self, source: str, name: str | None, filename: str | None = None) -> str:
        """The template with its tables labelled."""
        return TABLES.sub(lambda found: "{% filter stacked %}" + found[0] + "{% endfilter %}", source)


def stacked(table: str) -> Markup:
    """A rendered table with `data-label` at each cell of its body; a cell that says nothing has `data-none` instead.

    Args:
        table: escaped HTML; between `<` and `>` of a tag stands no other `>`.
    """
    table = str(table)  # a Markup would escape what is put to it
    head = HEAD.search(table)
    if head is None:
        return Markup(table)  # noqa: S704 (rendered with escaping on)
    labels = [html.unescape(words_of(cell[3])) for cell in CELL.finditer(head[0])]
    taken: dict[int, int] = {}
    body = ROW.sub(lambda row: _labelled(row[0], labels, taken), table[head.end() :])
    return Markup(table[: head.end()] + body)  # noqa: S704 (as above)


def words_of(content: str) -> str:
    """What is read of a cell."""
    return " ".join(TAG.sub(" ", content).split())


def _labelled(row: str, labels: list[str], taken: dict[int, int]) -> str:
    """One row. `taken` is, by column, in how many more rows a cell from above stands there."""
    column, above = 0, dict(taken)

    def label(cell: re.Match[str]) -> str:
        nonlocal column
        while above.get(column):
            column += 1
        spans = {kind: int(count) for kind, count in SPAN.findall(cell[2])}
        width, at = spans.get("col", 1), column
        for place in range(at, at + width):
            taken[place] = spans.get("row", 1)
        column += width
        if not DRAWN.search(cell[3]) and words_of(cell[3]) in NOTHING:
            return f"<{cell[1]}{cell[2]} data-none>{cell[3]}</{cell[1]}>"
        if width > 1 or at >= len(labels):
            return cell[0]
        return f'<{cell[1]}{cell[2]} data-label="{html.escape(labels[at])}">{cell[3]}</{cell[1]}>'

    done = CELL.sub(label, row)
    for place in list(taken):
        taken[place] -= 1
        if not taken[place]:
            del taken[place]
    return done
