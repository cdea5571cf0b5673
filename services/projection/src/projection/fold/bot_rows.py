"""The shape of a bot's own rows: the bot, its stages, versions and notes.

Place in the flow: apply → **bot rows** → store. Pure functions without memory.
"""

from datetime import datetime
from typing import assert_never

from autonomy.events import (
    BotAmended,
    BotChanged,
    BotPinned,
    BotRegistered,
    BotRetired,
    BotUnpinned,
    ChallengerDeclined,
    HoldPlaced,
    HoldReleased,
    LoopPaused,
    LoopResumed,
    StageChanged,
)
from autonomy.values import MoveReason, iso
from projection.fold.bot_now import Row
from projection.fold.rows import Said


def bot_row(event: BotRegistered, at: datetime) -> Row:
    """A bot at its registration."""
    return {
        "id": event.bot_id, "name": event.name, "stage": event.stage.value, "stage_updated_at": at,
        "stage_reason_code": MoveReason.REGISTERED.value, "stage_version": 1, "origin": event.origin.value,
        "strategy": event.strategy, "parameters": event.parameters, "symbol": event.symbol,
        "timeframe": event.timeframe.value, "version": 1, "pinned": event.pinned, "pin_reason": event.pin_reason,
        "pinned_by": event.actor if event.pinned else None, "pinned_until": None,
        "hold_reason": None, "hold_actor": None, "registered_at": at, "retired_at": None,
        "fleet": event.fleet, "evolve": event.evolve, "proposal_job": None,
    }  # fmt: skip


BotFact = BotAmended | BotChanged | StageChanged | HoldPlaced | HoldReleased | BotPinned | BotUnpinned


def bot_after(row: Row, event: BotFact, at: datetime) -> Row:
    """A bot after a fact about it."""
    match event:
        case BotAmended():
            changed: Row = {"name": event.name, "fleet": event.fleet, "evolve": event.evolve}
        case BotChanged():
            changed = {
                "version": event.version, "strategy": event.strategy, "parameters": event.parameters, "symbol": event.symbol,
                "timeframe": event.timeframe.value,
                "proposal_job": None,
            }  # fmt: skip
        case StageChanged():
            changed = {"stage": event.to_stage.value, "stage_updated_at": at, "stage_reason_code": event.reason_code}
            if event.from_stage is not None:
                changed["stage_version"] = int(str(row["stage_version"])) + 1
        case HoldPlaced():
            changed = {"hold_reason": event.reason, "hold_actor": event.actor}
        case HoldReleased():
            changed = {"hold_reason": None, "hold_actor": None} if event.kind == "OPERATOR" else {}
        case BotPinned():
            changed = {"pinned": True, "pin_reason": event.reason, "pinned_by": event.actor, "pinned_until": event.until}
        case BotUnpinned():
            changed = {"pinned": False, "pin_reason": "", "pinned_by": None, "pinned_until": None}
        case _:
            assert_never(event)
    return row | changed


def stage_row(event: StageChanged, said: Said) -> Row:
    """A row of a bot's stage history."""
    return {
        "id": event.event_id, "bot_id": event.bot_id, "from_stage": event.from_stage.value if event.from_stage else None,
        "to_stage": event.to_stage.value, "reason_code": event.reason_code, "actor": event.actor, "created_at": said.at,
        "tick": said.tick, "command_id": event.command_id, "recommendation_id": event.recommendation_id,
        "evidence_job": event.evidence_job, "approved_by": list(event.approved_by),
    }  # fmt: skip


def version_row(event: BotRegistered | BotChanged, said: Said) -> Row:
    """A version of a bot."""
    version, evolved_by = (event.version, event.evolved_by) if isinstance(event, BotChanged) else (1, None)
    return {
        "bot_id": event.bot_id, "version": version, "strategy": event.strategy,
        "parameters": event.parameters, "symbol": event.symbol, "timeframe": event.timeframe.value, "actor": event.actor,
        "evolved_by": evolved_by, "tick": said.tick, "created_at": said.at, "event_id": said.event_id,
    }  # fmt: skip


Noted = BotAmended | ChallengerDeclined | BotPinned | BotUnpinned | HoldPlaced | HoldReleased | BotRetired | LoopPaused | LoopResumed


def note_row(event: Noted, bot_id: str, said: Said) -> Row:
    """Something that has no table of its own."""
    match event:
        case BotAmended():
            said_of = (("name", event.name), ("fleet", event.fleet), ("evolve", event.evolve))
            kind, detail = "AMENDED", ", ".join(f"{name} {value}" for name, value in said_of if value)
        case ChallengerDeclined():
            kind, detail = "DECLINED", f"challenger of {event.job_id}" + (f": {event.reason}" if event.reason else "")
        case BotPinned():
            kind, detail = "PINNED", event.reason + (f" (until {iso(event.until)})" if event.until else "")
        case BotUnpinned():
            kind, detail = "UNPINNED", event.cause
        case HoldPlaced():
            kind, detail = "HELD", f"{event.kind}: {event.reason}"
        case HoldReleased():
            kind, detail = "RELEASED", event.kind
        case BotRetired():
            kind, detail = "RETIRED", ""
        case LoopPaused():
            kind, detail = "PAUSED", event.reason
        case LoopResumed():
            kind, detail = "RESUMED", ""
        case _:
            assert_never(event)
    return {
        "event_id": said.event_id, "bot_id": bot_id, "kind": kind, "actor": event.actor, "detail": detail, "tick": said.tick,
        "created_at": said.at,
    }  # fmt: skip
