"""A stretch of time of the whole fleet: ticks, silences, jobs in lanes, moves of stages.

Place in the flow: rows → **timeline** → proof-api, OpenAPI → the page's picture. One document says it for any length of time: a short one
by every tick and job, a long one by counts in equal steps, and the document says which.

Source: docs/architecture.md, "The Bots page".
"""

from datetime import datetime
from uuid import UUID

from autonomy.documents.proofs import Proved
from autonomy.documents.rows import Shown
from autonomy.values import Cause, JobStatus, JobType, LanesBy, Stage, TickCause


class TicksOfCause(Shown):
    """What one cause has in a bar."""

    cause: TickCause
    """what woke the planner"""
    ticks: int
    """how many ticks"""
    enqueued: int
    """jobs that they enqueued"""


class TickBar(Shown):
    """A bar of the strip: one tick, or all ticks of one step."""

    at: datetime
    """time of its first tick"""
    first_tick: int
    """its first tick"""
    last_tick: int
    """its last tick"""
    ticks: int
    """how many ticks"""
    enqueued: int
    """jobs that they enqueued"""
    paused: int
    """how many of them found the fleet paused"""
    causes: list[TicksOfCause]
    """by cause, in the order of causes"""


class Silence(Shown):
    """Times at which a tick was due and none came."""

    after_tick: int
    """the tick before"""
    from_at: datetime
    """time of that tick"""
    before_tick: int | None
    """the tick that ended it; null while it lasts"""
    to_at: datetime
    """time of that tick; while it lasts, the instant up to which the rows are complete"""
    missing: int
    """how many times of the planner's grid passed without a tick"""
    interval_sec: float
    """the grid that was in force, s"""


class StageMoves(Shown):
    """Bots that changed their stage together: at one tick, or within one step, the same way and for the same reason."""

    at: datetime
    """time of the first of them"""
    tick: int
    """tick of the first of them"""
    from_stage: Stage | None
    """where they stood; null at registration"""
    to_stage: Stage
    """where they went"""
    reason_code: str
    """why"""
    bots: int
    """how many"""
    bot_id: str
    """the first of them, by id"""
    command_id: UUID | None
    """the command that moved them all; null without one, or where there were several"""


class JobBlock(Shown):
    """One attempt of a job: it waits, it runs, it ends."""

    job_id: UUID
    """which job"""
    bot_id: str
    """whose"""
    job_type: JobType
    """what it does"""
    attempt: int
    """1-based"""
    queued_at: datetime
    """since when it waits, or waited"""
    started_at: datetime | None
    """when a worker began; null if none did"""
    ended_at: datetime | None
    """when it ended; null while it lives"""
    status: JobStatus | None
    """of the job; null: this attempt was given up and the job went back into the queue"""
    cause: Cause | None
    """why it ended so"""


class Lane(Shown):
    """Jobs with one thing in common, in equal steps of time; the first step holds the beginning of the window."""

    key: str | None
    """the process, stage, strategy, symbol or bot; null: no worker has claimed them, the whole fleet, or lanes that are folded"""
    folded: int
    """of how many lanes this one is the sum, where there are too many; 0: it is a lane of its own"""
    jobs: int
    """attempts of jobs in the window"""
    failed: int
    """those of them that failed within it"""
    queued: list[int]
    """of each step, how many waited at any moment of it"""
    running: list[int]
    """of each step, how many ran at any moment of it"""
    failures: list[int]
    """of each step, how many failed within it"""
    blocks: list[JobBlock] | None
    """each of them, by the time since when it waited; null where the window has too many"""


class TimelineTotals(Shown):
    """The window in numbers."""

    ticks: int
    """ticks"""
    enqueued: int
    """jobs that they enqueued"""
    missing: int
    """ticks that were due and did not come"""
    jobs: int
    """attempts of jobs that waited or ran"""
    succeeded: int
    """jobs that ended well within it"""
    failed: int
    """jobs that failed within it"""
    moved: int
    """changes of stages, registrations among them"""


class FleetTimeline(Proved):
    """What the loop did in a stretch of time."""

    from_at: datetime
    """its beginning"""
    to_at: datetime
    """its end; never later than now"""
    known_until: datetime | None
    """up to where the rows are complete: what is later may still come; null while it is not known"""
    first_tick_at: datetime | None
    """time of the very first tick, before which there is no silence but nothing; null before it"""
    by: LanesBy
    """what the lanes tell apart"""
    step_sec: int
    """length of a step, s; steps begin at multiples of it since 1970"""
    steps: int
    """how many"""
    ticks_folded: bool
    """a bar is a step, since there are too many ticks; else it is one tick"""
    bars: list[TickBar]
    """by time; a step without a tick has no bar"""
    silences: list[Silence]
    """by time, also those that reach into the window"""
    moves: list[StageMoves]
    """by time"""
    lanes: list[Lane]
    """by key; those that are folded come last"""
    totals: TimelineTotals
    """the whole window in numbers"""
