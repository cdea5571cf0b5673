"""The policy in force, who set it, and how much of what it allows is in use: one statement, so one moment of the rows.

Place in the flow: route → **standing** → PostgreSQL (role reader). The limits are those of the planner, counted from rows instead of its
state. A decision is made at a tick and this is read between two: what waits for its end still counts.

Source: R-A3.5, R-C2; docs/architecture.md, "The Bots page".
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from functools import cache
from math import floor
from typing import Final

import asyncpg
from sqlalchemy import ColumnElement, Select, and_, bindparam, func, literal_column, or_, select, true
from sqlalchemy.dialects.postgresql import array
from sqlalchemy.types import Text

from autonomy.errors import BadInput, Broken
from autonomy.events import SetPolicy, SetPromotionMode
from autonomy.identities import PLANNER
from autonomy.policy import DEFAULT, Policy, read_policy
from autonomy.policy_values import differences_of
from autonomy.read_model import fleet, planning, work
from autonomy.read_model.columns import INSTANT
from autonomy.read_model.keeping import HEAD
from autonomy.read_model.parts import CommandStatus
from autonomy.values import APPROVERS_MISSING, JobStatus, JobType, MoveReason, Stage, iso
from autonomy.work import SLOTS_FIELD, LimitName, Work, work_of
from proof_api.reading.statement import Statement, rows_of, statement_of, word

HOUR: Final = timedelta(hours=1)
VOTE_HOLDS: Final["ColumnElement[timedelta]"] = literal_column("interval '1 day'")
"""How long the first of two approvers' word waits for the second one."""
LIVE: Final = [word(status) for status in (JobStatus.QUEUED, JobStatus.RUNNING)]
SAID_ONLY: Final = ("commandId", "actor", "role", "reason")
"""What of a command is not what it asks for."""
Rows = list[dict[str, object]]


@cache
def statement() -> Statement:
    """Parameters: `hour_ago`, and `silent_before`: a runner process whose last beat is older is gone."""
    policies, runs, said = planning.POLICY, planning.PLANNER_RUNS, planning.COMMANDS
    jobs, bots, moved = work.BOT_JOBS.c, fleet.BOTS.c, fleet.STAGE_EVENTS.c
    hour_ago = bindparam("hour_ago", type_=INSTANT)
    newest = select(policies).order_by(policies.c.tick.desc()).limit(1).subquery("newest")
    before = (
        select(policies.c.actor.label("before_actor"), policies.c.document.label("before_document"))
        .where(policies.c.tick < newest.c.tick).order_by(policies.c.tick.desc()).limit(1).lateral("before")
    )  # fmt: skip
    answered = and_(
        or_(said.c.command == SetPolicy.wire, said.c.command == SetPromotionMode.wire), said.c.status == CommandStatus.ACCEPTED.value
    )
    last = (
        select(said.c.id, said.c.reason, said.c.command, said.c.body, said.c.said_at)
        .where(answered, said.c.tick == newest.c.tick, said.c.actor == newest.c.actor, ~said.c.counts.has_key(APPROVERS_MISSING))
        .order_by(said.c.said_at.desc(), said.c.id).limit(1).lateral("last")
    )  # fmt: skip
    names = array(SAID_ONLY, type_=Text())
    first = (
        select(said.c.actor.label("first_actor"))
        .where(
            answered, said.c.command == last.c.command, said.c.counts.has_key(APPROVERS_MISSING), said.c.tick <= newest.c.tick,
            said.c.said_at <= last.c.said_at, said.c.said_at >= last.c.said_at - VOTE_HOLDS,
            said.c.body.op("-")(names) == last.c.body.op("-")(names),
        )
        .order_by(said.c.said_at.desc(), said.c.id).limit(1).lateral("first")
    )  # fmt: skip
    one = select(literal_column("1").label("one")).subquery("one")
    whole = (
        one.outerjoin(newest, true()).outerjoin(runs, runs.c.tick == newest.c.tick).outerjoin(before, true())
        .outerjoin(last, true()).outerjoin(first, true())
    )  # fmt: skip
    live = select(jobs.job_type, jobs.status, func.count().label("n")).where(jobs.status.in_(LIVE))
    hour = select(jobs.job_type, func.count().label("n")).where(jobs.created_at > hour_ago)
    stages = select(bots.stage, func.count().label("n")).where(bots.retired_at.is_(None))
    promoted = select(func.count()).where(moved.reason_code == MoveReason.AUTO_PROMOTED.value, moved.created_at > hour_ago)
    return statement_of(
        select(
            newest.c.tick, newest.c.policy_hash, newest.c.document, newest.c.actor, runs.c.started_at.label("since"), before.c.before_actor,
            before.c.before_document, last.c.id.label("command_id"), last.c.reason, first.c.first_actor,
            rows_of(live.group_by(jobs.job_type, jobs.status), "live"), rows_of(hour.group_by(jobs.job_type), "hour"),
            rows_of(stages.group_by(bots.stage), "stages"), rows_of(_places(), "places"),
            promoted.scalar_subquery().label("promoted"), select(HEAD.c.rev).scalar_subquery().label("rev"),
        ).select_from(whole)
    )  # fmt: skip


