"""Runner processes out of one statement: who lives, what each offers, and what live ones announce differently.

Place in the flow: route → **workers** → PostgreSQL (role reader). Who counts, and what is compared, is as in the planner's view: live
processes that announced themselves and do not stop; of a strategy version and code, of bars their content, source and costs.

Source: R-B3, R-A5; docs/architecture.md, "The Bots page".
"""

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from functools import cache
from typing import Any, Final

import asyncpg
import orjson
from sqlalchemy import bindparam, func, select

from autonomy.agreement import ENGINE, differ_words
from autonomy.read_model import work
from autonomy.read_model.columns import INSTANT
from autonomy.read_model.keeping import HEAD
from autonomy.timeframes import bar_words, bars_name
from autonomy.values import JobStatus, JobType, WorkerState, iso, ms_of
from autonomy.work import SLOTS_FIELD, Work, work_of
from proof_api.reading.statement import Statement, rows_of, statement_of, word

SHOWN: Final = 200
LISTED_FOR: Final = timedelta(hours=1)
"""A process without a sign of life for longer is only counted."""
SHORT: Final = 12
"""Characters of a hash that are shown where two differ."""
STRATEGY: Final = ("name", "version", "codeHash", "title", "origin", "jailed")
BARS: Final = ("symbol", "timeframe", "sourceId", "synthetic", "live", "bars", "first", "last", "sha256")
ORDER: Final = (
    WorkerState.LIVE, WorkerState.STARTING, WorkerState.SILENT, WorkerState.UNKNOWN, WorkerState.FOLLOWED, WorkerState.STOPPED,
)  # fmt: skip
Row = Mapping[str, object]


@cache
def statement() -> Statement:
    """Parameter: `listed_since`, the oldest last sign of life that is listed."""
    runners, jobs = work.BOT_RUNNERS.c, work.BOT_JOBS.c
    told = [column for column in work.BOT_RUNNERS.columns if column.name != "unmatched"]
    newest = (
        select(*told).where(runners.last_beat_at > bindparam("listed_since", type_=INSTANT))
        .order_by(runners.last_beat_at.desc(), runners.process_id).limit(SHOWN)
    )  # fmt: skip
    held = (
        select(jobs.process_id, jobs.job_type, func.count().label("n"))
        .where(jobs.status == word(JobStatus.RUNNING), jobs.process_id.is_not(None)).group_by(jobs.process_id, jobs.job_type)
    )  # fmt: skip
    total = select(func.count()).select_from(work.BOT_RUNNERS)
    return statement_of(
        select(
            rows_of(newest, "runners"),
            rows_of(held, "held"),
            total.scalar_subquery().label("total"),
            select(HEAD.c.rev).scalar_subquery().label("rev"),
        )
    )


async def workers(
    connection: "asyncpg.Connection[asyncpg.Record]", now: datetime, silent_before: datetime | None, lease_s: float
) -> dict[str, object]:
    """The document without its proof.

    Args:
        connection: of a role that may read.
        now: by the broker's clock.
        silent_before: a process whose last beat is older is silent; None while the rows are too old to say so.
        lease_s: what that instant was worked out with, seconds.
    """
    row = await statement().row(connection, listed_since=now - LISTED_FOR)
    # In an order that no beat changes: whoever looks again shall find the same, as long as nothing else was said.
    runners: list[Row] = sorted(row["runners"], key=_id)
    states = states_of(runners, silent_before)
    offers = offers_of(runners)
    live = [each for each in runners if states[_id(each)] is WorkerState.LIVE]
    disputes = disagreements_of(live)
    found: Counter[tuple[str, Work]] = Counter()
    for one in row["held"]:
        found[str(one["process_id"]), work_of(JobType(str(one["job_type"])))] += int(str(one["n"]))
    items = [
        {
            "processId": _id(each), "state": states[_id(each)].value, "engineVersion": each["engine_version"],
            "firstSeenAt": iso(_at(each, "first_seen_at")), "lastBeatAt": iso(_at(each, "last_beat_at")),
            "slots": [{"work": kind.value, "slots": each[name], "inUse": found[_id(each), kind]}
                      for kind, name in SLOTS_FIELD.items()],
            "offer": next((offer for offer, (said, _) in offers.items() if _id(each) in said), None),
            "disagrees": sorted(about for about, sides in disputes.items() if any(_id(each) in named for named in sides.values())),
        }
        for each in sorted(runners, key=lambda each: (ORDER.index(states[_id(each)]), -ms_of(_at(each, "first_seen_at")), _id(each)))
    ]  # fmt: skip
    beating = {_id(each) for each in live}
    offered: list[dict[str, Any]] = [
        {"id": offer, "workers": said, "live": len(beating & set(said)), **document} for offer, (said, document) in offers.items()
    ]
    return {
        "items": items,
        "offers": sorted(offered, key=lambda offer: (-offer["live"], -len(offer["workers"]), offer["id"])),
        "disagreements": [
            {"about": about, "sides": [{"says": says, "workers": named} for says, named in sorted(
                sides.items(), key=lambda side: (-len(side[1]), side[0]))]}
            for about, sides in sorted(disputes.items())
        ],
        "words": differ_words(disputes) if disputes else "",
        "older": row["total"] - len(runners), "leaseSec": lease_s, "rev": row["rev"] or 0,
    }  # fmt: skip


