"""The hub's swaps: templates in htmx's words for "put this there, keep what did not change".

Place in the flow: row or header → template → **swap** → hub → open pages.
"""

from collections.abc import Mapping
from datetime import datetime

from jinja2 import Environment
from markupsafe import Markup, escape

from autonomy.values import LanesBy
from bots_ui.pages.asked import CHOICES
from bots_ui.shown.facts import Facts
from bots_ui.shown.picture import picture_of
from bots_ui.shown.rows import Document, row_of
from bots_ui.stream.following import as_of as document_as_of
from bots_ui.stream.renderers import Renderers

UNSAID = frozenset({"recommended", "needs"})
"""Counts of which none is not said: the filter appears with the first."""
SWAP = Markup('<hx-partial hx-target="#{0}" hx-swap="{1}">{2}</hx-partial>')


def build_renderers(environment: Environment) -> Renderers:
    """How this process renders what the hub says."""
    as_of_template = environment.get_template("as_of.html")
    row_template, head_template = environment.get_template("row.html"), environment.get_template("head.html")

    def row(document: Document, facts: Facts, left: bool) -> str:  # noqa: FBT001 (the hub's question)
        shown = row_of(document, facts.now, fresh=facts.fresh, left=left, moments=facts.moments)
        return SWAP.format(f"bot-{shown.id}", "outerMorph", Markup(row_template.render(row=shown, now=facts.now)))  # noqa: S704 (rendered with escaping on)

    def head(facts: Facts) -> str:
        return SWAP.format("head", "outerMorph", Markup(head_template.render(facts=facts, now=facts.now)))  # noqa: S704 (as above)

    def counts(known: Mapping[str, Mapping[str, int]]) -> str:
        return "\n".join(
            SWAP.format(f"n-{name}-{value}", "innerHTML", escape(known.get(name, {}).get(value) or ("" if name in UNSAID else 0)))
            for name in ("state", "stage", "recommended", "needs")
            for value in CHOICES[name]
        )

    def outside(count: int) -> str:
        return SWAP.format("outside", "innerHTML", Markup(environment.get_template("outside.html").render(count=count)))  # noqa: S704 (as above)

    def waiting(words: str) -> str:
        return SWAP.format("n-waiting", "innerHTML", escape(words))

    def as_of(at: datetime) -> str:
        return SWAP.format("as-of", "outerMorph", Markup(as_of_template.render(as_of=at, now=at)))  # noqa: S704 (as above)

    def timeline(document: Mapping[str, object]) -> str:
        small = document.get("by") == LanesBy.FLEET
        picture = picture_of(document, small=small)
        if picture is None:
            return ""
        drawn = environment.get_template("picture_small.html" if small else "picture_large.html").render(picture=picture, now=None)
        swap = SWAP.format("picture", "outerMorph", Markup(drawn))  # noqa: S704 (as above)
        known = document_as_of(document)
        return swap if small or known is None else f"{swap}\n{as_of(known)}"

    def queue(facts: Facts) -> str:
        drawn = environment.get_template("queue.html").render(queue=facts.queue, now=facts.now)
        return SWAP.format("queue", "outerMorph", Markup(drawn))  # noqa: S704 (as above)

    return Renderers(row, head, counts, outside, waiting, as_of, timeline, queue)
