"""What needs a person is what SQL finds in the rows, for fleets drawn at random; so are order, groups, pages and the file of the list.

Everything is read by the API's own statements from a real PostgreSQL; what is expected is asked of the same rows by other statements, or
worked out row by row by the gates' own word.

Source: R-B1, R-B3; docs/architecture.md, "The Bots page".
"""

import contextlib
import csv
import io
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import replace
from datetime import timedelta
from typing import Any

import orjson
import psycopg
import pytest
from psycopg.rows import dict_row

from autonomy.attention import AttentionKind
from autonomy.documents.attention import AttentionTold
from autonomy.errors import BadInput
from autonomy.gates import Needs, needs_of
from autonomy.read_model import SCHEMA
from autonomy.values import BotState, Stage
from proof_api.proof.attention import RANKS, Group, attention_of, needs_counts
from proof_api.proof.judging import LogFacts, ReadFacts, judge
from proof_api.proof.now import Ages
from proof_api.reading import export, needing, queries
from proof_api.reading.ordering import COLUMNS, URGENCY, GroupBy, Order, SortBy, order_of
from proof_api.reading.queries import BotFilter
from proof_api.reading.shelf import Shelf, neighbours
from support.drawn_fleet import LEASE_S, asked, drawn_fleet
from support.hours import NOON
from support.servers import Database

pytestmark = pytest.mark.servers
SILENT = NOON - timedelta(seconds=LEASE_S)
AGES = Ages(NOON, LEASE_S, "fresh")
BOTS = 300
STALE = "(state = 'RUNNER_STALE' OR (state = 'RUNNER_RUNNING' AND last_beat_at < %(silent)s)) AND (runner_beat_at IS NOT NULL OR since <= %(silent)s)"
LIVE = "SELECT * FROM bot_runners WHERE NOT stopping AND last_beat_at >= %(silent)s"
COUNTED = {
    AttentionKind.PAUSE: "SELECT scope AS code, count(*) AS n, min(since) AS since FROM autonomy_loop GROUP BY 1",
    AttentionKind.APPROVAL: "SELECT to_stage AS code, count(*) AS n, min(recommended_at) AS since FROM promotions WHERE closed_at IS NULL AND status NOT IN ('APPLIED', 'REJECTED') GROUP BY 1",
    AttentionKind.RUNNER_STALE: f"SELECT CASE WHEN runner_status = 'QUEUED' THEN 'NOT_TAKEN' ELSE 'SILENT' END AS code, count(*) AS n, min(since) AS since FROM bot_now WHERE {STALE} GROUP BY 1",
    AttentionKind.WORKER_SILENT: f"SELECT '' AS code, count(*) AS n, min(last_beat_at) AS since FROM bot_runners w WHERE NOT stopping AND last_beat_at < %(silent)s AND coalesce((SELECT max(first_seen_at) FROM ({LIVE}) l), '-infinity') <= last_beat_at HAVING count(*) > 0",
    AttentionKind.DRIFT: "SELECT drift AS code, count(*) AS n, min(drift_at) AS since FROM bot_now WHERE demote AND session_id IS NOT NULL GROUP BY 1",
    AttentionKind.SOURCE: f"SELECT '' AS code, count(DISTINCT fault->>'name') AS n, NULL AS since FROM ({LIVE}) l, jsonb_array_elements(source_faults) fault HAVING count(*) > 0",
    AttentionKind.STRATEGY_FILE: f"SELECT '' AS code, count(DISTINCT fault->>'file') AS n, NULL AS since FROM ({LIVE}) l, jsonb_array_elements(strategy_faults) fault HAVING count(*) > 0",
    AttentionKind.QUARANTINE: "SELECT topic AS code, count(*) AS n, min(seen_at) AS since FROM quarantine WHERE seen_at > %(now)s - interval '24 hours' GROUP BY 1",
}  # fmt: skip


@pytest.fixture(scope="module", params=[0, *(pytest.param(seed, marks=pytest.mark.long) for seed in range(1, 5))])
def written(request: pytest.FixtureRequest, database: Database) -> Database:
    database.empty()
    drawn_fleet(request.param, BOTS).write(database.url())
    return database


def sql(database: Database, statement: str, **values: Any) -> list[dict[str, Any]]:
    options = f"-c search_path={SCHEMA} -c timezone=UTC"
    with psycopg.connect(database.url("autonomy_reader"), row_factory=dict_row, options=options) as connection:
        return connection.execute(statement, {"now": NOON, "silent": SILENT, **values}).fetchall()


