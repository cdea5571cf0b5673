"""What the timeline draws is what SQL finds in the rows, for histories drawn at random, and a silence is seen and has a name.

The document is read by the API's own statement from a real PostgreSQL and drawn by the page's own templates; what is expected is asked of
the same rows by other statements, bar by bar, step by step, attempt by attempt.

Source: R-B1; docs/architecture.md, "The Bots page".
"""

import asyncio
import re
from collections import Counter
from datetime import datetime, timedelta
from html import unescape
from random import Random
from typing import Any

import psycopg
import pytest
from psycopg.rows import dict_row

from autonomy.documents.timeline import FleetTimeline
from autonomy.errors import BadInput
from autonomy.policy import DEFAULT
from autonomy.postgres import connect
from autonomy.read_model import SCHEMA
from autonomy.values import LanesBy, TickCause, instant_of_ms, iso, ms_of
from bots_ui.assets import build_environment, find_assets
from bots_ui.shown.picture import picture_of
from proof_api.reading import stretch
from proof_api.reading.stretch import Stretch, stretch_of
from support.hours import NOON, Hours, drawn_hours
from support.proof import Api
from support.servers import Database

pytestmark = pytest.mark.servers
SEEDS = range(4)
KEYS = {"fleet": "''", "worker": "process_id::text", "stage": "stage", "strategy": "strategy", "symbol": "symbol", "bot": "bot_id"}
ATTEMPTS = """
SELECT id::text, bot_id, attempt, stage, strategy, symbol, process_id::text, queued_at AS queued, started_at AS started, finished_at AS ended, status
FROM bot_jobs
UNION ALL
SELECT j.id::text, j.bot_id, (a->>'attempt')::int, j.stage, j.strategy, j.symbol, a->>'processId',
       CASE WHEN (a->>'attempt')::int = 1 THEN j.created_at ELSE (
         SELECT (b->>'endedAt')::timestamptz FROM jsonb_array_elements(j.attempts) b WHERE (b->>'attempt')::int = (a->>'attempt')::int - 1) END,
       (a->>'startedAt')::timestamptz, (a->>'endedAt')::timestamptz, NULL
FROM bot_jobs j, jsonb_array_elements(j.attempts) a
"""
SEEN = f"SELECT *, coalesce({{key}}, '') AS key FROM ({ATTEMPTS}) t WHERE queued < %(to)s AND (ended IS NULL OR ended >= %(from)s)"
LEVELS = f"""
SELECT s.n, v.key,
  count(*) FILTER (WHERE (started IS NULL OR started >= %(from)s) AND queued < s.till AND greatest(queued, CASE
    WHEN started < %(to)s THEN started WHEN ended < %(to)s THEN ended ELSE %(to)s END) >= s.since) AS queued,
  count(*) FILTER (WHERE started < least(s.till, %(to)s) AND (ended IS NULL OR ended >= %(to)s OR greatest(ended, started) >= s.since)) AS running,
  count(*) FILTER (WHERE status = 'FAILED' AND ended >= s.since AND ended < least(s.till, %(to)s)) AS failures
FROM ({SEEN}) v CROSS JOIN (
  SELECT n, greatest(to_timestamp(%(first)s + n * %(step)s), CASE WHEN n = 0 THEN '-infinity' ELSE to_timestamp(%(first)s + n * %(step)s) END) AS since,
         to_timestamp(%(first)s + (n + 1) * %(step)s) AS till FROM generate_series(0, %(steps)s - 1) n) s
GROUP BY 1, 2 ORDER BY 1, 2
"""
TICKS = "SELECT tick, cause, jobs_enqueued, loop_enabled, started_at FROM autonomy_planner_runs WHERE started_at >= %(from)s AND started_at < %(to)s ORDER BY tick"
SILENCES = """
SELECT tick, missed.n FROM (
  SELECT tick, started_at AS since, coalesce(lead(started_at) OVER (ORDER BY tick), %(known)s) AS until FROM autonomy_planner_runs) pairs,
LATERAL (SELECT coalesce((
  SELECT (document->>'tick_interval_s')::numeric FROM autonomy_policy p WHERE p.tick <= pairs.tick ORDER BY p.tick DESC LIMIT 1), %(usual)s) AS s) grid,
LATERAL (SELECT count(*) AS n FROM generate_series((extract(epoch FROM since) / s)::bigint - 1, (extract(epoch FROM until) / s)::bigint + 1) k
  WHERE k * s > extract(epoch FROM since) AND (k + 1) * s <= extract(epoch FROM until)) missed
WHERE missed.n > 0 AND since < %(to)s AND until > %(from)s ORDER BY tick
"""
"""A time of the grid passed without a tick when the next one passed too, or was served, before anything came."""
MOVES = "SELECT to_stage, from_stage, reason_code, bot_id, created_at, tick FROM bot_stage_events WHERE created_at >= %(from)s AND created_at < %(to)s"
REVERTS = {"BULK_REVERT_REBASELINE", "REVERT_REBASELINE"}


