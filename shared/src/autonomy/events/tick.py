"""What all records of a tick have in common: the head that they follow, and the findings of a gate in them."""

from typing import Annotated

from pydantic import Field

from autonomy import topics
from autonomy.events.document import Count, Digest, Document, Event, Identifier, Text, Tick, later
from autonomy.gates import Verdict
from autonomy.values import Instant


class Head(Document):
    """An accepted seal: its tick, its offset in `autonomy.runs`, its hash."""

    tick: Tick
    offset: Annotated[int, Field(ge=-1)]
    hash: Digest


class TickRecord(Event):
    """A record of one try at one tick; nothing of it counts until the try's seal is accepted."""

    topic = topics.RUNS
    producer = "planner"


class Blocker(Document):
    """One gate that does not pass, with what was measured, what is required and what would clear it."""

    code: Text
    verdict: Verdict
    measured: Text
    required: Text
    clears_when: Text
    evidence_job: Identifier | None = None
    evidence_age_bars: Count | None = None
    fingerprint: Digest | None = None


class GateFigure(Document):
    """A number that a gate compares.

    Attributes:
        name: what was measured, in one word of the evidence.
        value: null where it is undefined.
        at_least, at_most: what it must reach or may not exceed; null without that limit.
    """

    name: Text
    value: float | None
    at_least: float | None = None
    at_most: float | None = None


class GateResult(Blocker):
    """One promotion gate, passed or not.

    Attributes:
        deciding: False in shadow mode: measured and shown, without a say.
        expires_at: when its evidence becomes too old, if that can be foreseen.
        figures: the numbers behind its words; none where it compares none, or nothing was measured.
    """

    deciding: bool = True
    expires_at: Instant | None = None
    figures: tuple[GateFigure, ...] = later(())
