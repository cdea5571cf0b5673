"""Bars of any length: a bot counts those of its own timeframe, each from the instant at which it has ended.

Source: R-G3.
"""

from datetime import date

import pytest

from autonomy.bar_times import pack_times
from autonomy.events import CapabilitiesAnnounced, Costs, SymbolBars
from autonomy.gates import GateCode
from autonomy.reasons import Detail, Reason
from autonomy.timeframes import MS, Timeframe
from autonomy.values import JobType, Stage, instant_of_ms
from planner.decide.gates import findings
from planner.decide.orders import _session
from planner.decide.view import build_view
from planner.fold.entities import Bot, Evidence
from support.builders import NOON_MS, a_bot, a_digest, a_policy, a_state, an_id, capabilities, figures, plan_at
from support.changes import replace
from support.ticks import TickDriver, jobs_of

LIVE = {"mode": "LIVE"}
PER_YEAR = {"1m": 525_600, "1h": 8_760, "1d": 365}


def bars_of(timeframe: str, count: int, last_ms: int, *, live: bool = False) -> SymbolBars:
    """So many bars of a market that never closes, the last of them starting at an instant."""
    starts = [last_ms - (count - 1 - number) * MS[timeframe] for number in range(count)]
    return SymbolBars(
        symbol="BTC/USDT", timeframe=Timeframe(timeframe), first=instant_of_ms(starts[0]), last=instant_of_ms(starts[-1]), bars=count,
        times=pack_times(starts, timeframe), sha256=a_digest(f"{timeframe} {count} {last_ms}"), source_id=f"folder/BTC_USDT/{timeframe}.csv",
        synthetic=False, bars_per_year=PER_YEAR[timeframe], live=live,
    )  # fmt: skip


def offered(*bars: SymbolBars) -> CapabilitiesAnnounced:
    return capabilities().model_copy(update={"symbols": bars})


def a_trader(timeframe: str, name: str = "btc") -> Bot:
    return a_bot(name, symbol="BTC/USDT", timeframe=timeframe)


@pytest.mark.parametrize("timeframe", ["1m", "1h", "1d"])
def test_a_bar_is_shown_from_the_instant_at_which_it_has_ended(timeframe: str) -> None:
    last_ms = NOON_MS // MS[timeframe] * MS[timeframe]
    state = a_state(a_trader(timeframe), policy=a_policy(market=LIVE), runners=(offered(bars_of(timeframe, 400, last_ms)),))
    end_ms = last_ms + MS[timeframe]
    counts = [build_view(state, at_ms).data["BTC/USDT", timeframe].bars for at_ms in (end_ms - 1, end_ms)]
    assert counts == [399, 400]


