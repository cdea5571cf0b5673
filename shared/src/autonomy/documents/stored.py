"""One event as it stands in the log, and what bears it out.

Place in the flow: **stored** → `/api/events/{event_id}`, OpenAPI → event page.
"""

from datetime import datetime
from uuid import UUID

from pydantic import JsonValue

from autonomy.documents.proofs import Proved
from autonomy.documents.rows import Shown


class StoredRecord(Shown):
    """A record by its place, with what is stored there."""

    topic: str
    """which log"""
    partition: int
    """of the topic"""
    offset: int
    """in the partition; never changes"""
    appended_at: datetime
    """by the broker's clock"""
    key: str
    """by which its partition was chosen; what is no text is shown as far as it is one"""
    headers: dict[str, str]
    """what travels beside the value, likewise"""
    size_bytes: int
    """of the value"""
    sha256: str
    """of the value's bytes"""


class AcceptedBy(Shown):
    """The accepted tick that a record belongs to, or that was the first to fold it."""

    tick: int
    """its number"""
    hash: str
    """of its seal"""
    seal_offset: int
    """of its seal in `autonomy.runs`"""
    own: bool
    """the record is the tick's own; else it is an input that the tick folded"""
    records: int | None
    """how many records the tick has, each read again for this answer; null for an input"""
    root: str | None
    """the hash over their hashes that the seal names; null for an input"""
    root_holds: bool | None
    """the hash over what was read is that root, and the seal's own hash is the one above; null for an input"""


class StoredEvent(Proved):
    """An event with its record and its place in the chain."""

    record: StoredRecord
    """where and what"""
    event: dict[str, JsonValue]
    """the CloudEvent as stored"""
    accepted: AcceptedBy | None
    """null while no accepted tick has it: an input that was not folded yet, or a record of a try that lost"""
    event_id: UUID
    """its id; a change of a stage is found by the id in its data too"""
