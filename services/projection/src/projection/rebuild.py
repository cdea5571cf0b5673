"""Build the read models again beside the live ones, prove that they are equal, and switch.

Place in the flow: by hand, or in a drill: `python -m projection.rebuild [--swap]`. The live tables are hashed in one
snapshot together with their offsets; the rebuild then reads the log from its beginning to exactly these offsets, is hashed in the
same way, and only if every table is equal may it take the live ones' place.

Source: R-F9.
"""

import argparse
import asyncio
import contextlib
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import asyncpg

from autonomy.errors import Broken, Retryable
from autonomy.postgres import connect
from autonomy.read_model import METADATA, NOT_COMPARED, NOT_REBUILT, SCHEMA
from autonomy.telemetry import set_up
from autonomy.topics import PULSE, QUARANTINE, RUNS
from projection.app import build_projection
from projection.schema import OLD, make_schema
from projection.settings import ProjectionSettings
from projection.store.batches import table_hashes

SIDE: Final = "autonomy_rebuild"
SWAP_TRIES: Final = 5
Hashes = dict[str, str]
Target = dict[tuple[str, int], int]


@dataclass(frozen=True, slots=True)
class Comparison:
    """What a rebuild found.

    Attributes:
        differing: tables whose rows are not equal; empty when the proof holds.
        records: how many records were read.
    """

    live: Hashes
    rebuilt: Hashes
    records: int

    @property
    def differing(self) -> list[str]:
        """Tables that are not equal."""
        return sorted(name for name, digest in self.live.items() if self.rebuilt.get(name) != digest)


def compared_tables() -> list[tuple[str, list[str], list[str]]]:
    """(table, columns, keys) of everything that follows from the log alone."""
    return [
        (
            table.name,
            [column.name for column in table.columns if column.name not in NOT_COMPARED],
            [column.name for column in table.primary_key],
        )
        for table in METADATA.sorted_tables
        if table.name not in NOT_REBUILT
    ]


async def picture(url: str, schema: str) -> tuple[Target, Hashes]:
    """Offsets and hashes of one schema in one snapshot: per partition, below which offset everything was applied."""
    connection = await connect(url, schema)
    try:
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            target = {
                (row["topic"], row["partition"]): row["next_offset"] if row["topic"] == RUNS else row["applied_offset"]
                for row in await connection.fetch("SELECT * FROM projection_offsets")
            }
            return target, await table_hashes(connection, compared_tables())
    finally:
        await connection.close()


async def fill(settings: ProjectionSettings, target: Mapping[tuple[str, int], int]) -> int:
    """Read the log into the side schema up to exactly these offsets; returns how many records were read.

    Raises:
        Broken: what is below these offsets does not bring the rows to the head that they say.
    """
    projection = await build_projection(settings, read_only_log=True)
    projection.intake.waits_for_jobs = False
    try:
        while not reached(projection.intake.positions, target):
            records = await projection.reader.poll(200, settings.batch)
            for record in records:
                if record.offset < target.get((record.topic, record.partition), 0):
                    projection.intake.take(record)
            projection.intake.apply_ready_ticks()
            if records:
                await projection.commit()
        head, wanted = projection.intake.applied_head, target.get((RUNS, 0), 0)
        if head.offset + 1 != wanted:
            raise Broken(f"the rebuild ends at tick {head.tick}, offset {head.offset} of {RUNS}, and the live rows just below {wanted}")
        return projection.intake.read
    finally:
        await projection.close()


def reached(positions: Mapping[tuple[str, int], int], target: Mapping[tuple[str, int], int]) -> bool:
    """Whether everything below the target was taken; pulses expire and prove nothing."""
    return all(positions.get(key, 0) >= offset for key, offset in target.items() if key[0] not in {PULSE, QUARANTINE})


async def rebuild(owner_url: str, writer_url: str, kafka: str, *, live_schema: str = SCHEMA, side: str = SIDE) -> Comparison:
    """Rebuild beside the live read models and compare."""
    await drop(owner_url, side)
    await asyncio.to_thread(make_schema, owner_url, side)
    target, live = await picture(writer_url, live_schema)
    settings = ProjectionSettings(KAFKA_BOOTSTRAP_SERVERS=kafka, DATABASE_URL=writer_url, PROJECTION_SCHEMA=side)
    records = await fill(settings, target)
    _, rebuilt = await picture(writer_url, side)
    return Comparison(live, rebuilt, records)


async def drop(owner_url: str, schema: str) -> None:
    """Remove a side schema."""
    connection = await asyncpg.connect(owner_url)
    try:
        await connection.execute(f'DROP SCHEMA IF EXISTS "{schema}" CASCADE')
    finally:
        await connection.close()


async def swap(owner_url: str, side: str = SIDE) -> None:
    """Put the rebuilt schema in the live one's place, in one transaction.

    The live projection's next commit meets other offsets, stops, and starts again from the rebuilt ones.

    Raises:
        Retryable: the live projection's batches were in the way each time; nothing has changed.
    """
    connection = await asyncpg.connect(owner_url)
    try:
        for _ in range(SWAP_TRIES):
            # A batch that waits for us with a part written, while we wait for it: the server ends one of the two.
            with contextlib.suppress(asyncpg.DeadlockDetectedError):
                await _swap(connection, side)
                return
        raise Retryable(f"the live projection's batches were in the way {SWAP_TRIES} times")
    finally:
        await connection.close()


async def _swap(connection: "asyncpg.Connection[asyncpg.Record]", side: str) -> None:
    async with connection.transaction():
        # An open batch finds its tables by name with each statement: one that has parts here must not end in the other schema.
        tables = ", ".join(f'"{SCHEMA}"."{table.name}"' for table in METADATA.sorted_tables)
        await connection.execute(f"LOCK TABLE {tables} IN EXCLUSIVE MODE")
        await connection.execute(f'DROP SCHEMA IF EXISTS "{OLD}" CASCADE')
        await connection.execute(f'ALTER SCHEMA "{SCHEMA}" RENAME TO "{OLD}"')
        await connection.execute(f'ALTER SCHEMA "{side}" RENAME TO "{SCHEMA}"')


async def run(*, swap_after: bool) -> int:
    """Rebuild, compare, and switch if asked to; 0 equal, 1 differing."""
    owner, writer = os.environ["OWNER_DATABASE_URL"], os.environ["DATABASE_URL"]
    found = await rebuild(owner, writer, os.environ["KAFKA_BOOTSTRAP_SERVERS"])
    for name, digest in sorted(found.live.items()):
        mark = "equal    " if found.rebuilt.get(name) == digest else "DIFFERENT"
        sys.stdout.write(f"{mark} {name} {digest[:16]}\n")
    sys.stdout.write(f"{found.records} records read\n")
    if found.differing:
        return 1
    if swap_after:
        await swap(owner)
        sys.stdout.write("switched; the schema before is kept as autonomy_old\n")
    return 0


def main() -> int:
    """`python -m projection.rebuild [--swap]`, with OWNER_DATABASE_URL, DATABASE_URL and KAFKA_BOOTSTRAP_SERVERS."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--swap", action="store_true", help="switch to the rebuilt read models if they are equal")
    words = parser.parse_args()
    set_up("rebuild")
    return asyncio.run(run(swap_after=words.swap))


if __name__ == "__main__":
    sys.exit(main())