def groups(database: Database) -> tuple[Group, ...]:
    found: tuple[Group, ...] = asked(database, lambda connection: needing.counted(connection, NOON, SILENT, LEASE_S))
    return found


def waits_for(row: dict[str, Any]) -> Needs | None:
    """Row by row, by the gates' own word."""
    return needs_of((one["code"], one["verdict"], one["clearsWhen"]) for one in row["blockers"])


# ── the queue ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_every_kind_is_what_sql_counts(written: Database) -> None:
    found = groups(written)
    for kind, statement in COUNTED.items():
        expected = {(row["code"], row["n"], row["since"]) for row in sql(written, statement)}
        assert {(group.code, group.count, group.since) for group in found if group.kind is kind} == expected, kind


def test_blocked_bots_are_told_apart_as_the_gates_do(written: Database) -> None:
    """Each once, by the first that applies to any of its blockers, and by the first of these."""
    rows = [row for row in sql(written, "SELECT bot_id, blockers, decided_at FROM bot_now ORDER BY decided_at, bot_id") if row["blockers"]]
    expected: Counter[Any] = Counter()
    named: dict[Any, list[str]] = {}
    for row in rows:
        needs = waits_for(row)
        code = next(one["code"] for one in row["blockers"] if needs_of([(one["code"], one["verdict"], one["clearsWhen"])]) is needs)
        expected[needs, code] += 1
        named.setdefault((needs, code), []).append(row["bot_id"])
    kinds = {AttentionKind.BLOCKED: Needs.OPERATOR, AttentionKind.DEVELOPER: Needs.DEVELOPER, None: Needs.NOBODY}
    found = {(kinds[group.kind], group.code): group for group in groups(written) if group.kind in kinds}
    assert {key: group.count for key, group in found.items()} == expected
    assert {key: list(group.bots) for key, group in found.items()} == {key: bots[: needing.NAMED] for key, bots in named.items()}


def test_the_filter_shows_whom_the_queue_counts(written: Database) -> None:
    counts = needs_counts(groups(written))
    rows = sql(written, "SELECT bot_id, blockers FROM bot_now ORDER BY bot_id")
    assert sum(counts.values()) == sum(bool(row["blockers"]) for row in rows) > 0
    for needs in Needs:
        wanted = BotFilter(needs=(needs.value,))
        items, following = paged(written, wanted, order_of(SortBy.BOT, None, falls=False, silent_before=SILENT), BOTS)
        assert [item["botId"] for item in items] == [row["bot_id"] for row in rows if waits_for(row) is needs]
        assert (len(items), following) == (counts[needs.value], None) == (wanted.counted({"needs": counts}), None)


def test_a_cause_shows_the_bots_that_it_counts(written: Database) -> None:
    for group in groups(written):
        if group.kind in {AttentionKind.BLOCKED, AttentionKind.DEVELOPER}:
            needs = Needs.OPERATOR if group.kind is AttentionKind.BLOCKED else Needs.DEVELOPER
            wanted = BotFilter(needs=(needs.value,), blocker=(group.code,))
            items, _ = paged(written, wanted, order_of(SortBy.BOT, None, falls=False, silent_before=SILENT), BOTS)
            assert len(items) == group.count, group
            assert set(group.bots) <= {item["botId"] for item in items}


def test_a_row_that_changes_changes_the_queue(database: Database) -> None:
    """Negative control: one blocker that an operator clears, and it clears by itself instead."""
    database.empty()
    drawn_fleet(3, 60).write(database.url())
    before = needs_counts(groups(database))
    with psycopg.connect(database.url(), options=f"-c search_path={SCHEMA}") as connection:
        row = next(row for row in sql(database, "SELECT bot_id, blockers FROM bot_now ORDER BY bot_id") if waits_for(row) is Needs.OPERATOR)
        quiet = [one | {"clearsWhen": "the market clock reaches 2031-01-01"} for one in row["blockers"]]
        connection.execute("UPDATE bot_now SET blockers = %s::jsonb WHERE bot_id = %s", (orjson.dumps(quiet).decode(), row["bot_id"]))
    after = needs_counts(groups(database))
    assert (before["OPERATOR"] - after["OPERATOR"], after["NOBODY"] - before["NOBODY"]) == (1, 1)


