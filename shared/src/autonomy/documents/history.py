"""What happened to one bot: its timeline, and its versions with what was found about them.

Place in the flow: **history** → routes of proof-api, OpenAPI.
"""

from datetime import datetime
from enum import StrEnum, unique
from typing import Final
from uuid import UUID

from autonomy.documents import tables
from autonomy.documents.answers import Page
from autonomy.documents.rows import Shown, made_of, many


@unique
class TimelineKind(StrEnum):
    """What an entry of the timeline tells of."""

    STAGE = "stage"
    DECISION = "decision"
    JOB = "job"
    COMMAND = "command"
    PROMOTION = "promotion"
    EVOLUTION = "evolution"
    VERSION = "version"
    LOOK = "look"
    DRIFT = "drift"
    SESSION = "session"
    NOTE = "note"


class TimelineEntry(Shown):
    """Something that happened to a bot."""

    at: datetime
    """when"""
    kind: TimelineKind
    """what it tells of"""
    what: str
    """what happened, in a few words"""
    actor: str | None
    """who did it: an operator, the planner, or a runner's process id"""
    detail: str | None
    """more about it"""
    ref: str
    """id or number of what it is about, by kind"""
    event_id: str | None
    """record that says so; null where a row keeps none"""


TimelinePage: Final = made_of(
    "TimelinePage", "Everything that happened to one bot, newest first", Page, items=(many(TimelineEntry), "what happened")
)


class EvidenceOfVersion(Shown):
    """What was found about a version under one fingerprint."""

    fingerprint: str
    """strategy code, parameters, data, engine, costs"""
    results: int
    """accepted results under it"""
    newest_at: datetime
    """when the newest came in"""
    job_id: UUID
    """the job that found the newest"""
    sharpe: float | None
    """of the newest, annualised"""
    dsr: float | None
    """deflated Sharpe ratio of the newest, probability"""
    trades: int
    """closed trades of the newest"""
    max_drawdown: float | None
    """of the newest, fraction"""
    last_bar: datetime
    """start of the last bar of any of them"""


VersionTested: Final = made_of(
    "VersionTested", "A version of a bot with its evidence", tables.VERSION.model,
    evidence=(many(EvidenceOfVersion), "by fingerprint, the newest first; at most 50"),
)  # fmt: skip
VersionPage: Final = made_of("VersionPage", "Versions of one bot, newest first", Page, items=(many(VersionTested), "the versions"))
