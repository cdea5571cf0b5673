"""Several sources of bars as one: whatever the first of them has counts.

Role: a `ChangingMarketData` before the demo's bars and a folder of somebody's own. A source that cannot be looked at takes nothing from the
others.
"""

from contextlib import suppress
from dataclasses import dataclass
from typing import ClassVar, cast

from autonomy.errors import BadInput
from job_runner.market.sources import Bars, ChangingMarketData, DataMissing, Key, MarketData, Survey


@dataclass(frozen=True, slots=True)
class JoinedMarketData:
    """Some sources of bars.

    Args:
        sources: by name; of two that have the same bars the earlier one counts.
    """

    sources: tuple[tuple[str, MarketData], ...]
    longest_rest_s: ClassVar[float] = 10.0

    def markets(self) -> tuple[Key, ...]:
        """All symbols and timeframes that any of them has, sorted."""
        return tuple(sorted(self.survey().signs))

    def survey(self) -> Survey:
        """See `ChangingMarketData.survey`."""
        whole = Survey({}, {})
        for name, source in reversed(self.sources):
            found = survey_of(name, source)
            whole = Survey({**whole.signs, **found.signs}, {**whole.skipped, **found.skipped})
        return whole

    def bars(self, symbol: str, timeframe: str, until: int) -> Bars:
        """See `MarketData.bars`.

        Raises:
            DataMissing: none of them has these bars.
        """
        for _, source in self.sources:
            with suppress(DataMissing):
                return source.bars(symbol, timeframe, until)
        raise DataMissing("symbol", "one that a source of bars has", f"{symbol} {timeframe}")


def survey_of(name: str, source: MarketData) -> Survey:
    """What a source has; of one that cannot be looked at the reason, under its name."""
    if not hasattr(source, "survey"):
        return Survey(dict.fromkeys(source.markets(), True), {})
    try:
        return cast("ChangingMarketData", source).survey()
    except (BadInput, OSError) as fault:
        return Survey({}, {name: str(fault)})
