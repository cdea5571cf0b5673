"""The last good edition of each symbol's bars: what this process offers, trades on and hands to its workers.

Role: stands before a source of bars. A look compares time and size first and reads only what changed; a file that cannot be read, or an
exchange that does not answer, is the fault of that symbol alone: it is named, its last good bars stay in use, and it heals by itself as
soon as the source is right again. Nothing else in this process reads the source.

Place in the flow: source → **editions** → offer (announced), paper sessions, worker processes.
"""

import hashlib
import logging
import threading
import time
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from typing import Final, cast

from prometheus_client import Gauge

from autonomy.bar_times import pack_times
from autonomy.errors import BadInput
from autonomy.events import MAX_SOURCE_FAULTS, SourceFault, SymbolBars
from autonomy.timeframes import Timeframe, bar_words, bars_name
from autonomy.values import instant_of_ms
from job_runner.market.bar_folder import LAYOUT
from job_runner.market.data_check import findings_of
from job_runner.market.sources import (
    END_OF_TIME_MS,
    Bars,
    ChangingMarketData,
    Key,
    MarketData,
    NotOffered,
    OneSymbol,
    Survey,
    Unsettled,
    up_to,
)

log = logging.getLogger(__name__)
FIRST_REST_S: Final = 1.0
"""After a first failed read; each further one doubles it, up to the source's longest rest."""
LOOK_S: Final = 5.0
"""A look ends after this long and goes on next time: news of the first symbols must not wait for the last."""
FIRST_LOOK_S: Final = 60.0
"""The first look takes its time: a symbol that is missing in the first announcement would look withdrawn."""
MAX_LINES_A_LOOK: Final = 100
NAMES_SHOWN: Final = 8
WHOLE_SOURCE: Final = "(all)"
FAULTS: Final = Gauge("autonomy_runner_source_faults", "Symbols and names of the source of bars that cannot be used as they are now")


@dataclass(frozen=True, slots=True)
class Offered:
    """What there is at one moment.

    Attributes:
        bars: by symbol and timeframe, the last good ones.
        said: the same as announced, in that order.
        faults: what cannot be used as it is now, by name.
    """

    bars: Mapping[Key, Bars]
    said: tuple[SymbolBars, ...]
    faults: tuple[SourceFault, ...]


@dataclass(slots=True)
class _Held:
    """What is remembered of one symbol's bars of one timeframe.

    Attributes:
        seen: its sign at the last look.
        read: its sign when it was last read, well or not.
        fault: why it cannot be read, in words.
        passing: whether another attempt may find it well without a change of the sign.
        again_s: monotonic time before which it is left alone.
        missing: looks in a row that did not find it.
    """

    bars: Bars | None = None
    said: SymbolBars | None = None
    seen: Hashable = None
    read: Hashable = None
    fault: str = ""
    passing: bool = False
    tries: int = 0
    again_s: float = 0.0
    missing: int = 0


NOTHING: Final = Offered({}, (), ())


