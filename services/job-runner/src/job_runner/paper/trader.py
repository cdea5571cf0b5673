"""The loop that trades on paper: one task per claimed session, inside the runner's process.

Place in the flow: claim → **resume, bar, append, acknowledge, next bar** → result. What keeps a bot at one trader:

- *Resume.* A session goes on after the newest of: the order's snapshot, and the marks in `autonomy.runners` that this process
  has read up to end offsets taken after its claim won. Nothing can be missing between the two. The snapshot holds what the
  enqueuing tick had folded, that is everything below its cut; this process reads `autonomy.runners` from the cut of a horizon,
  which lies before the enqueuing tick of every live job, so from below that same cut, or goes on from a snapshot
  (`job_runner.starting`) that holds the newest mark of each session whose job lived then, and reads from a cut before that of
  every later order; and a mark appended by an earlier winner after the end offsets were taken is of a bar that this process
  takes again, with the same fills under the same order ids.
- *One bar at a time.* A bar's records go out in one append, and no further bar is taken before the ack. Not acknowledged means
  unknown, and reading cannot settle it: a batch that was sent may land after any read. So the identical records are appended again
  until they are acknowledged or read; a bar said twice is one bar, by its ids.
- *Silence.* Half a lease without an acknowledged beat fences the claim: no bar is taken, nothing is appended, the state is kept. It
  goes on after a beat is acknowledged and then the log is read to its end with the claim still the winner.
- *Beats.* A session is listed in the process's beat only when its task has turned since the beat before; a task that hangs loses its
  claim, whatever the rest of the process does.
"""

import asyncio
import functools
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, TypeVar

from aiokafka.errors import KafkaError
from prometheus_client import Counter

from autonomy import clock
from autonomy.envelope import encode, event_id_of
from autonomy.errors import BadInput, Retryable
from autonomy.events import RunnerMarked, RunnerTraded
from autonomy.kafka import Outgoing
from autonomy.topics import RUNNERS, TOPICS
from autonomy.values import Cause, partition_of
from job_runner.claims.barrier import Barrier
from job_runner.claims.outbox import Outbox
from job_runner.claims.outcome import Outcome, failed, succeeded
from job_runner.claims.queue import Claim, Queue
from job_runner.market.sources import Bars, DataMissing, MarketData, NotOffered
from job_runner.paper.feed import BarFeed, Unreadable, build_feed
from job_runner.paper.session import Marks, PaperSession, Said
from job_runner.research.backtest import fingerprint_in
from job_runner.research.orders import order_of
from job_runner.research.report import OtherFingerprint, StrategyError
from job_runner.strategies.folder import StrategyFolders, StrategyGone
from job_runner.strategies.guest import StrategyFailed
from job_runner.strategies.warming import warm_installed
from job_runner.threads import in_thread

log = logging.getLogger(__name__)
T = TypeVar("T")
SOURCE: Final = "autonomy/job-runner"
LONGEST_TURN_S: Final = 1.0
RETRY_S: Final = 0.25
PARTITIONS: Final = {topic.name: topic.partitions for topic in TOPICS}[RUNNERS]


BARS: Final = Counter("autonomy_paper_bars", "Bars of paper sessions that were said and acknowledged")
PAUSES: Final = Counter("autonomy_paper_pauses", "Pauses of paper sessions for want of an acknowledged heartbeat")


PASSING: Final = (OSError, KafkaError, Retryable)
"""What network and operating system raise; a `TimeoutError` is an `OSError`."""
NETWORK_ERROR: Final = "NetworkError"
"""The root of what the optional ccxt raises when an exchange does not answer; it is no OSError, and not installed everywhere."""


def may_pass(fault: BaseException) -> bool:
    """Whether a fault comes from network or operating system, itself or as its cause, so that another attempt may not meet it."""
    seen: BaseException | None = fault
    while seen is not None:
        if isinstance(seen, PASSING) or any(kind.__name__ == NETWORK_ERROR for kind in type(seen).__mro__):
            return True
        seen = seen.__cause__
    return False


