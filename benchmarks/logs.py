"""A made-up log of a busy fleet: the planner's own code decides, every claim wins, every job succeeds, runners beat, pulses tick.

Per job the log holds its order, two decisions, a claim, a result of the usual size (a curve of 120 points), a beat and two pulses: the
shares that a fleet in steady state has.
"""

import asyncio
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import Final

from autonomy.bar_outcomes import BarOutcome
from autonomy.chain import GENESIS, AcceptedTick, Chain, RunRecord
from autonomy.envelope import Received, decode, encode
from autonomy.events import (
    BacktestMetrics,
    EquityCurve,
    Event,
    Head,
    HeldJob,
    JobEnqueued,
    JobStarted,
    JobSucceeded,
    PlannerPulse,
    ProbePulse,
    RegisterBots,
    ResearchSummary,
    RunnerHeartbeat,
    SetPolicy,
    TimingFound,
)
from autonomy.kafka import Outgoing, append_batch, build_producer
from autonomy.policy import Policy, read_policy
from autonomy.timeframes import DAY_MS
from autonomy.topics import COMMANDS, DEFAULT_PARTITIONS, INPUTS, JOBS, PULSE, RUNNERS, RUNS
from autonomy.values import TickCause, instant_of_ms, partition_of
from benchmarks.fleet import NOON_MS, STRATEGIES, SYMBOLS, an_id, bot_id, capabilities, digest
from planner.decide.view import build_view
from planner.fold.inputs import read_input
from planner.fold.state import State
from planner.shell.inbox import Inbox
from planner.tick import TickInputs, prepare

PARTITIONS: Final = {COMMANDS: 1, JOBS: DEFAULT_PARTITIONS, RUNNERS: DEFAULT_PARTITIONS}
TICK_MS: Final = 1_000
PULSES_PER_JOB: Final = 2
BEAT_HOLDS: Final = 5


def busy_policy() -> Policy:
    """N lifted, a bar per tick, and a refresh every second bar: half of the fleet is due at each tick."""
    stage = {"wants": ["BACKTEST_BASELINE", "BACKTEST_REFRESH"], "refresh_after_bars": 2, "refresh_after_hours": 80_000}
    return read_policy({
        "name": "bench", "early_tick_spacing_s": 0.0,
        "market": {"start": "2002-01-01", "end": "2013-03-01", "seconds_per_bar": TICK_MS / 1000},
        "leases": {"lease_s": 3600.0, "beat_s": 2.0, "claim_deadline_s": 5.0},
        "research": {"concurrency": 100_000, "queue_ahead": 0, "max_enqueues_per_hour": 10_000_000, "queued_per_slot": 100_000},
        "stages": {"LAB": stage},
    })  # fmt: skip


def _metrics() -> BacktestMetrics:
    return BacktestMetrics(
        sharpe=0.8134, sortino=1.1021, cagr=0.0712, max_drawdown=0.2133, exposure=0.6, turnover_per_year=9.0, trades=41,
        win_rate=0.5122, profit_factor=1.4, bars_per_trade=30.2, costs_usd="412.17", final_equity_usd="163000.00",
    )  # fmt: skip


CURVE: Final = EquityCurve.of(11_017 * DAY_MS, [((11_017 + 7 * n) * DAY_MS, 1 + n * 0.00513, 1 + n * 0.00317) for n in range(120)])


def result_of(order: JobEnqueued) -> ResearchSummary:
    """A result of the usual size."""
    return ResearchSummary(
        fingerprint=order.fingerprint, data_sha256=digest("bars"), source_id="bench", synthetic=True, bars=order.min_bars + 300,
        first_bar=instant_of_ms(11_017 * DAY_MS), last_bar=order.bars_until, metrics=_metrics(), in_sample=_metrics(),
        out_of_sample=_metrics(), buy_and_hold=_metrics(), look_ahead_ok=True, look_ahead_cuts=60, psr=0.9, dsr=0.4,
        trials=25, stress_worst_sharpe=0.3, neighbourhood_median_sharpe=0.6,
        timing=TimingFound(z=0.7, p_value=0.3, markets=100, seed=7), net_t=0.9, curve=CURVE,
        artifact="sha256/" + digest("artifact"), elapsed_s=3.25,
        outcomes={BarOutcome.NO_SIGNAL: order.min_bars + 200, BarOutcome.HELD: 100},
    )  # fmt: skip


