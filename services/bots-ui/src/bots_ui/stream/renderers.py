"""How what is known becomes what open pages are sent; given in, so that the hub needs no templates.

Place in the flow: templates → **renderers** → hub.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

from autonomy.client import Document
from bots_ui.shown.facts import Facts


@dataclass(frozen=True, slots=True)
class Renderers:
    """What each thing is turned into: swaps."""

    row: Callable[[Document, Facts, bool], str]
    head: Callable[[Facts], str]
    counts: Callable[[Mapping[str, Mapping[str, int]]], str]
    outside: Callable[[int], str]
    waiting: Callable[[str], str]
    as_of: Callable[[datetime], str]
    timeline: Callable[[Document], str]
    queue: Callable[[Facts], str]
