"""What a fleet's files would do, worked out from the read models by the function that the planner applies.

Place in the flow: route → **dry run** → PostgreSQL (role reader), one snapshot for the whole answer.
"""

import asyncio
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Final

import asyncpg

from autonomy.apply_plan import Held, Step, apply_plan
from autonomy.events import ApplyFleet, StrategyOffered
from autonomy.values import Stage

HELD_SQL: Final = """
SELECT id, name, strategy, parameters, symbol, timeframe, stage, version, pinned, fleet, evolve, retired_at IS NOT NULL AS retired
FROM bots WHERE id = ANY($1::text[])
"""
COUNT_SQL: Final = "SELECT count(*) FROM bots WHERE retired_at IS NULL"
OFFERS_SQL: Final = """
SELECT strategies FROM bot_runners WHERE NOT stopping AND last_beat_at > $1::timestamptz - interval '1 minute' ORDER BY process_id
"""
LAST_OFFER_SQL: Final = "SELECT strategies FROM bot_runners ORDER BY last_beat_at DESC NULLS LAST LIMIT 1"
MEMBERS_SQL: Final = "SELECT id FROM bots WHERE fleet = $1 AND fleet <> '' AND retired_at IS NULL AND id > $2 ORDER BY id LIMIT $3"
MEMBERS_AT_ONCE: Final = 10_000


async def dry_run(connection: "asyncpg.Connection[asyncpg.Record]", wanted: ApplyFleet, now: datetime) -> dict[str, object]:
    """The plan's hash, the counts, and every bot that does not stay as it is.

    Args:
        connection: of the role reader.
        wanted: documents of bots, and who leaves; its own hash is not looked at.
        now: by the broker's clock; runners that beat shortly before are asked what strategies there are.
    """
    named = [str(document.get("id", "")).replace("\x00", "") for document in wanted.bots] + list(wanted.retire)
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        rows = await connection.fetch(HELD_SQL, named)
        bots = await connection.fetchval(COUNT_SQL)
        runners = await connection.fetch(OFFERS_SQL, now) or await connection.fetch(LAST_OFFER_SQL)
    held = {row["id"]: held_of(dict(row)) for row in rows if not row["retired"]}
    retired = {row["id"] for row in rows if row["retired"]}
    # Beside the loop, on which every proof waits.
    plan = await asyncio.to_thread(apply_plan, wanted, held, retired, offers_of([dict(row) for row in runners]), bots)
    return {
        "planHash": plan.hash, "counts": plan.counts,
        "items": [shown(step) for step in plan.steps if step.outcome != "UNCHANGED"],
    }  # fmt: skip


async def members(connection: "asyncpg.Connection[asyncpg.Record]", fleet: str, after: str) -> tuple[list[str], str | None]:
    """Ids of a fleet's bots behind `after`, and where the next page begins; None on the last one."""
    rows = await connection.fetch(MEMBERS_SQL, fleet, after, MEMBERS_AT_ONCE + 1)
    ids = [row["id"] for row in rows[:MEMBERS_AT_ONCE]]
    return ids, ids[-1] if len(rows) > MEMBERS_AT_ONCE else None


def held_of(row: Mapping[str, object]) -> Held:
    """A bot's row as a plan sees it."""
    parameters = row["parameters"]
    return Held(
        bot_id=str(row["id"]), name=str(row["name"]), strategy=str(row["strategy"]),
        parameters=parameters if isinstance(parameters, Mapping) else {}, symbol=str(row["symbol"]), timeframe=str(row["timeframe"]),
        stage=Stage(str(row["stage"])), version=int(str(row["version"])), pinned=bool(row["pinned"]), fleet=str(row["fleet"]),
        evolve=str(row["evolve"]),
    )  # fmt: skip


def offers_of(runners: Iterable[Mapping[str, object]]) -> dict[str, StrategyOffered]:
    """The first offer of each name, in the order of the processes, as the planner takes them."""
    found: dict[str, StrategyOffered] = {}
    for runner in runners:
        strategies = runner["strategies"]
        for document in strategies if isinstance(strategies, list) else []:
            if document["name"] not in found:
                found[document["name"]] = StrategyOffered.model_validate(document)
    return found


def shown(step: Step) -> dict[str, object]:
    """What becomes of one bot, as it goes out."""
    refused = step.outcome == "REJECTED"
    return {
        "botId": step.bot_id, "outcome": step.outcome, "version": step.version,
        "changes": [change._asdict() for change in step.changes],
        "field": step.field[:500] if refused else None, "limit": step.limit[:500] if refused else None,
    }  # fmt: skip
