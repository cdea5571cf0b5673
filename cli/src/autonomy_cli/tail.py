"""What the log says, one JSON document a line.

Place in the flow: Kafka → **tail** → standard output. Records of `autonomy.runs` count only once their try's seal is accepted,
so they are shown then; `raw` shows every record as it was appended, those of void tries too.
"""

import json
from collections import deque
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Final

from autonomy.chain import AcceptedTick, Chain
from autonomy.envelope import Record, Undecodable, decode
from autonomy.log_reader import LogReader
from autonomy.topics import RUNS, TOPICS
from autonomy.values import iso_of_ms
from autonomy_cli.log_audit import opened

POLL_MS: Final = 300
MAX_LINES: Final = 100_000
NAMES: Final = {topic.name.removeprefix("autonomy."): topic for topic in TOPICS}


def line_of(topic: str, partition: int, offset: int, timestamp_ms: int, value: bytes | None) -> str:
    """A record with its place; one that cannot be read says why instead of its event."""
    document: dict[str, object] = {"topic": topic, "partition": partition, "offset": offset, "appendedAt": iso_of_ms(timestamp_ms)}
    refusal = decode(value, topic)
    if isinstance(refusal, Undecodable):
        document["undecodable"] = refusal.reason
    else:
        document["event"] = json.loads(value or b"null")
    return json.dumps(document)


@dataclass(slots=True)
class Tail:
    """Turns records into lines; of `autonomy.runs` only those that count, unless `raw`."""

    raw: bool = False
    chain: Chain = field(default_factory=Chain)

    def lines(self, record: Record) -> list[str]:
        """The lines that a record completes."""
        if record.topic != RUNS or self.raw:
            return [line_of(record.topic, record.partition, record.offset, record.timestamp, record.value)]
        done = self.chain.read(record)
        if not isinstance(done, AcceptedTick):
            return []
        seal = line_of(RUNS, 0, record.offset, record.timestamp, record.value)
        return [*(line_of(RUNS, 0, kept.offset, kept.timestamp_ms, kept.value) for kept in done.records), seal]


async def tail(bootstrap: str, name: str, *, last: int, follow: bool, raw: bool) -> AsyncIterator[str]:
    """The last lines of a topic (0: all), in order of append, then new ones as they come.

    Raises:
        CannotRun: no broker answers.
    """
    topic = NAMES[name]
    counts = {topic.name: [0] * topic.partitions}
    async with opened(bootstrap, counts) as reader:
        await _start(reader, raw or topic.name != RUNS, last)
        shown, known = Tail(raw), deque[tuple[int, str]](maxlen=last or MAX_LINES)
        async for record in reader.to_the_end([topic.name]):
            known.extend((record.timestamp, line) for line in shown.lines(record))
        for _, line in sorted(known, key=lambda entry: entry[0]):
            yield line
        while follow:
            for record in await reader.poll(POLL_MS):
                for line in shown.lines(record):
                    yield line


async def _start(reader: LogReader, may_skip: bool, last: int) -> None:
    """Begin at the first record there is, or near the end where the beginning is not needed."""
    first = await reader.consumer.beginning_offsets(list(reader.positions))
    last_offsets = await reader.consumer.end_offsets(list(reader.positions))
    for partition, offset in first.items():
        near = last_offsets[partition] - last if may_skip and last else 0
        reader.seek(partition, max(offset, near))