def test_the_document_sums_what_an_operator_has_to_do(written: Database) -> None:
    found = groups(written)
    judgement = replace(judge(LogFacts(), ReadFacts(), 0), status="fresh", has_rows=True, checks={})
    document = attention_of(judgement, LogFacts(), found, 0, 7)
    AttentionTold.model_validate(document)
    of_operators = [item for item in document["items"] if item["needs"] == "OPERATOR"]  # type: ignore[attr-defined] # items are a list
    assert document["needed"] == sum(item["count"] for item in of_operators)
    assert document["needed"] == sum(
        group.count for group in found if group.kind not in {None, AttentionKind.DEVELOPER, AttentionKind.STRATEGY_FILE}
    )
    lost = attention_of(replace(judgement, status="unavailable"), LogFacts(), found, 0, 7)
    assert (lost["needed"], lost["blocked"], lost["items"]) == (None, None, [])


# ── the list ───────────────────────────────────────────────────────────────────────────────────────────────────────────


async def a_page(
    connection: Any, wanted: BotFilter, order: Order, limit: int, cursor: str | None = None
) -> tuple[list[dict[str, Any]], str | None]:
    items, following = await Shelf().page(connection, wanted, order, AGES, limit, cursor)
    return [orjson.loads(orjson.dumps(item)) for item in items], following


def paged(
    database: Database, wanted: BotFilter, order: Order, limit: int, cursor: str | None = None
) -> tuple[list[dict[str, Any]], str | None]:
    found: tuple[list[dict[str, Any]], str | None] = asked(database, lambda connection: a_page(connection, wanted, order, limit, cursor))
    return found


async def every_page(connection: Any, wanted: BotFilter, order: Order, limit: int) -> list[dict[str, Any]]:
    found, cursor = await a_page(connection, wanted, order, limit)
    while cursor:
        more, cursor = await a_page(connection, wanted, order, limit, cursor)
        found += more
    return found


def key_of(item: dict[str, Any], by: str) -> Any:
    """What a row is sorted by, read from the document that is shown."""
    match by:
        case "state":
            return [state.value for state in URGENCY].index(item["state"])
        case "stage":
            return list(Stage).index(Stage(item["stage"]))
        case "next":
            return item["untilAt"] or item["nextDueAt"]
        case "drawdown":
            return item["maxDrawdown"]
        case "bot":
            return item["botId"]
        case _:
            return item[by]


def in_order(items: list[dict[str, Any]], by: str, group: str | None, *, falls: bool) -> list[str]:
    """Python's own sort, which is stable: the last key first."""
    found = sorted(items, key=lambda item: item["botId"], reverse=falls and by == "bot")
    known, missing = [item for item in found if key_of(item, by) is not None], [item for item in found if key_of(item, by) is None]
    known.sort(key=lambda item: key_of(item, by), reverse=falls)
    if falls:  # a stable sort that falls keeps equals in their order, which is the bot's
        known = [item for value in dict.fromkeys(key_of(item, by) for item in known) for item in found if key_of(item, by) == value]
    rows = [*known, *missing]
    return [item["botId"] for item in (sorted(rows, key=lambda item: key_of(item, group)) if group else rows)]


@pytest.mark.parametrize("group", [None, *GroupBy])
@pytest.mark.parametrize("falls", [False, True])
@pytest.mark.parametrize("by", SortBy)
def test_pages_in_any_order_hold_every_row_once_and_in_place(written: Database, by: SortBy, falls: bool, group: GroupBy | None) -> None:
    order = order_of(by, group, falls=falls, silent_before=SILENT)
    items = asked(written, lambda connection: every_page(connection, BotFilter(), order, 37))
    assert [item["botId"] for item in items] == in_order(items, by.value, group.value if group else None, falls=falls)
    assert len({item["botId"] for item in items}) == len(items) == BOTS


def grouping(wanted: BotFilter, column: str) -> Callable[[Any], Coroutine[Any, Any, Any]]:
    return lambda connection: queries.groups_of(connection, wanted, column, COLUMNS[column].sql)


def test_groups_count_what_the_filter_shows(written: Database) -> None:
    wanted = BotFilter(stage=("LAB", "PAPER"), text="bot")
    for group in GroupBy:
        column = group.value
        found = asked(written, grouping(wanted, column))
        expected = sql(
            written, f"SELECT {column} AS key, count(*) AS bots FROM bot_now WHERE stage IN ('LAB', 'PAPER') GROUP BY 1 ORDER BY 1"
        )
        by_place = sorted(expected, key=lambda row: key_of({"stage": row["key"]}, "stage") if column == "stage" else row["key"])
        assert found == by_place


