"""The badge on the page is the one that follows from the job rows, for any history: log → projection → API → HTML.

Source: R-B1.1, R-B2; the reference is written here a second time, as words and shapes, by other code than the platform's.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from html.parser import HTMLParser
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typing_extensions import override

from autonomy import clock
from autonomy.events import HeldJob
from autonomy.values import iso
from bots_ui.assets import build_environment, find_assets
from bots_ui.pages.rendering import build_renderers
from bots_ui.shown.facts import Link, facts_of
from proof_api.proof.now import Ages, dressed
from proof_api.reading.queries import BOT_COLUMNS, document
from support.builders import a_beat, an_id
from support.careers import Careers, claim_of, lived
from support.histories import live_through, written_history
from support.read_models import Log, MemoryStore, Reading, log_of, read_whole
from support.ticks import TickDriver

HISTORIES = st.lists(st.tuples(st.integers(0, 11), st.integers(0, 10_000)), min_size=1, max_size=40)
COLUMNS = [name.strip() for name in BOT_COLUMNS.replace("\n", " ").split(",")]
LIVE = {"QUEUED", "RUNNING"}
LEASE_S = 15.0
Rows = list[dict[str, Any]]


class Drawn(HTMLParser):
    """The signs of one row's badge, as a browser gets them."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.state = self.classes = self.shape = self.word = self.lead = ""
        self.progress = False
        self._inside: list[str] = []
        self.feed(html)

    @override
    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        known = {name: value or "" for name, value in attrs}
        classes = known.get("class", "")
        if tag == "tr" and "data-state" in known:  # not one of a card's table
            self.state = known["data-state"]
        if tag == "button" and "badge" in classes.split():
            self.classes = classes
        if tag == "use" and self.classes and not self.shape:
            self.shape = known["href"]
        self.progress = self.progress or (tag == "svg" and classes == "progress")
        if tag in {"span", "strong", "p"}:
            self._inside.append(classes or tag)

    @override
    def handle_endtag(self, tag: str) -> None:
        if tag in {"span", "strong", "p"}:
            self._inside.pop()

    @override
    def handle_data(self, data: str) -> None:
        if self._inside and self._inside[-1] == "word":
            self.word += data
        elif self._inside and self._inside[-1] == "strong" and not self.lead:
            self.lead = data

    @property
    def signs(self) -> tuple[str, str, str, str, str]:
        """State, word, the card's word, shape, and the look that colour and border follow."""
        return self.state, self.word, self.lead, self.shape, self.classes.removeprefix("badge ").removesuffix(" silent")


@pytest.fixture(scope="module")
def render() -> Callable[[Mapping[str, object]], Drawn]:
    """The row that the stream sends."""
    renderers = build_renderers(build_environment(find_assets()))
    return lambda row: Drawn(renderers.row(row, facts_of(Link({"proof": {"status": "fresh"}}, None, None, ""), clock.now()), False))


def expected(jobs: Rows, reason: str, silent_before: datetime) -> tuple[str, str, str, str, str]:
    """The badge of R-B1.1: the first line that applies."""
    backtests = {job["status"] for job in jobs if job["job_type"] in {"BACKTEST_BASELINE", "BACKTEST_REFRESH"}}
    searches = [job for job in jobs if job["job_type"] == "EVOLVE"]
    runners = [job for job in jobs if job["job_type"] == "RUNNER_START"]
    trades = any(job["status"] == "RUNNING" and job["beats"] and job["last_beat_at"] >= silent_before for job in runners)
    table = (
        ("RUNNING" in backtests, "BACKTEST_RUNNING", "Backtesting", "backtesting"),
        ("QUEUED" in backtests, "BACKTEST_QUEUED", "Queued", "queued"),
        (searches, "EVOLVING", "Evolving", "evolving"),
        (trades, "RUNNER_RUNNING", "Running", "running"),
        (runners, "RUNNER_STALE", "Stale", "stale"),
        (reason == "BLOCKED_BY_GATES", "BLOCKED_BY_GATES", "Blocked", "blocked"),
        (True, "IDLE", "Idle", "idle"),
    )
    state, word, shape = next((state, word, shape) for applies, state, word, shape in table if applies)
    return state, word, word, f"#shape-{shape}", f"s-{shape}"


