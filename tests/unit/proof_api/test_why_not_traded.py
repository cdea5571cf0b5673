"""Why a bot has not traded, in words: of each state that it can be in, with the counts, the gates and the strategy's own reason.

Source: R-G5.
"""

from typing import Any

import pytest

from autonomy.bar_outcomes import OUTCOMES, BarOutcome
from autonomy.documents.answers import Trading
from proof_api.reading.bars import counted, trading_of

IN_LAB: dict[str, Any] = {"stage": "LAB", "reasonCode": "NOTHING_DUE", "blockers": [], "promotionBlockers": []}
GATE = {"code": "MIN_TRADES", "measured": "12", "required": "at least 30 closed trades"}
DATA = {"code": "MARKET_DATA", "measured": "196 bars of FB", "required": "at least 250"}
SESSION: dict[str, Any] = {
    "state": "OPEN",
    "fromBar": "2010-01-04",
    "tradedBars": 12,
    "trades": 0,
    "outcomes": {"NO_SIGNAL": 9, "WARMING_UP": 3},
}
BAR = {"outcome": "NO_SIGNAL", "barStart": "2010-01-20", "why": "the fast mean is below"}


@pytest.mark.parametrize(("now", "session", "newest", "trading", "words"), [
    (None, None, None, Trading.NO_SESSION, "left the fleet"),
    (IN_LAB, None, None, Trading.NO_SESSION, "this one is in LAB, without gates judged yet."),
    (IN_LAB | {"promotionBlockers": [GATE]}, None, None, Trading.NO_SESSION,
     "in LAB, 1 promotion gate does not pass: MIN_TRADES measured 12, required at least 30 closed trades."),
    (IN_LAB | {"blockers": [DATA], "promotionBlockers": [GATE] * 5}, None, None, Trading.NO_SESSION,
     "1 scheduling gate does not pass: MARKET_DATA measured 196 bars of FB, required at least 250, 5 promotion gates do not pass:"),
    (IN_LAB | {"recommendationId": "1", "promotionTo": "PAPER"}, None, None, Trading.NO_SESSION, "recommended for PAPER, and waits for approval"),
    (IN_LAB | {"stage": "LIVE", "reasonCode": "BLOCKED_BY_GATES", "blockers": [DATA]}, None, None, Trading.NO_SESSION,
     "No paper session is open at stage LIVE: blocked by gates, 1 scheduling gate does not pass: MARKET_DATA"),
    (IN_LAB, SESSION | {"state": "CLOSED", "cause": "CANCELLED_BY_REVERT"}, BAR, Trading.NO_SESSION,
     "Its last paper session ended: CANCELLED_BY_REVERT. Bots trade on paper from stage PAPER on"),
    (IN_LAB, SESSION | {"outcomes": None}, None, Trading.NO_BAR_YET, "it trades bars that start after 2010-01-04"),
    (IN_LAB, SESSION, BAR, Trading.NOT_TRADED,
     ("None of its 12 bars was traded: 9 nothing wanted, 3 warming up. At its last bar, which started at 2010-01-20: nothing wanted "
     "(the fast mean is below). What would change that: another market")),
    (IN_LAB, SESSION | {"trades": 2, "outcomes": {"ENTERED": 3, "HELD": 9}}, BAR | {"outcome": "HELD", "why": None}, Trading.TRADED,
     "It has traded: 2 closed trades in 12 bars. At its last bar, which started at 2010-01-20: position held."),
    (IN_LAB | {"reasonCode": "NOT_EVALUATED_YET"}, None, None, Trading.NO_SESSION, "this one is in LAB, without gates judged yet."),
    (IN_LAB | {"stage": "PAPER", "reasonCode": "NOT_EVALUATED_YET"}, None, None, Trading.NO_SESSION,
     "No paper session is open at stage PAPER: nothing was decided yet."),
    (IN_LAB, SESSION | {"lateBars": 2}, BAR, Trading.NOT_TRADED, "2 bars came when a later one had been taken, and were left out."),
])  # fmt: skip
def test_each_state_has_its_words(now: Any, session: Any, newest: Any, trading: Trading, words: str) -> None:
    found, said = trading_of(now, session, newest)
    assert found is trading
    assert words in said


def test_counts_are_told_the_most_frequent_first_with_the_words_of_the_table() -> None:
    told = counted({"SIGNAL": 2, "NO_SIGNAL": 5, "HELD": 2})
    assert [(one["outcome"], one["bars"]) for one in told] == [("NO_SIGNAL", 5), ("SIGNAL", 2), ("HELD", 2)]
    assert all(one["words"] == OUTCOMES[BarOutcome(str(one["outcome"]))].words for one in told)
    assert counted(None) == []
    with pytest.raises(ValueError, match="is not a valid BarOutcome"):
        counted({"SLEPT": 1})