class Editions:
    """A source of bars that never breaks: each symbol as it was when it was last right.

    Args:
        source: where bars come from.
        mono_s: seconds, monotonic.
        seed: of the process, so that many of them do not ask at the same moment.
    """

    def __init__(self, source: MarketData, mono_s: Callable[[], float] = time.monotonic, seed: str = "") -> None:
        self.source = source
        self._mono_s, self._seed = mono_s, seed
        self._held: dict[Key, _Held] = {}
        self._skipped: Mapping[str, str] = {}
        self._seen_skipped: Mapping[str, str] = {}
        self._fault = ""
        self._next: Key | None = None
        self._looking = threading.Lock()
        self._looked = False
        self.offered = NOTHING

    def look(self) -> bool:
        """Read what changed; returns whether there is something new to say. Blocks: call it in a thread.

        A source that changed is read when two looks have seen it alike, so that a file in the middle of being written is left alone.
        """
        with self._looking:
            try:
                survey = self._survey()
            except Exception as fault:  # noqa: BLE001 (whatever it is: what was good stays in use, and the next look asks again)
                self._set_whole_fault(_words(fault))
            else:
                self._set_whole_fault("" if survey.signs else f"no bars of any symbol (a folder: {LAYOUT})")
                self._say_skipped(survey.skipped)
                self._withdraw(survey)
                self._read_what_changed(survey)
                self._looked = True
            before, self.offered = self.offered, self._offered()
            FAULTS.set(len(self.offered.faults))
            return (before.said, before.faults) != (self.offered.said, self.offered.faults)

    def markets(self) -> tuple[Key, ...]:
        """All symbols and timeframes there are good bars of, sorted."""
        return tuple(sorted(self.offered.bars))

    def bars(self, symbol: str, timeframe: str, until: int) -> Bars:
        """See `MarketData.bars`; from memory, so that it neither blocks nor fails for a symbol that was good once.

        Raises:
            NotOffered: no good bars of the symbol; says why, where that is known.
        """
        return up_to(self._whole((symbol, timeframe)), until)

    def handed(self, symbol: str, timeframe: str) -> MarketData:
        """The bars of one symbol and timeframe as a worker process gets them.

        Raises:
            NotOffered: as `bars`.
        """
        return OneSymbol(self._whole((symbol, timeframe)))

    def _whole(self, key: Key) -> Bars:
        whole = self.offered.bars.get(key)
        if whole is not None:
            return whole
        if fault := self.fault_of(*key):
            raise NotOffered("symbol", fault, bars_name(*key))
        known = ", ".join(bars_name(*each) for each in self.markets()[:NAMES_SHOWN]) or "none"
        field = "timeframe" if any(symbol == key[0] for symbol, _ in self.offered.bars) else "symbol"
        raise NotOffered(field, f"one of those offered ({known})", bars_name(*key))

    def fault_of(self, symbol: str, timeframe: str) -> str:
        """Why bars cannot be read as they are now; empty when they can."""
        held = self._held.get((symbol, timeframe))
        return held.fault if held is not None and held.fault else self._fault

    def _survey(self) -> Survey:
        if hasattr(self.source, "survey"):
            return cast("ChangingMarketData", self.source).survey()
        return Survey(dict.fromkeys(self.source.markets(), True), {})

    def _read_what_changed(self, survey: Survey) -> None:
        ends_s = self._mono_s() + (LOOK_S if self._looked else FIRST_LOOK_S)
        names = sorted(survey.signs)
        begin = names.index(self._next) if self._next is not None and self._next in survey.signs else 0
        self._next = None
        for key in (*names[begin:], *names[:begin]):
            if self._mono_s() > ends_s:
                self._next = key
                return
            sign, held = survey.signs[key], self._held.setdefault(key, _Held())
            settled, held.seen = held.seen == sign or not self._looked, sign
            if held.read == sign and not held.passing:
                continue
            if settled and (not held.passing or self._mono_s() >= held.again_s):
                self._read(key, held, sign)

    def _read(self, key: Key, held: _Held, sign: Hashable) -> None:
        try:
            bars = self.source.bars(*key, END_OF_TIME_MS)
            said = _as_announced(bars)
        except Unsettled:
            held.seen = None
        except BadInput as refusal:
            held.read = sign
            self._set_fault(key, held, str(refusal), passing=False)
        except Exception as fault:  # noqa: BLE001 (a source's fault of any kind is that symbol's alone)
            held.read = sign
            self._set_fault(key, held, _words(fault), passing=True)
        else:
            held.read = sign
            self._set_good(key, held, bars, said)

    def _set_good(self, key: Key, held: _Held, bars: Bars, said: SymbolBars) -> None:
        name = bars_name(*key)
        if held.fault:
            log.info("%s can be read again", name)
        held.fault, held.passing, held.tries = "", False, 0
        if held.said == said:
            return
        held.bars, held.said = bars, said
        log.info("%s: %d bars up to %s", name, len(bars), bar_words(int(bars.time[-1])))
        for finding in findings_of(bars):
            log.warning("%s: %s", name, finding)

    def _set_fault(self, key: Key, held: _Held, words: str, *, passing: bool) -> None:
        name = bars_name(*key)
        if words != held.fault:
            use = "is not offered" if held.bars is None else f"stays in use as it was, up to {bar_words(int(held.bars.time[-1]))}"
            log.warning("%s %s: %s", name, use, _short(words))
        rest_s = min(FIRST_REST_S * 2.0 ** min(held.tries, 30), getattr(self.source, "longest_rest_s", FIRST_REST_S))
        held.fault, held.passing, held.tries = words, passing, held.tries + 1
        drawn = hashlib.sha256(f"{self._seed} {name} {held.tries}".encode()).digest()[0] / 255
        held.again_s = self._mono_s() + rest_s * (0.5 + 0.5 * drawn)

    def _set_whole_fault(self, words: str) -> None:
        if words and words != self._fault:
            log.error("the source of bars: %s", _short(words))
        elif self._fault and not words:
            log.info("the source of bars can be read again")
        self._fault = words

    def _say_skipped(self, skipped: Mapping[str, str]) -> None:
        # As with files: what is being written or replaced may look odd for a moment.
        settled = {name: why for name, why in skipped.items() if not self._looked or self._seen_skipped.get(name) == why}
        self._seen_skipped, skipped = skipped, settled
        new = [name for name in sorted(skipped) if self._skipped.get(name) != skipped[name]]
        for name in new[:MAX_LINES_A_LOOK]:
            log.warning("%s is not used: %s", _short(name), _short(skipped[name]))
        if len(new) > MAX_LINES_A_LOOK:
            log.warning("%d more names are not used", len(new) - MAX_LINES_A_LOOK)
        self._skipped = skipped

    def _withdraw(self, survey: Survey) -> None:
        """Forget what two looks in a row did not find: a file that is replaced may be gone for a moment."""
        for key in [key for key in self._held if key not in survey.signs]:
            held = self._held[key]
            held.missing += 1
            if held.missing >= 2:
                del self._held[key]
                log.warning("%s is withdrawn: the source has it no more", bars_name(*key))
        for key in survey.signs:
            if key in self._held:
                self._held[key].missing = 0

    def _offered(self) -> Offered:
        held = {key: self._held[key] for key in sorted(self._held)}
        faults = [SourceFault(name=WHOLE_SOURCE, reason=_short(self._fault), in_use=bool(held))] if self._fault else []
        faults += [
            SourceFault(name=bars_name(*key), reason=_short(each.fault), in_use=each.bars is not None)
            for key, each in held.items()
            if each.fault
        ]
        faults += [SourceFault(name=_short(name), reason=_short(why), in_use=False) for name, why in sorted(self._skipped.items())]
        if len(faults) > MAX_SOURCE_FAULTS:
            rest = len(faults) - MAX_SOURCE_FAULTS + 1
            faults = [*faults[: MAX_SOURCE_FAULTS - 1], SourceFault(name="…", reason=f"{rest} more", in_use=False)]
        return Offered(
            {key: each.bars for key, each in held.items() if each.bars is not None},
            tuple(each.said for each in held.values() if each.said is not None), tuple(faults),
        )  # fmt: skip