def test_two_timeframes_of_one_symbol_are_two_markets() -> None:
    hour_ms, day_ms = (NOON_MS // MS[length] * MS[length] - MS[length] for length in ("1h", "1d"))
    bots = (a_trader("1h", "by-hours"), a_trader("1d", "by-days"), a_trader("1m", "by-minutes"))
    state = a_state(*bots, policy=a_policy(market=LIVE), runners=(offered(bars_of("1h", 5_000, hour_ms), bars_of("1d", 100, day_ms)),))
    plan, view = plan_at(state)
    found = {decision.bot_id: decision for decision in plan.decisions}
    assert found["by-hours"].reason is Reason.SCHEDULED
    for name, words in (
        ("by-days", "100 bars of BTC/USDT 1d until 2026-11-21"),
        ("by-minutes", "no bars of BTC/USDT 1m (known: BTC/USDT 1d, BTC/USDT 1h)"),
    ):
        assert found[name].reason is Reason.BLOCKED_BY_GATES
        listed = findings(state.bots.rows[name], JobType.BACKTEST_BASELINE, view)
        assert next(finding for finding in listed if finding.code is GateCode.MARKET_DATA).measured == words


def test_an_order_names_its_last_bar_and_how_many_a_year_has() -> None:
    driver = TickDriver()
    driver.register("btc", symbol="BTC/USDT", timeframe="1h")
    driver.say(offered(bars_of("1h", 10_000, NOON_MS // MS["1h"] * MS["1h"], live=True)))
    driver.beat(slots=4)
    (order,) = jobs_of(driver.tick(after_ms=1_000))
    shown_ms = driver.now_ms // MS["1h"] * MS["1h"] - MS["1h"]
    assert (order.timeframe, order.bars_per_year, order.bars_until) == (Timeframe.H1, 8_760, instant_of_ms(shown_ms))


def test_a_replay_shows_the_hours_of_a_day_one_after_the_other() -> None:
    """24 s of the wall are a day: a bar each second, and none before it has ended."""
    policy = a_policy(market={"mode": "REPLAY", "start": date(2026, 11, 9), "end": date(2026, 11, 20), "seconds_per_bar": 24.0})
    state = a_state(a_trader("1h"), policy=policy, runners=(offered(bars_of("1h", 2_000, NOON_MS // MS["1h"] * MS["1h"])),))
    first, *later = (build_view(state, NOON_MS + second * 1_000).data["BTC/USDT", "1h"].bars for second in range(20))
    assert later == [first + number for number in range(1, 20)]
    view = build_view(state, NOON_MS)
    assert view.shown_ms(state.bots.rows["btc"], first) == NOON_MS + 1_000


def test_bars_of_now_are_shown_beside_a_replay_of_years_ago() -> None:
    """A folder of somebody's own beside the demo: its bars are of now, whatever the demo replays."""
    last_ms = NOON_MS // MS["1h"] * MS["1h"]
    bots = (a_trader("1h"), a_bot("demo"))
    said = capabilities()
    said = said.model_copy(update={"symbols": (*said.symbols, bars_of("1h", 400, last_ms, live=True))})
    state = a_state(*bots, runners=(said,))
    view = build_view(state, last_ms + MS["1h"])
    assert view.data["BTC/USDT", "1h"].bars == 400
    assert view.data["AAPL", "1d"].bars < len(view.data["AAPL", "1d"].times)
    assert build_view(state, last_ms + MS["1h"] - 1).data["BTC/USDT", "1h"].bars == 399
    assert view.shown_ms(bots[0], 399) == last_ms + MS["1h"]
    order = _session(replace(bots[0], stage=Stage.PAPER), an_id("job"), view)
    assert (order.market.mode, order.from_bar) == ("LIVE", instant_of_ms(last_ms))
    assert _session(replace(bots[1], stage=Stage.PAPER), an_id("job"), view).market.mode == "REPLAY"


def test_who_waits_for_bars_of_now_is_not_told_that_a_replay_ended() -> None:
    last_ms = NOON_MS // MS["1h"] * MS["1h"] - MS["1h"]
    lab = {"LAB": {"wants": ["BACKTEST_BASELINE", "BACKTEST_REFRESH"]}}
    state = a_state(a_trader("1h"), policy=a_policy(stages=lab), runners=(offered(bars_of("1h", 400, last_ms, live=True)),))
    view = build_view(state, NOON_MS)
    bot = state.bots.rows["btc"]
    found = Evidence(
        an_id("job"),
        view.fingerprint(bot),
        a_digest("bars"),
        last_ms,
        400,
        NOON_MS,
        figures(),
        offered=view.data["BTC/USDT", "1h"].offer.content,
    )
    state.bots.put("btc", replace(bot, evidence=found))
    (decision,) = plan_at(state)[0].decisions
    assert (decision.reason, decision.detail) == (Reason.NOTHING_DUE, Detail.AWAITS_BARS)


OWN = Costs(fee_bps=7.5, slippage_bps=1.0, tick=0.01, minimum_usd=10.0)


def test_an_order_has_the_costs_that_came_with_the_bars_and_else_the_policys() -> None:
    last_ms = NOON_MS // MS["1h"] * MS["1h"]
    bars = bars_of("1h", 10_000, last_ms, live=True)
    found = []
    for said in (bars, bars.model_copy(update={"costs": OWN})):
        driver = TickDriver()
        driver.register("btc", symbol="BTC/USDT", timeframe="1h")
        driver.say(offered(said))
        driver.beat(slots=4)
        found += jobs_of(driver.tick(after_ms=1_000))
    assert [order.costs for order in found] == [a_policy().research.costs, OWN]
    assert found[0].fingerprint != found[1].fingerprint, "evidence under other costs is other evidence"


def test_runners_that_know_other_costs_of_a_symbol_disagree() -> None:
    last_ms = NOON_MS // MS["1h"] * MS["1h"]
    bars = bars_of("1h", 5_000, last_ms)
    other = offered(bars.model_copy(update={"costs": OWN})).model_copy(update={"process_id": an_id("another-runner")})
    for second, disagree in ((other, True), (other.model_copy(update={"symbols": (bars,)}), False)):
        state = a_state(a_trader("1h"), policy=a_policy(market=LIVE), runners=(offered(bars), second))
        assert (build_view(state, NOON_MS).disagreements == {"BTC/USDT 1h"}) is disagree