def check(store: MemoryStore, render: Callable[[Mapping[str, object]], Drawn]) -> Counter[str]:
    """Every bot's drawn badge follows from its job rows, read by a clock half a lease after the newest beat."""
    beats = [row["last_beat_at"] for row in store.table("bot_jobs")]
    newest = max((beat for beat in beats if isinstance(beat, datetime)), default=None)
    now = (newest or datetime.fromisoformat("2026-11-22T12:00:00+00:00")) + timedelta(seconds=LEASE_S / 2)
    ages = Ages(now, LEASE_S, "fresh")
    # A pause clears no gate.
    spans = {
        str(row["bot_id"]): str(row["would"] if row["reason_code"] == "LOOP_DISABLED" and row["would"] else row["reason_code"])
        for row in store.table("decision_spans")
        if row["to_tick"] is None
    }
    seen: Counter[str] = Counter()
    for row in store.table("bot_now"):
        (item,) = dressed([document({name: row.get(name) for name in COLUMNS})], ages)
        jobs: Rows = [job for job in store.table("bot_jobs") if job["bot_id"] == row["bot_id"] and job["status"] in LIVE]
        drawn = render(item)
        assert ages.silent_before is not None
        assert drawn.signs == expected(jobs, spans.get(str(row["bot_id"]), ""), ages.silent_before), (row["bot_id"], iso(now))
        # Lane 1 says work only while there is some.
        assert drawn.progress <= any(job["status"] == "RUNNING" for job in jobs)
        seen[str(drawn.word)] += 1
    return seen


def read_and_check(log: Log, random: Random, render: Callable[[Mapping[str, object]], Drawn], most: int = 30) -> Counter[str]:
    """Read a log in random turns; look at the page after every commit."""
    store, seen = MemoryStore(), Counter[str]()
    reading = Reading.begin(log, store)
    while reading.unread:
        reading.read(random.choice(reading.unread), random.randint(1, most))
        reading.apply()
        reading.commit()
        seen += check(store, render)
    return seen


def a_trader() -> Log:
    """A bot on PAPER whose runner beats."""
    story = Careers()
    bot = story.bot(1)
    story.evidence(bot, 1)
    for number in (1, 0, 2):
        story.recommend(bot, number)
    story.seal()
    for _ in range(3):
        story.trade(bot, 3)
    assert bot.session is not None
    held = {name: value for name, value in claim_of(bot.session).items() if name != "process_id"}
    story.say(a_beat("runner-1", HeldJob(**held, phase="trading", progress=0.2)), an_id("runner-1"))
    return story.written()


@settings(max_examples=25)
@given(HISTORIES, st.integers(0, 2**32))
def test_drawn_badge_follows_from_the_job_rows_after_every_commit(
    render: Callable[[Mapping[str, object]], Drawn], steps: Iterable[tuple[int, int]], seed: int
) -> None:
    """Of what the planner itself decides."""
    read_and_check(log_of(live_through(TickDriver(), list(steps))), Random(seed), render)


@settings(max_examples=25)
@given(HISTORIES, st.integers(0, 2**32))
def test_drawn_badge_of_any_career_follows_from_the_job_rows(
    render: Callable[[Mapping[str, object]], Drawn], steps: Iterable[tuple[int, int]], seed: int
) -> None:
    """Searches and paper runners in every order that the protocol allows."""
    read_and_check(lived(list(steps)).written(), Random(seed), render)


def test_every_word_of_lane_one_is_drawn(render: Callable[[Mapping[str, object]], Drawn]) -> None:
    """The properties above are not about idle bots alone."""
    seen = read_and_check(log_of(live_through(TickDriver(), written_history(120))), Random(6), render, most=40)
    seen += read_and_check(lived(written_history(240)).written(), Random(2), render, most=6)
    seen += read_and_check(a_trader(), Random(3), render, most=2)
    assert set(seen) >= {"Backtesting", "Queued", "Evolving", "Running", "Stale", "Blocked", "Idle"}, seen


@pytest.mark.parametrize("state", ["EVOLVING", "RUNNER_RUNNING", "BACKTEST_RUNNING"])
def test_a_badge_that_nothing_stands_behind_is_noticed(render: Callable[[Mapping[str, object]], Drawn], state: str) -> None:
    """Negative control: an idle bot that the page would call busy."""
    store = read_whole(log_of(live_through(TickDriver(), written_history())))
    next(row for row in store.table("bot_now") if row["state"] == "IDLE")["state"] = state
    with pytest.raises(AssertionError):
        check(store, render)
