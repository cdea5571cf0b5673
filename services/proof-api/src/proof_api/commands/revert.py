"""What a revert to LAB would do, worked out from the read models by the function that the planner applies.

Place in the flow: route → **dry run** → PostgreSQL (role reader), one snapshot for the whole answer.

Source: R-C2; docs/architecture.md, "Revert".
"""

from collections.abc import Mapping
from typing import Final

import asyncpg

from autonomy.events import MAX_BOTS_PER_COMMAND, RevertToLab
from autonomy.revert_plan import RevertPlan, Standing, revert_plan
from autonomy.values import Stage
from proof_api.reading.queries import BotFilter, document

FLEET_SQL: Final = "SELECT id, stage, stage_version, pinned, strategy, symbol FROM bots WHERE retired_at IS NULL"
PINNED_SQL: Final = "SELECT id AS bot_id, stage, pinned_by, pin_reason, pinned_until FROM bots WHERE id = ANY($1::text[]) ORDER BY id"
JOBS_SQL: Final = """
SELECT job_type, status, count(*) AS n FROM bot_jobs
WHERE status IN ('QUEUED', 'RUNNING') AND bot_id = ANY($1::text[]) GROUP BY 1, 2 ORDER BY 1, 2
"""
SESSIONS_SQL: Final = """
SELECT id AS session_id, bot_id, units, equity, pnl, last_day, replay FROM bot_sessions
WHERE state = 'OPEN' AND bot_id = ANY($1::text[]) ORDER BY bot_id
"""
PAUSES_SQL: Final = "SELECT scope, target, actor, since FROM autonomy_loop ORDER BY scope, target"
NAMED: Final = 1_000
"""Bots and sessions that an answer names; counts and hash are always over all."""


async def shown_by(connection: "asyncpg.Connection[asyncpg.Record]", wanted: BotFilter) -> tuple[str, ...]:
    """Bots beyond LAB that a filter of the fleet's list shows, by id; one more than a command may name where there are too many."""
    where = wanted.where()
    where.add("stage <> {}", Stage.LAB.value)
    where.values.append(MAX_BOTS_PER_COMMAND + 1)
    sql = f"SELECT bot_id FROM bot_now WHERE {where.sql} ORDER BY bot_id LIMIT ${len(where.values)}"  # noqa: S608 (conditions are ours)
    return tuple(row["bot_id"] for row in await connection.fetch(sql, *where.values))


async def dry_run(connection: "asyncpg.Connection[asyncpg.Record]", wanted: RevertToLab, *, of_nobody: bool = False) -> dict[str, object]:
    """The plan's hash and count, what would stop, who is pinned, and when the baselines would come.

    Args:
        connection: of the role reader.
        wanted: which bots; an empty list does not restrict.
        of_nobody: a filter was given and shows no bot, which is another thing than no filter.
    """
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        fleet = (
            []
            if of_nobody
            else [
                Standing(row["id"], Stage(row["stage"]), row["stage_version"], row["pinned"], row["strategy"], row["symbol"])
                for row in await connection.fetch(FLEET_SQL)
            ]
        )
        plan = revert_plan(wanted, fleet)
        moved = list(plan.moved)
        pinned = await connection.fetch(PINNED_SQL, list(plan.pinned[:NAMED]))
        jobs = await connection.fetch(JOBS_SQL, moved)
        sessions = await connection.fetch(SESSIONS_SQL, moved)
        pauses = await connection.fetch(PAUSES_SQL)
    positions = [row for row in sessions if row["units"]]
    held_back = [row for row in pauses if row["scope"] == "fleet" or (row["scope"], row["target"]) == ("stage", Stage.LAB.value)]
    return {
        "planHash": plan.hash, "expectedCount": len(moved), "botIds": moved[:NAMED],
        "byStage": {stage.value: count for stage, count in plan.by_stage.items()},
        "pinned": {"count": len(plan.pinned), "bots": [document(row) for row in pinned]},
        "stops": {
            "jobs": _by_type(jobs), "openSessions": len(sessions), "withPosition": len(positions),
            "positions": [document(row) for row in positions[:NAMED]],
        },
        "loopPaused": bool(held_back), "pausedBy": [document(row) for row in held_back],
        "baselines": "AFTER_RESUME" if held_back else "SAME_TICK",
        "command": _command_of(wanted, plan),
    }  # fmt: skip


def _by_type(rows: list[asyncpg.Record]) -> dict[str, dict[str, int]]:
    found: dict[str, dict[str, int]] = {}
    for row in rows:
        found.setdefault(row["job_type"], {})[row["status"].lower()] = row["n"]
    return found


def _command_of(wanted: RevertToLab, plan: RevertPlan) -> Mapping[str, object]:
    """The body that applies exactly this plan, to be completed with a reason."""
    filters = wanted.model_dump(mode="json", by_alias=True, include={"stages", "bot_ids", "strategies", "symbols"})
    return {"type": "revert-to-lab", **filters, "planHash": plan.hash, "expectedCount": len(plan.moved)}


async def with_moved(connection: "asyncpg.Connection[asyncpg.Record]", command: dict[str, object]) -> dict[str, object]:
    """A command's row; of an accepted revert with every bot that it moved, read from the stage history."""
    if command["command"] != RevertToLab.wire or command["status"] != "ACCEPTED":
        return command
    stayed = command["outcomes"] if isinstance(command["outcomes"], list) else []
    return command | {"outcomes": [*await moved_by(connection, str(command["id"])), *stayed]}


async def moved_by(connection: "asyncpg.Connection[asyncpg.Record]", command_id: str) -> list[dict[str, object]]:
    """The bots that a revert moved, by bot id."""
    rows = await connection.fetch(
        "SELECT bot_id, 'REVERTED' AS outcome, from_stage, to_stage, reason_code, id AS event_id FROM bot_stage_events "
        "WHERE command_id = $1 ORDER BY bot_id", command_id, timeout=2,
    )  # fmt: skip
    return [document(row) for row in rows]
