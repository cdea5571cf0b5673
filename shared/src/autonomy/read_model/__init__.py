"""The tables that the projection writes and everybody else only reads; all can be thrown away and rebuilt from the log.

Place in the flow: projection → **tables** → proof-api, psql. Names and columns of the requirements are fixed. Each table and
column has a COMMENT. Instants are the broker's append time, or a tick's recorded `now`.
"""

from typing import Final

from autonomy.read_model import fleet, keeping, paper, planning, work
from autonomy.read_model.columns import METADATA
from autonomy.read_model.versions import VERSION_WORDS, schema_version, version_in
from autonomy.read_model.views import VIEWS

SCHEMA: Final = "autonomy"
CHANNEL: Final = "autonomy_changes"
NOT_REBUILT: Final = frozenset({keeping.PULSES.name, keeping.OFFSETS.name, keeping.HEAD.name})
"""Tables whose rows say how far a projection is, not what the log says."""
NOT_COMPARED: Final = frozenset({"rev", "phase", "progress", "last_beat_at", "runner_beat_at", "unmatched", "held"})
"""Columns that depend on how the topics were interleaved: the batch's revision, and what beats say of a job while it runs
(the next beat says it again; when the job ends they are set from its end)."""
__all__ = [
    "CHANNEL", "METADATA", "NOT_COMPARED", "NOT_REBUILT", "SCHEMA", "VERSION_WORDS", "VIEWS", "fleet", "paper", "planning",
    "schema_version", "version_in", "work",
]  # fmt: skip