def handed(market: MarketData, symbol: str, timeframe: str) -> MarketData:
    """What a worker process gets for a job on a symbol: its edition, or a source that every process can read for itself."""
    return market.handed(symbol, timeframe) if isinstance(market, Editions) else market


def fault_of(market: MarketData, symbol: str, timeframe: str) -> str:
    """Why bars cannot be read as they are now, as far as the market can say."""
    return market.fault_of(symbol, timeframe) if isinstance(market, Editions) else ""


def _as_announced(bars: Bars) -> SymbolBars:
    return SymbolBars(
        symbol=bars.symbol, timeframe=Timeframe(bars.timeframe), first=instant_of_ms(int(bars.time[0])),
        last=instant_of_ms(int(bars.time[-1])), bars=len(bars), times=pack_times(bars.time, bars.timeframe),
        sha256=bars.sha256, source_id=bars.source_id, synthetic=bars.synthetic, bars_per_year=bars.bars_per_year, live=bars.live,
        costs=bars.costs,
    )  # fmt: skip


def _words(fault: Exception) -> str:
    return str(fault) if isinstance(fault, BadInput) else f"{type(fault).__name__}: {fault}"


def _short(words: str) -> str:
    """As it may stand in a record and in a log: of a bounded length, and without bytes or signs that no text holds."""
    shown = "".join(sign if sign.isprintable() else ascii(sign)[1:-1] for sign in words[:300])
    return shown if len(shown) <= 300 else f"{shown[:299]}…"
