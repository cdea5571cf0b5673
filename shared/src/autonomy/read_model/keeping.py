"""Keeping: how far the projection is, what it could not read, and signs of life.

Place in the flow: the projection's own bookkeeping → **tables** → lag and quarantine.
"""

from typing import Final

from sqlalchemy import BigInteger, Integer, Table, Text

from autonomy.read_model.columns import ID, INSTANT, METADATA, column

QUARANTINE_TABLE: Final = Table(
    "quarantine", METADATA,
    column("topic", Text(), "where the record stands", key=True),
    column("partition", Integer(), "its partition", key=True),
    column("log_offset", BigInteger(), "its offset", key=True),
    column("sha256", Text(), "of its value", null=False),
    column("size_bytes", BigInteger(), "of its value", null=False),
    column("reason", Text(), "why it cannot be read", null=False),
    column("excerpt", Text(), "its beginning, escaped", null=False),
    column("seen_at", INSTANT, "append time of the record", null=False),
    comment="Records that could not be read; each partition moved on",
)  # fmt: skip

PULSES: Final = Table(
    "pulses", METADATA,
    column("source", Text(), "planner or probe", key=True),
    column("process_id", ID, "which process", key=True),
    column("role", Text(), "leader, standby, halted, starting; probe", null=False),
    column("head_tick", BigInteger(), "accepted head as that process saw it", null=False),
    column("next_tick_at", INSTANT, "when a planner ticks next"),
    column("problem", Text(), "why it does not lead", null=False),
    column("said_at", INSTANT, "by the process's clock", null=False),
    column("appended_at", INSTANT, "by the broker's clock", null=False),
    comment="Newest sign of life of each process; not part of a rebuild",
)  # fmt: skip

OFFSETS: Final = Table(
    "projection_offsets", METADATA,
    column("topic", Text(), "topic", key=True),
    column("partition", Integer(), "partition", key=True),
    column("next_offset", BigInteger(), "where a restart reads on", null=False),
    column("applied_offset", BigInteger(), "records below it were applied, or wait for their tick", null=False),
    comment="Moved in the same transaction as the rows, by compare and set",
)  # fmt: skip

HEAD: Final = Table(
    "projection_head", METADATA,
    column("singleton", Integer(), "always 1", key=True),
    column("tick", BigInteger(), "last accepted tick that was applied", null=False),
    column("log_offset", BigInteger(), "offset of its seal", null=False),
    column("hash", Text(), "hash of its seal", null=False),
    column("market_now", INSTANT, "market clock of that tick"),
    column("void_records", BigInteger(), "records of runs that do not count", null=False),
    column("void_seals", BigInteger(), "seals that were not accepted", null=False),
    column("void_steps", BigInteger(), "job events that changed nothing", null=False),
    column("quarantined", BigInteger(), "records that could not be read", null=False),
    column("rev", BigInteger(), "revision: rises with each batch", null=False),
    column("applied_at", INSTANT, "when the last batch was committed", null=False),
    comment="How far the projection is",
)  # fmt: skip