@pytest.mark.parametrize("falls", [False, True])
@pytest.mark.parametrize("by", [SortBy.BOT, SortBy.STATE, SortBy.SHARPE, SortBy.NEXT])
def test_neighbours_are_those_of_the_list(written: Database, by: SortBy, falls: bool) -> None:
    """Also beside a bot that the filter does not show: where it would stand."""
    order, wanted = order_of(by, None, falls=falls, silent_before=SILENT), BotFilter(stage=("LAB", "LIVE"), silent_before=SILENT)
    whole = [item["botId"] for item in asked(written, lambda connection: every_page(connection, BotFilter(), order, 200))]
    shown = {item["botId"] for item in asked(written, lambda connection: every_page(connection, wanted, order, 200))}

    async def all_of_them(connection: Any) -> list[Any]:
        return [await neighbours(connection, wanted, order, bot) for bot in whole[::7]]

    expected = [
        {
            "previous": next((bot for bot in reversed(whole[:place]) if bot in shown), None),
            "next": next((bot for bot in whole[place + 1 :] if bot in shown), None),
        }
        for place in range(0, len(whole), 7)
    ]  # fmt: skip
    assert asked(written, all_of_them) == expected


def test_a_cursor_belongs_to_its_order(written: Database) -> None:
    """Negative control: in another order it would skip rows without a word."""
    by_sharpe, by_trades = (order_of(by, None, falls=True, silent_before=SILENT) for by in (SortBy.SHARPE, SortBy.TRADES))
    _, cursor = asked(written, lambda connection: a_page(connection, BotFilter(), by_sharpe, 5))
    plain = order_of(SortBy.BOT, None, falls=False, silent_before=SILENT)
    for other in (by_trades, order_of(SortBy.SHARPE, None, falls=False, silent_before=SILENT), plain):
        with pytest.raises(BadInput, match="cursor"):
            paged(written, BotFilter(), other, 5, cursor)
    for broken in (
        "x",
        by_sharpe.cursor([True, "bot-1"]),
        by_sharpe.cursor([1.0, None]),
        by_sharpe.cursor([1.0]),
        by_sharpe.cursor(["1", "b"]),
    ):
        with pytest.raises(BadInput, match="cursor"):
            paged(written, BotFilter(), by_sharpe, 5, broken)


# ── the file ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def exported(database: Database, wanted: BotFilter, order: Order) -> list[dict[str, str]]:
    async def whole(connection: Any) -> bytes:
        @contextlib.asynccontextmanager
        async def borrow() -> AsyncIterator[Any]:
            yield connection

        return b"".join([part async for part in export.lines(borrow, wanted, order)])

    return list(csv.DictReader(io.StringIO(asked(database, whole).decode(), newline="")))


def test_the_file_has_every_row_of_the_filter_in_its_order(written: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export, "AT_ONCE", 41)
    wanted, order = BotFilter(stage=("LAB", "LIVE"), silent_before=SILENT), order_of(SortBy.SHARPE, None, falls=True, silent_before=SILENT)
    lines, items = exported(written, wanted, order), asked(written, lambda connection: every_page(connection, wanted, order, 50))
    assert [line["bot_id"] for line in lines] == [item["botId"] for item in items]
    for line, item in zip(lines, items, strict=True):
        assert (line["state"], line["since"], line["stage"], line["symbol"]) == (
            item["state"],
            item["since"],
            item["stage"],
            item["symbol"],
        )
        assert (float(line["sharpe"]) if line["sharpe"] else None) == item["sharpe"]
        assert line["needs"] == (waits_for(item) or "")
        assert line["name"].removeprefix("'") == item["name"]
        assert line["name"].startswith("=") is False, "a spreadsheet would work it out"
    assert sum(item["state"] == BotState.RUNNER_STALE for item in items) > 0


def test_a_filter_that_shows_nobody_gives_the_names_alone(written: Database) -> None:
    order = order_of(SortBy.BOT, None, falls=False, silent_before=SILENT)
    assert exported(written, BotFilter(text="nobody"), order) == []


def test_ranks_are_the_words_of_the_filter() -> None:
    assert [needs for needs, _ in sorted(RANKS.items(), key=lambda entry: entry[1])] == list(Needs)