def states_of(runners: Sequence[Row], silent_before: datetime | None) -> dict[str, WorkerState]:
    """By process id; one that is silent is missed no more once another came after it."""
    heard = [each for each in runners if not each["stopping"] and (silent_before is None or _at(each, "last_beat_at") >= silent_before)]
    newest = max((_at(each, "first_seen_at") for each in heard), default=None)
    beating = {_id(each) for each in heard}
    found = {}
    for each in runners:
        if each["stopping"]:
            found[_id(each)] = WorkerState.STOPPED
        elif silent_before is None:
            found[_id(each)] = WorkerState.UNKNOWN
        elif _id(each) in beating:
            found[_id(each)] = WorkerState.LIVE if each["engine_version"] else WorkerState.STARTING
        else:
            followed = newest is not None and newest > _at(each, "last_beat_at")
            found[_id(each)] = WorkerState.FOLLOWED if followed else WorkerState.SILENT
    return found


def offers_of(runners: Iterable[Row]) -> dict[str, tuple[list[str], dict[str, object]]]:
    """Each different announcement by a short hash over it, with who said it."""
    found: dict[str, tuple[list[str], dict[str, object]]] = {}
    for each in runners:
        if not each["engine_version"]:
            continue
        symbols, job_types = sorted(_documents(each["symbols"]), key=_name), each["job_types"]
        strategies = sorted(_documents(each["strategies"]), key=lambda one: str(one["name"]))
        document: dict[str, object] = {
            "engineVersion": each["engine_version"], "jobTypes": sorted(job_types) if isinstance(job_types, list) else [],
            "bars": [{**{name: one[name] for name in BARS}, "costs": one.get("costs")} for one in symbols],
            "strategies": [{name: one[name] for name in STRATEGY} for one in strategies],
            "sourceFaults": each["source_faults"], "strategyFaults": each["strategy_faults"],
        }  # fmt: skip
        offer = hashlib.sha256(orjson.dumps(document, option=orjson.OPT_SORT_KEYS)).hexdigest()[:8]
        found.setdefault(offer, ([], document))[0].append(_id(each))
    return found


def disagreements_of(live: Sequence[Row]) -> dict[str, dict[str, list[str]]]:
    """By what it is about: what is said, and who says it; only where not all who speak of it say the same."""
    said: dict[str, dict[str, list[str]]] = {}
    for each in live:
        said.setdefault(ENGINE, {}).setdefault(f"version {each['engine_version']}", []).append(_id(each))
        for one in _documents(each["strategies"]):
            words = f"version {one['version']}, code {str(one['codeHash'])[:SHORT]}"
            said.setdefault(str(one["name"]), {}).setdefault(words, []).append(_id(each))
        for one in _documents(each["symbols"]):
            said.setdefault(_name(one), {}).setdefault(_content(one), []).append(_id(each))
    return {about: sides for about, sides in said.items() if len(sides) > 1}


def _content(bars: Row) -> str:
    costs = bars.get("costs")
    own = f", costs {orjson.dumps(costs, option=orjson.OPT_SORT_KEYS).decode()}" if costs else ""
    return (
        f"{bars['bars']} bars until {bar_words(ms_of(_at(bars, 'last')))} of {bars['sourceId']}, content {str(bars['sha256'])[:SHORT]}{own}"
    )


def _name(bars: Row) -> str:
    return bars_name(str(bars["symbol"]), str(bars["timeframe"]))


def _documents(value: object) -> list[Row]:
    return value if isinstance(value, list) else []


def _id(row: Row) -> str:
    return str(row["process_id"])


def _at(row: Row, name: str) -> datetime:
    return datetime.fromisoformat(str(row[name]))