@dataclass(slots=True)
class Log:
    """The records by (topic, partition), and the planner that made them."""

    records: dict[tuple[str, int], list[Outgoing]] = field(default_factory=dict)
    state: State = field(default_factory=State)
    chain: Chain = field(default_factory=Chain)
    inbox: Inbox = field(default_factory=Inbox)
    heads: dict[int, Head] = field(default_factory=lambda: {0: GENESIS})
    now_ms: int = NOON_MS
    said: int = 0
    kinds: Counter[str] = field(default_factory=Counter)

    @property
    def count(self) -> int:
        """How many records."""
        return sum(self.kinds.values())

    @property
    def bytes(self) -> int:
        """Of all values."""
        return sum(len(record.value) for records in self.records.values() for record in records)

    def say(self, event: Event, key: str, partition: int) -> None:
        """Append an event; the planner sees it in its next slice."""
        self.said += 1
        event_id = an_id(f"record/{self.said}")
        value = encode(event, source="autonomy/bench", subject=key, time=instant_of_ms(self.now_ms), event_id=event_id)
        stored, record = self.records.setdefault((event.topic, partition), []), Outgoing(key.encode(), value)
        if event.topic in INPUTS:
            self.inbox.put(read_input(event.topic, partition, len(stored), value, record.key, record.headers))
        stored.append(record)
        self.kinds[event.wire] += 1

    def open(self, bots: int) -> None:
        """Policy, runner and fleet."""
        document = busy_policy().model_dump(mode="json")
        who = {"actor": "ada", "role": "approver", "reason": "bench"}
        self.say(SetPolicy(command_id=an_id("policy"), document=document, **who), "ada", 0)
        runner = an_id("runner")
        self.say(capabilities(runner, 1000), runner, partition_of(runner, DEFAULT_PARTITIONS))
        for first in range(0, bots, 500):
            documents = tuple(
                {"id": bot_id(n), "strategy": STRATEGIES[n % len(STRATEGIES)], "symbol": SYMBOLS[n % len(SYMBOLS)]}
                for n in range(first, min(first + 500, bots))
            )  # fmt: skip
            self.say(RegisterBots(command_id=an_id(f"register/{first}"), bots=documents, **who), "ada", 0)

    def tick(self) -> AcceptedTick:
        """Decide with the planner's code, and have the seal accepted."""
        self.now_ms += TICK_MS
        cut = {topic: tuple(len(self.records.get((topic, number), ())) for number in range(PARTITIONS[topic])) for topic in INPUTS}
        head = self.chain.head
        live = [live.job.tick for live in self.state.jobs.rows.values()]
        inputs = TickInputs(
            tick=head.tick + 1, try_id=an_id(f"try/{head.tick + 1}"), process_id=an_id("planner"), head=head,
            horizon=self.heads[min(live) - 1] if live else head, cut=cut, cause=TickCause.SCHEDULED,
            due_at_ms=self.now_ms, now_ms=self.now_ms, elapsed_ms=TICK_MS,
        )  # fmt: skip
        attempt = prepare(self.state, self.inbox.slice_to(cut), inputs)
        stored = self.records.setdefault((RUNS, 0), [])
        done = None
        for record in attempt.records:
            placed: RunRecord = replace(record, offset=len(stored), timestamp_ms=self.now_ms)
            stored.append(Outgoing(record.key, record.value, record.headers()))
            self.kinds[record.kind] += 1
            done = self.chain.feed(placed) or done
        if done is None:
            raise RuntimeError(self.chain.last_refusal)
        self.state.head_tick = done.seal.tick
        self.inbox.drop_to(cut)
        self.heads[done.seal.tick] = done.head
        return done

    def work(self, tick: AcceptedTick) -> None:
        """Claim, beat and finish every job of a tick."""
        received = [decode(record.value, RUNS) for record in tick.records if record.kind == JobEnqueued.wire]
        orders = [found.event for found in received if isinstance(found, Received) and isinstance(found.event, JobEnqueued)]
        runner, planner = an_id("runner"), an_id("planner")
        home = partition_of(runner, DEFAULT_PARTITIONS)
        place = [
            {"job_id": order.job_id, "bot_id": order.bot_id, "tick": order.tick, "attempt": 1, "claim_id": an_id(f"claim/{order.job_id}")}
            for order in orders
        ]  # fmt: skip
        for order, named in zip(orders, place, strict=True):
            self.say(JobStarted(**named, process_id=runner), order.bot_id, order.partition)
        for first in range(len(orders)):
            held = tuple(HeldJob(**named, phase="timing", progress=0.5) for named in place[first : first + BEAT_HOLDS])
            self.say(RunnerHeartbeat(process_id=runner, sequence=self.said, jobs=held, research_slots=1000), runner, home)
        for number in range(len(orders)):
            head = tick.head
            self.say(PlannerPulse(
                process_id=planner, role="leader", head_tick=head.tick, head_hash=head.hash, next_tick_at=instant_of_ms(self.now_ms),
            ), planner, 0)  # fmt: skip
            self.say(ProbePulse(process_id=an_id("probe"), sequence=number, sent_at=instant_of_ms(self.now_ms)), "probe", 0)
        for order, named in zip(orders, place, strict=True):
            result = result_of(order).model_copy(update={"bars": _bars(self.state, order)})
            self.say(JobSucceeded(**named, process_id=runner, result=result), order.bot_id, order.partition)

    async def append(self, bootstrap: str, topics: tuple[str, ...] = (COMMANDS, RUNS, JOBS, RUNNERS, PULSE)) -> None:
        """Put it on a broker."""
        producer = await build_producer(bootstrap)
        for (topic, number), records in self.records.items():
            if topic in topics:
                await append_batch(producer, topic, number, records)
        await producer.stop()


def _bars(state: State, order: JobEnqueued) -> int:
    return build_view(state, 0).data[order.symbol, order.timeframe.value].bars


def busy_log(bots: int, wanted: int) -> Log:
    """A log of at least so many records."""
    log = Log()
    log.open(bots)
    while log.count < wanted:
        log.work(log.tick())
    log.tick()
    return log


def append(log: Log, bootstrap: str) -> None:
    """Put a log on a broker."""
    asyncio.run(log.append(bootstrap))
