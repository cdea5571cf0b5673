"""A planner as a process: what it connects to, and how it ends.

Place in the flow: settings → **process** → app. The only place that builds its clients.
"""

import asyncio
import logging
import signal
from typing import Final

from autonomy import clock
from autonomy.errors import Broken
from autonomy.kafka import build_producer
from autonomy.log_reader import LogReader
from autonomy.producer import Producer
from autonomy.topics import INPUTS, PULSE, RUNS, TOPICS
from planner.shell.app import Planner
from planner.shell.election import Election
from planner.shell.known_heads import KnownHeads, read_head_file
from planner.shell.settings import PlannerSettings
from planner.shell.starting import find_start

log = logging.getLogger(__name__)
PULSES_BACK: Final = 8_000
"""Pulses read at the start: the newest head that anybody knew is among them, also after an outage of half an hour."""


async def build_planner(settings: PlannerSettings, process_id: str) -> Planner:
    """Connect: the log from the newest usable snapshot or its beginning, the pulse from its recent end."""
    starts = {topic.name: [0] * topic.partitions for topic in TOPICS if topic.name in {RUNS, *INPUTS}}
    reader = await LogReader.open(settings.kafka, {**starts, PULSE: [0]}, goes_on=True, near_end={PULSE: PULSES_BACK})
    producer = await Producer.open(lambda: build_producer(settings.kafka))
    election = Election(process_id, settings.takeover_s, started_mono_ms=clock.monotonic_ms(), now_ms=clock.now_ms())
    known = KnownHeads()
    if settings.head_file is not None:
        for tick, digest in read_head_file(settings.head_file).items():
            known.note(tick, digest, f"{settings.head_file}, where this planner writes its heads down,")
    planner = Planner(process_id, settings, reader, producer, election, known=known)
    start = None if settings.snapshots is None else await find_start(reader, settings.snapshots)
    if start is not None:
        planner.begin_at(start)
    return planner


async def run_planner(settings: PlannerSettings) -> int:
    """Run one planner process until SIGTERM; returns the exit code."""
    planner = await build_planner(settings, clock.drawn_id())
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, lambda: setattr(planner, "stopping", True))
    try:
        await planner.run()
    except Broken as fault:
        log.critical("broken: %s", fault)
        return 1
    finally:
        await planner.reader.close()
        await asyncio.wait_for(planner.producer.stop(), timeout=10)
    return 0
