"""What all records of a tick have in common: the head that they follow, and the findings of a gate in them."""

from typing import Annotated

from pydantic import Field

from autonomy import topics
from autonomy.events.document import Count, Digest, Document, Event, Identifier, Text, Tick
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


class GateResult(Blocker):
    """One promotion gate, passed or not.

    Attributes:
        deciding: False in shadow mode: measured and shown, without a say.
        expires_at: when its evidence becomes too old, if that can be foreseen.
    """

    deciding: bool = True
    expires_at: Instant | None = None
