"""Where a planner begins to read: behind its newest snapshot that the log bears out, else at the beginning; and what it keeps for that.

Place in the flow: snapshot files and log → **starting** → app → files. A snapshot that is not used is named with its reason, and costs time
only.

Source: S7.
"""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from aiokafka import TopicPartition
from aiokafka.errors import KafkaError

from autonomy import clock
from autonomy.chain import AcceptedTick, RunRecord, read_record
from autonomy.envelope import Undecodable
from autonomy.errors import AutonomyError
from autonomy.events import Head
from autonomy.log_reader import LogReader
from autonomy.snapshot_files import RefusedSnapshot, SnapshotFolder
from autonomy.topics import INPUTS, RUNS
from planner.fold.state import State
from planner.shell.horizons import Horizons
from planner.shell.snapshots import Start, bytes_of_snapshot, read_snapshot

log = logging.getLogger(__name__)
READ_WITHIN_S: Final = 15.0
CHAIN: Final = TopicPartition(RUNS, 0)


async def find_start(reader: LogReader, folder: Path) -> Start | None:
    """The newest snapshot that can be used, with the reader behind it; None, with the reader at the beginning."""
    for path in SnapshotFolder(folder).files():
        try:
            start = read_snapshot(path.read_bytes())
            start.check(await seal_at(reader, start))
        except (AutonomyError, OSError, KafkaError, TimeoutError) as refusal:
            log.warning("snapshot %s is not used, the log is read from its beginning or an older one: %s", path.name, refusal)
            seek(reader, None)
            continue
        seek(reader, start)
        log.info("begins at a snapshot", extra={"tick": start.head.tick, "bots": len(start.state.bots.rows)})
        return start
    return None


async def seal_at(reader: LogReader, start: Start) -> RunRecord:
    """The record at the snapshot's head, of a log that holds all that came before and after.

    Raises:
        RefusedSnapshot: there is none, or the log lost records before or after it.
    """
    ends = await reader.ends([RUNS, *INPUTS])
    wanted = {RUNS: (start.head.offset + 1,), **start.snapshot.cut}
    for topic, offsets in wanted.items():
        held = ends.get(topic, ())
        if len(held) != len(offsets) or any(end < offset for end, offset in zip(held, offsets, strict=True)):
            raise RefusedSnapshot(f"{topic} ends at {held}, the snapshot stands on {offsets}: the log lost records, or is another one")
    if deleted := await reader.deleted(partition for partition in reader.positions if partition.topic in {RUNS, *INPUTS}):
        raise RefusedSnapshot(deleted)
    seek(reader, start)
    reader.pause_all_but({CHAIN})
    deadline = clock.monotonic_ms() + READ_WITHIN_S * 1000
    while clock.monotonic_ms() < deadline:
        for record in await reader.poll(200, 1):
            placed = read_record(record)
            if isinstance(placed, Undecodable) or record.offset != start.head.offset:
                raise RefusedSnapshot(f"the record at offset {record.offset} is no seal of tick {start.head.tick}")
            return placed
        if reader.fault or reader.lost:
            raise RefusedSnapshot(reader.fault or reader.lost)
    raise RefusedSnapshot(f"the seal of tick {start.head.tick} was not read within {READ_WITHIN_S:.0f} s")


def seek(reader: LogReader, start: Start | None) -> None:
    """Go behind a snapshot, whose own seal is read again as the chain's anchor; or to the beginning."""
    for partition in list(reader.positions):
        if partition == CHAIN:
            reader.seek(partition, 0 if start is None else start.head.offset)
        elif partition.topic in INPUTS:
            reader.seek(partition, 0 if start is None else start.snapshot.cut[partition.topic][partition.partition])


def keep(
    folder: Path, tick: AcceptedTick, state: State, horizons: Horizons, heads: Mapping[int, str], excused: Sequence[tuple[int, Head]]
) -> None:
    """Write the state of a tick down whose seal has a root over it."""
    if tick.seal.snapshot_root is None:
        return
    try:
        SnapshotFolder(folder).write(tick.seal.tick, bytes_of_snapshot(state, tick.head, tick.seal.cut, horizons, heads, excused))
    except OSError as refusal:
        log.warning("no snapshot, so the next start takes longer: %s", refusal, extra={"tick": tick.seal.tick})