def phase_of(feed: BarFeed, session: PaperSession) -> str:
    """What a session does, in words, as its beats say it."""
    phase = "replay ended" if feed.is_over(session.last_ms) else "trading"
    return f"{phase}; the bars cannot be read as they are now: {feed.fault}" if feed.fault else phase


class _Overtaken(Exception):
    """The claim no longer wins: somebody else trades, or nobody shall."""


class _Stopped(Exception):
    """The process was told to stop while the claim was fenced."""


@dataclass(slots=True)
class PaperTrader:
    """Trades the sessions of this process's claims.

    Attributes:
        market: where bars come from.
        queue: whose fold says which claims win.
        outbox: where records go, in order per partition.
        barrier: reads the log to its end.
        marks: what was read of any session.
        strategies: what this process can run.
        beat_s: a turn is at most half of it, so that a healthy task turns between two beats.
        stopping: sessions end after the bar in flight.
    """

    process_id: str
    market: MarketData
    queue: Queue
    outbox: Outbox
    barrier: Barrier
    marks: Marks
    beat_s: float
    strategies: StrategyFolders = field(default_factory=StrategyFolders)
    stopping: bool = False
    now_ms: Callable[[], int] = clock.now_ms
    mono_ms: Callable[[], float] = clock.monotonic_ms
    feed_of: Callable[..., BarFeed] = build_feed

    @property
    def turn_s(self) -> float:
        """The longest a turn waits."""
        return min(LONGEST_TURN_S, self.beat_s / 2)

    async def start(self) -> None:
        """Have everything compiled before the first claim: a compiler in the loop would stop the beats."""
        await asyncio.to_thread(warm_installed)

    async def run(self, claim: Claim) -> Outcome | None:
        """Trade until the session's time is over; None when told to stop, and the claim is to be given back."""
        try:
            return await self._trade(claim)
        except _Overtaken:
            return Outcome(None, "overtaken")
        except _Stopped:
            return None
        except NotOffered as refusal:
            return failed(Cause.DATA_MISSING, str(refusal), refusal, may_pass=True)
        except DataMissing as refusal:
            return failed(Cause.DATA_MISSING, str(refusal), refusal)
        except (OtherFingerprint, StrategyGone) as refusal:
            return failed(Cause.BAD_INPUT, str(refusal), refusal, may_pass=True)
        except BadInput as refusal:
            return failed(Cause.BAD_INPUT, str(refusal), refusal)
        except (StrategyError, StrategyFailed) as refusal:
            return failed(Cause.STRATEGY_ERROR, str(refusal))
        except Exception as fault:
            # A fault in one session must not end the others in this process.
            log.exception("a fault in a paper session", extra={"job": claim.order.job_id})
            # Network and machine may be well again after the cooldown; the same code on the same bars never is.
            cause = Cause.RUNNER_LOST if may_pass(fault) else Cause.STRATEGY_ERROR
            return failed(cause, f"a fault in the runner: {fault!r}")

    async def _trade(self, claim: Claim) -> Outcome | None:
        order = claim.order
        feed = self.feed_of(order, self.market, self.now_ms)
        session = await self._resume(claim, feed)
        if session is None:
            return None
        session_ms = session.paper.session_s * 1000
        while not self.stopping:
            await self._unless_fenced(claim)
            bar = await feed.next_after(session.last_ms, self.turn_s)
            if bar is not None:
                # The wait may have been long: what was true before it is asked again.
                await self._unless_fenced(claim)
                said = await self._turning(claim, functools.partial(session.take, bar, claim, self.process_id))
                # So may have been the deciding.
                await self._unless_fenced(claim)
                await self._append(claim, session, said)
            self._turned(claim)
            claim.phase = phase_of(feed, session)
            claim.progress = (self.now_ms() - claim.enqueued_ms) / session_ms
            if claim.progress >= 1.0:
                return succeeded(paper=session.summary())
        return None

    async def _resume(self, claim: Claim, feed: BarFeed) -> PaperSession | None:
        """The session where it stood; None when told to stop before there were bars to resume it on."""
        claim.phase = "resuming"
        await self._read_to_now(claim)
        paper = claim.order.paper
        strategy = self.strategies.named(claim.order.strategy)
        session = PaperSession.resumed(claim.order, self.marks.of(paper.session_id) if paper else None, strategy)
        bars = await self._first_bars(claim, feed, session.paper.session_s * 1000)
        if bars is None:
            return None
        found = fingerprint_in(order_of(claim.order), bars.source_id, strategy)
        if found != claim.order.fingerprint:
            detail = f"the planner's and the runner's must be equal: this runner's is {found[:12]}"
            raise OtherFingerprint("fingerprint", detail, claim.order.fingerprint[:12])
        await self._turning(claim, functools.partial(session.warm_up, bars))
        log.info("paper session", extra={"job": claim.order.job_id, "bot": claim.order.bot_id, "bars_seen": session.engine.bars_seen})
        return session

    async def _first_bars(self, claim: Claim, feed: BarFeed, session_ms: int) -> Bars | None:
        """The bars of now, as soon as they can be read; None when told to stop.

        Raises:
            NotOffered: not in all the session's time.
        """
        while not self.stopping:
            try:
                return await feed.shown()
            except Unreadable as fault:
                claim.phase = f"waiting for bars: {fault}"
                claim.progress = (self.now_ms() - claim.enqueued_ms) / session_ms
                if claim.progress >= 1.0:
                    raise NotOffered("symbol", f"one with bars: {fault}", claim.order.symbol) from fault
            self._turned(claim)
            await asyncio.sleep(self.turn_s)
            await self._unless_fenced(claim)
        return None

    async def _append(self, claim: Claim, session: PaperSession, said: Said) -> None:
        """Say a bar until it is acknowledged, or read."""
        if not said:
            return
        records = [self._outgoing(event) for event in said]
        place = partition_of(claim.order.bot_id, PARTITIONS)
        while not await self.outbox.say(RUNNERS, place, records):
            self._turned(claim)
            await asyncio.sleep(min(RETRY_S, self.turn_s))
            await self._unless_fenced(claim)
            newest = self.marks.of(session.paper.session_id)
            if newest is not None and newest.bar >= said[-1].bar:
                break
        BARS.inc()

    def _outgoing(self, event: RunnerTraded | RunnerMarked) -> Outgoing:
        what = event.order_id if isinstance(event, RunnerTraded) else "MARK"
        event_id = event_id_of(event, event.session_id, event.bar, what, event.claim_id)
        value = encode(event, source=SOURCE, subject=event.bot_id, time=clock.now(), event_id=event_id)
        return Outgoing(event.bot_id.encode(), value)

    async def _unless_fenced(self, claim: Claim) -> None:
        """Go on at once under a claim in good standing; else wait until it is again.

        Raises:
            _Overtaken: it no longer wins.
            _Stopped: told to stop while waiting.
        """
        claim.is_silent(self.mono_ms())
        if claim.fenced:
            PAUSES.inc()
            log.warning("paused: no acknowledged heartbeat for half a lease", extra={"job": claim.order.job_id})
        while claim.fenced:
            claim.phase = "paused: no acknowledged heartbeat"
            while claim.is_silent(self.mono_ms()):
                if self.stopping:
                    raise _Stopped
                await asyncio.sleep(self.turn_s)
                self._turned(claim)
            # Only what is read after the beat was acknowledged shows what the silence has cost.
            await self._read_to_now(claim)
            claim.fenced = False
            claim.is_silent(self.mono_ms())
        if not self.queue.wins(claim):
            raise _Overtaken

    async def _read_to_now(self, claim: Claim) -> None:
        await self._meanwhile(claim, self.barrier.read_to_now())

    async def _turning(self, claim: Claim, work: Callable[[], T]) -> T:
        """Do what may take a while, such as somebody's code deciding, in a thread; the task turns meanwhile."""
        return await self._meanwhile(claim, in_thread(work))

    async def _meanwhile(self, claim: Claim, waited: "asyncio.Future[T]") -> T:
        while not waited.done():
            await asyncio.wait({waited}, timeout=self.turn_s)
            self._turned(claim)
        return waited.result()

    def _turned(self, claim: Claim) -> None:
        claim.turned_mono_ms = self.mono_ms()