@pytest.fixture(scope="module", params=SEEDS)
def written(request: pytest.FixtureRequest, database: Database) -> tuple[Random, Database]:
    database.empty()
    drawn_hours(request.param, per_tick=1.5 if request.param % 2 else 9.0).write(database.url())
    return Random(request.param), database


def sql(database: Database, statement: str, **values: Any) -> list[dict[str, Any]]:
    options = f"-c search_path={SCHEMA} -c timezone=UTC"
    with psycopg.connect(database.url("autonomy_reader"), row_factory=dict_row, options=options) as connection:
        return connection.execute(statement, values).fetchall()


def read(database: Database, window: Stretch, by: LanesBy, known: datetime | None) -> dict[str, Any]:
    """The document, checked against its own form."""

    async def once() -> dict[str, Any]:
        connection = await connect(database.url("autonomy_reader"), SCHEMA)
        try:
            return await stretch.read(connection, window, by, known)
        finally:
            await connection.close()

    found = asyncio.run(once())
    kept = {name: field.annotation for name, field in FleetTimeline.model_fields.items() if name not in {"now", "proof"}}
    assert {field.alias or name for name, field in FleetTimeline.model_fields.items() if name in kept} == set(found)
    return found


def windows(random: Random, last: datetime) -> list[Stretch]:
    """The whole history, the last hour, and others, some beyond both ends."""
    found = [stretch_of(NOON - timedelta(minutes=5), last, last), stretch_of(None, last, last)]
    for _ in range(4):
        start = NOON + timedelta(minutes=random.uniform(-30, 230))
        found.append(stretch_of(start, min(last, start + timedelta(minutes=random.choice((1, 7, 45, 200)))), last))
    return found


def drawing(document: dict[str, Any], *, small: bool = False) -> str:
    picture = picture_of(document, small=small)
    assert picture is not None
    name = "picture_small.html" if small else "picture_large.html"
    return build_environment(find_assets()).get_template(name).render(picture=picture, now=None)


def drawn(html: str, name: str, *more: str) -> list[tuple[str, ...]]:
    """The values of an attribute, with others of the same element, in order."""
    found = []
    for element in re.findall(rf"<[^>]*\bdata-{name}=[^>]*>", html):
        values = dict(re.findall(r'data-([a-z]+)="([^"]*)"', element))
        found.append(tuple(unescape(values[one]) for one in (name, *more)))
    return found