def _places() -> "Select[tuple[object, ...]]":
    """Places of each live process that the planner goes by: one that announced what it offers, and does not stop."""
    runners = work.BOT_RUNNERS.c
    return select(*(runners[name] for name in SLOTS_FIELD.values())).where(
        ~runners.stopping, runners.engine_version != "", runners.last_beat_at >= bindparam("silent_before", type_=INSTANT)
    )


async def standing(connection: "asyncpg.Connection[asyncpg.Record]", now: datetime, silent_before: datetime) -> dict[str, object]:
    """The document without its proof.

    Args:
        connection: of a role that may read.
        now: by the broker's clock; the hour of everything that is counted by the hour ends then.
        silent_before: a runner process whose last beat is older counts as gone.

    Raises:
        Broken: the policy in force is none that this code can read.
    """
    row = dict(await statement().row(connection, hour_ago=now - HOUR, silent_before=silent_before))
    document = DEFAULT.document() if row["document"] is None else row["document"]
    try:
        policy = read_policy(document)
    except BadInput as refusal:
        raise Broken(f"the policy in force cannot be read: {refusal}") from refusal
    in_force = {
        "tick": row["tick"], "since": iso(row["since"]) if row["since"] else None, "policyHash": row["policy_hash"] or DEFAULT.hash(),
        "actor": row["actor"], "approvedBy": approvers_of(row), "reason": row["reason"] or "", "commandId": row["command_id"],
        "document": document, "changes": [change._asdict() for change in differences_of(policy)],
    }  # fmt: skip
    held = {str(one["stage"]): count_of(one) for one in row["stages"]}
    promotions = {"used": row["promoted"], "limit": policy.promotion.auto_per_hour, "applies": policy.promotion_mode == "AUTO"}
    return {
        **in_force, "limits": limits_of(policy, row["live"], row["hour"], row["places"]), "promotions": promotions,
        "slots": slots_of(row["live"], row["places"]), "shares": shares_of(policy, held), "fleet": sum(held.values()),
        "countedAt": iso(now), "rev": row["rev"] or 0,
    }  # fmt: skip


def approvers_of(row: Mapping[str, object]) -> list[str]:
    """Everybody who agreed to the policy in force, in order.

    One is enough for the first policy of a fleet, and where the policy before said so.
    """
    if row["actor"] in {None, PLANNER}:
        return []
    before = row["before_document"]
    two = isinstance(before, Mapping) and row["before_actor"] != PLANNER and before.get("rules_approvers", DEFAULT.rules_approvers) == 2
    return [str(name) for name in ((row["first_actor"], row["actor"]) if two else (row["actor"],)) if name is not None]