def test_ticks_silences_and_flags_are_those_of_the_rows(written: tuple[Random, Database]) -> None:
    random, database = written
    last = sql(database, "SELECT max(started_at) AS at FROM autonomy_planner_runs")[0]["at"] + timedelta(seconds=400)
    for window in windows(random, last):
        ends = {"from": window.from_at, "to": window.to_at}
        document = read(database, window, LanesBy.FLEET, last)
        ticks, moves = sql(database, TICKS, **ends), sql(database, MOVES, **ends)
        html = drawing(document)
        assert document["ticksFolded"] == (len(ticks) > stretch.MAX_BARS)
        assert sum(bar["ticks"] for bar in document["bars"]) == len(ticks) == document["totals"]["ticks"]
        if not document["ticksFolded"]:
            expected = [(row["tick"], row["jobs_enqueued"], row["cause"], not row["loop_enabled"]) for row in ticks]
            assert [
                (bar["firstTick"], bar["enqueued"], bar["causes"][0]["cause"], bar["paused"] == 1) for bar in document["bars"]
            ] == expected
            assert drawn(html, "bar", "enqueued") == [(str(row["tick"]), str(row["jobs_enqueued"])) for row in ticks]
        steps = Counter[int]()
        for row in ticks:
            steps[int(row["started_at"].timestamp()) // window.step_s] += row["jobs_enqueued"]
        by_step = Counter[int]()
        for bar in document["bars"]:
            by_step[ms_of(datetime.fromisoformat(bar["at"])) // 1000 // window.step_s] += bar["enqueued"]
        assert by_step == steps
        assert {(bar["firstTick"], part["cause"]) for bar in document["bars"] for part in bar["causes"]} <= {
            (bar["firstTick"], cause.value) for bar in document["bars"] for cause in TickCause
        }
        silences = [(row["tick"], row["n"]) for row in sql(database, SILENCES, known=last, usual=DEFAULT.tick_interval_s, **ends)]
        assert [(one["afterTick"], one["missing"]) for one in document["silences"]] == silences
        assert [int(missing) for (missing,) in drawn(html, "missing")] == [missing for _, missing in silences]
        assert sum(one["bots"] for one in document["moves"]) == len(moves) == sum(int(bots) for (bots,) in drawn(html, "flag"))
        reverted = [row for row in moves if row["reason_code"] in REVERTS]
        assert sum(int(bots) for (bots,) in drawn(html, "revert")) == len(reverted)
        if not document["ticksFolded"]:
            assert len(drawn(html, "revert")) == len({row["tick"] for row in reverted})


@pytest.mark.parametrize("by", list(LanesBy))
def test_lanes_are_those_of_the_rows(written: tuple[Random, Database], by: LanesBy) -> None:
    random, database = written
    last = sql(database, "SELECT max(started_at) AS at FROM autonomy_planner_runs")[0]["at"] + timedelta(seconds=400)
    folded = set[bool]()
    for window in windows(random, last):
        ends = {"from": window.from_at, "to": window.to_at}
        document = read(database, window, by, last)
        attempts = sql(database, SEEN.format(key=KEYS[by.value]), **ends)
        lanes = {("rest" if lane["folded"] else lane["key"] or ""): lane for lane in document["lanes"]}
        own = {row["key"] for row in attempts if row["key"] in lanes}
        place = {row["key"]: row["key"] if row["key"] in own else "rest" for row in attempts}
        assert len(own) == min(stretch.MAX_LANES, len(place))
        assert sum(lane["folded"] for lane in document["lanes"]) == len(place) - len(own)
        # The busiest have lanes of their own.
        counts = Counter(row["key"] for row in attempts)
        if len(place) > len(own):
            assert min(counts[key] for key in own if key) >= max(count for key, count in counts.items() if key not in own)
        assert Counter(place[row["key"]] for row in attempts) == Counter({key: lane["jobs"] for key, lane in lanes.items()})
        levels: dict[str, dict[str, list[int]]] = {
            key: {name: [0] * window.steps for name in ("queued", "running", "failures")} for key in lanes
        }
        grid = {"first": window.first_s, "step": window.step_s, "steps": window.steps}
        for row in sql(database, LEVELS.format(key=KEYS[by.value]), **ends, **grid):
            for name in ("queued", "running", "failures"):
                levels[place[row["key"]]][name][row["n"]] += row[name]
        for key, lane in lanes.items():
            assert {name: lane[name] for name in ("queued", "running", "failures")} == levels[key], (key, window)
            assert lane["failed"] == sum(levels[key]["failures"])
        folded.add(len(attempts) > stretch.MAX_BLOCKS)
        html = drawing(document)
        assert {(name.split("/")[1], int(jobs), int(bad)) for name, jobs, bad in drawn(html, "lane", "jobs", "failed")} == {
            (lane["key"] or "", lane["jobs"], lane["failed"]) for lane in document["lanes"]
        }
        if len(attempts) > stretch.MAX_BLOCKS:
            assert all(lane["blocks"] is None for lane in document["lanes"])
            continue
        told = {(key, block["jobId"], block["attempt"], block["status"]) for key, lane in lanes.items() for block in lane["blocks"]}
        assert told == {(place[row["key"]], row["id"], row["attempt"], row["status"]) for row in attempts}
        picture = picture_of(document, small=False)
        assert picture is not None
        one_by_one = [lane for lane, shown in zip(document["lanes"], picture.lanes, strict=True) if shown.blocks is not None]
        assert sorted(drawn(html, "block")) == sorted(
            (f"{block['jobId']}/{block['attempt']}",) for lane in one_by_one for block in lane["blocks"]
        )
        for lane in picture.lanes:
            assert apart(lane.blocks or ())
    jobs = sql(database, "SELECT count(*) AS n FROM bot_jobs")[0]["n"]
    assert jobs <= stretch.MAX_BLOCKS or folded == {True, False}  # histories of both kinds were looked at


def apart(blocks: Any) -> bool:
    """Whether no block of a row covers another."""
    rows: dict[int, list[tuple[int, int]]] = {}
    for block in blocks:
        places = [(block.wait, block.wait + block.wait_width)] * bool(block.wait_width) + [(block.run, block.run + block.run_width)] * bool(
            block.run_width
        )
        rows.setdefault(block.y, []).append((min(start for start, _ in places), max(end for _, end in places)))
    return all(before[1] <= after[0] for row in rows.values() for before, after in zip(sorted(row), sorted(row)[1:], strict=False))


def a_quiet_hour(database: Database, *, missing: int) -> datetime:
    """A tick a minute for an hour from noon on, without some of them after the half hour; returns the hour's end."""
    database.empty()
    hours = Hours(Random(1))
    for minute in range(61):
        if not 30 < minute <= 30 + missing:
            hours.add_tick(NOON + timedelta(minutes=minute, milliseconds=40))
    hours.write(database.url())
    return NOON + timedelta(minutes=60, seconds=1)


@pytest.mark.parametrize("small", [False, True])
def test_three_ticks_that_never_came_are_seen_and_named(database: Database, small: bool) -> None:
    end = a_quiet_hour(database, missing=3)
    document = read(database, stretch_of(None, end, end), LanesBy.FLEET, end)
    assert [(one["missing"], one["afterTick"], one["beforeTick"]) for one in document["silences"]] == [(3, 31, 32)]
    html = drawing(document, small=small)
    assert drawn(html, "missing") == [("3",)]
    assert html.count("3 ticks missing") >= 2  # in the sentence, and at the gap
    gap = re.search(r'class="gap[^>]*>.*?<rect x="([\d.]+)%" y="\d+" width="([\d.]+)%"', html, re.DOTALL)
    assert gap is not None
    x, width = float(gap[1]), float(gap[2])
    assert abs(x - 50) < 0.2
    assert abs(width - 4 / 60 * 100) < 0.1  # between the ticks around it
    bars = [float(place) / 100 for place in re.findall(r'class="c-scheduled" d="M(\d+) ', html)]
    assert len(bars) == 57
    assert not [place for place in bars if x + 0.1 < place < x + width - 0.1]


def test_without_a_missing_tick_nothing_is_named(database: Database) -> None:
    """Negative control: the same hour with every tick in it, late by some milliseconds or all but a whole minute."""
    end = a_quiet_hour(database, missing=0)
    document = read(database, stretch_of(None, end, end), LanesBy.FLEET, end)
    assert document["silences"] == []
    assert "no tick missing" in drawing(document)
    assert "data-missing" not in drawing(document)
    # One row less, and what is drawn is no longer what the rows said.
    before = drawn(drawing(document), "bar")
    with psycopg.connect(database.owner_url) as connection:
        connection.execute(f"DELETE FROM {SCHEMA}.autonomy_planner_runs WHERE tick = 20")
    again = read(database, stretch_of(None, end, end), LanesBy.FLEET, end)
    assert drawn(drawing(again), "bar") != before
    assert [one["missing"] for one in again["silences"]] == [1]


def test_silence_lasts_as_far_as_the_rows_are_complete_and_no_further(database: Database) -> None:
    a_quiet_hour(database, missing=0)
    now = NOON + timedelta(minutes=70)
    window = stretch_of(NOON + timedelta(minutes=30), None, now)
    document = read(database, window, LanesBy.FLEET, NOON + timedelta(minutes=65, seconds=30))
    assert [(one["missing"], one["beforeTick"], one["toAt"]) for one in document["silences"]] == [
        (4, None, iso(NOON + timedelta(minutes=65, seconds=30)))
    ]
    assert "4 ticks missing so far" in drawing(document)
    assert read(database, window, LanesBy.FLEET, None)["silences"] == []  # nothing is known: nothing is claimed
    assert 'class="unknown" x="0"' in drawing(read(database, window, LanesBy.FLEET, None))


def test_before_the_first_tick_there_is_no_silence(database: Database) -> None:
    end = a_quiet_hour(database, missing=0)
    document = read(database, stretch_of(NOON - timedelta(hours=3), NOON - timedelta(hours=1), end), LanesBy.FLEET, end)
    assert (document["silences"], document["bars"], document["lanes"], document["moves"]) == ([], [], [], [])
    assert "before the very first tick" in drawing(document)
    database.empty()
    empty = read(database, stretch_of(None, end, end), LanesBy.FLEET, end)
    assert empty["firstTickAt"] is None
    assert "No tick has been accepted yet" in drawing(empty)


@pytest.mark.parametrize(
    ("from_s", "to_s"), [(0, 9), (0, 86_401), (10, 10), (60, 0), (5, None), (None, -3_600_000_000)], ids=["short", "long", "none", "back", "future", "ages"]
)  # fmt: skip
def test_window_has_bounds(from_s: int | None, to_s: int | None) -> None:
    now = NOON
    begin = (
        None
        if from_s is None
        else NOON - timedelta(days=2) + timedelta(seconds=from_s)
        if to_s is not None
        else NOON + timedelta(seconds=from_s)
    )
    end = None if to_s is None else NOON - timedelta(days=2) + timedelta(seconds=to_s)
    if from_s is None:
        assert end is not None
        assert stretch_of(None, end, now).to_at == end
        return
    with pytest.raises(BadInput):
        stretch_of(begin, end, now)


def test_steps_cover_the_window_and_are_few() -> None:
    random = Random(3)
    for _ in range(2_000):
        length = timedelta(milliseconds=random.randint(10_000, 86_400_000))
        start = NOON + timedelta(milliseconds=random.randint(0, 86_400_000))
        window = stretch_of(start, start + length, start + length)
        assert window.steps <= stretch.MAX_STEPS
        assert window.first_s * 1000 <= ms_of(start)
        assert (window.first_s + window.steps * window.step_s) * 1000 >= ms_of(start + length)
        assert (window.first_s + (window.steps - 1) * window.step_s) * 1000 < ms_of(start + length)
        assert window.first_s % window.step_s == 0


def test_the_running_platform_tells_its_last_hour(running: Api) -> None:
    """Over HTTP, as documented; every job and tick of the rows is in it, and the window's ends are refused beyond their bounds."""
    running.wait_fresh()
    document: dict[str, Any] = {}
    for by in LanesBy:
        answer = running.get("/api/timeline", params={"by": by.value})
        assert answer.status_code == 200
        document = answer.json()
        assert document["totals"]["ticks"] >= 3
        assert sum(lane["jobs"] for lane in document["lanes"]) >= 6
        assert (document["knownUntil"] or "") <= document["now"]  # unknown while PostgreSQL does not answer in time
    assert len(document["lanes"]) >= 6
    (job,) = running.get("/api/jobs", params={"limit": 1}).json()["items"]
    assert running.get(f"/api/jobs/{job['id']}").json()["job"]["id"] == job["id"]
    assert running.get("/api/jobs/00000000-0000-5000-8000-000000000000").status_code == 404
    now_ms = ms_of(datetime.fromisoformat(document["now"]))
    for begin, end in ((now_ms - 90_000_000, now_ms), (now_ms, now_ms - 5_000), (now_ms + 60_000, now_ms + 120_000)):
        refused = running.get("/api/timeline", params={"from": iso(instant_of_ms(begin)), "to": iso(instant_of_ms(end))})
        assert refused.status_code == 422
        assert refused.json()["code"] == "BAD_INPUT"
    assert running.get("/api/timeline", params={"from": "2026-11-22T12:00:00"}).status_code == 422