def count_of(row: Mapping[str, object]) -> int:
    """How many rows it stands for."""
    return int(str(row["n"]))


def by_work(rows: Iterable[Mapping[str, object]]) -> Counter[Work]:
    """Jobs by kind of work."""
    found: Counter[Work] = Counter()
    for row in rows:
        found[work_of(JobType(str(row["job_type"])))] += count_of(row)
    return found


def queued_of(live: Rows) -> Counter[Work]:
    """Of the live jobs those that wait for a place."""
    return by_work(row for row in live if row["status"] == JobStatus.QUEUED)


def places_of(places: Rows) -> dict[Work, list[int]]:
    """For each kind of work the places of every process that has some."""
    return {kind: [many for place in places if (many := int(str(place[name])))] for kind, name in SLOTS_FIELD.items()}


def limits_of(policy: Policy, live: Rows, hour: Rows, places: Rows) -> list[dict[str, object]]:
    """What ready bots compete under, as the planner counts it, each with the values that make it."""
    alive, queued, enqueued = by_work(live), queued_of(live), by_work(hour)
    slots = {kind: sum(each) for kind, each in places_of(places).items()}
    research, evolution, most = policy.research, policy.evolution, policy.runners.max_runners
    per_slot = f"research.queued_per_slot {research.queued_per_slot} × "
    found = (
        (
            LimitName.PER_HOUR, enqueued.total(), research.max_enqueues_per_hour,
            f"research.max_enqueues_per_hour {research.max_enqueues_per_hour}",
        ),
        (
            LimitName.LIVE_RESEARCH, alive[Work.BACKTEST], research.concurrency + research.queue_ahead,
            f"research.concurrency {research.concurrency} + research.queue_ahead {research.queue_ahead}",
        ),
        (
            LimitName.QUEUED, queued[Work.BACKTEST], research.queued_per_slot * slots[Work.BACKTEST],
            f"{per_slot}{slots[Work.BACKTEST]} slots of live workers",
        ),
        (LimitName.SEARCHES_PER_HOUR, enqueued[Work.EVOLVE], evolution.per_hour, f"evolution.per_hour {evolution.per_hour}"),
        (LimitName.LIVE_SEARCHES, alive[Work.EVOLVE], evolution.concurrency, f"evolution.concurrency {evolution.concurrency}"),
        (
            LimitName.QUEUED_SEARCHES, queued[Work.EVOLVE], research.queued_per_slot * slots[Work.EVOLVE],
            f"{per_slot}{slots[Work.EVOLVE]} slots of live workers",
        ),
        (
            LimitName.LIVE_RUNNERS, alive[Work.RUNNER], min(most, slots[Work.RUNNER]),
            f"the smaller of runners.max_runners {most} and {slots[Work.RUNNER]} slots of live workers",
        ),
    )  # fmt: skip
    return [{"name": name.value, "used": used, "limit": limit, "because": because} for name, used, limit, because in found]


def slots_of(live: Rows, places: Rows) -> list[dict[str, object]]:
    """Places by kind of work, and who stands in them."""
    running, queued, offered = by_work(row for row in live if row["status"] == JobStatus.RUNNING), queued_of(live), places_of(places)
    return [
        {"work": kind.value, "running": running[kind], "queued": queued[kind], "slots": sum(offered[kind]), "processes": len(offered[kind])}
        for kind in Work
    ]


def shares_of(policy: Policy, held: Mapping[str, int]) -> list[dict[str, object]]:
    """Every stage against its largest share; how many more go in follows the planner's own comparison."""
    total = sum(held.values())
    found: list[dict[str, object]] = []
    for stage in Stage:
        bots, most = held.get(stage.value, 0), policy.promotion.max_share.get(stage)
        found.append({
            "stage": stage.value, "bots": bots, "share": bots / total if total else None, "maxShare": most,
            "room": None if most is None else max(0, floor(most * total) - bots),
        })  # fmt: skip
    return found
