"""Runner processes: who lives, what each offers, what they disagree about, and what their sources hold that cannot be used.

Place in the flow: rows → **workers** → `/api/workers`, OpenAPI → the page's workers. Processes that announce the same share one offer, so
that a fleet of them stays as short as what differs.
"""

from datetime import datetime
from uuid import UUID

from autonomy.documents.proofs import Proved
from autonomy.documents.rows import Shown
from autonomy.events import Costs, SourceFault, StrategyFault
from autonomy.timeframes import Timeframe
from autonomy.values import JobType, WorkerState
from autonomy.work import Work


class SlotsOfWorker(Shown):
    """Places of one process for one kind of work."""

    work: Work
    """which kind"""
    slots: int
    """as announced"""
    in_use: int
    """jobs that it holds by right"""


class Worker(Shown):
    """One runner process."""

    process_id: UUID
    """drawn at its start"""
    state: WorkerState
    """LIVE; STARTING: it beats and has announced nothing yet; SILENT: for longer than a lease; FOLLOWED: likewise, and another one came
    after it; STOPPED: it said goodbye; UNKNOWN: the rows are too old to say whether it is silent"""
    engine_version: str
    """as announced; empty before that"""
    first_seen_at: datetime
    """its first sign of life"""
    last_beat_at: datetime
    """its last sign of life"""
    slots: list[SlotsOfWorker]
    """by kind of work"""
    offer: str | None
    """what it offers, by the id below; null before its first announcement"""
    disagrees: list[str]
    """of what is in dispute, that which it announces, sorted; only of a live one"""


class BarsOfWorker(Shown):
    """Bars of one symbol and timeframe."""

    symbol: str
    """of which"""
    timeframe: Timeframe
    """length of a bar"""
    source_id: str
    """where they come from"""
    synthetic: bool
    """made-up bars never count for a promotion"""
    live: bool
    """bars of now"""
    bars: int
    """how many"""
    first: datetime
    """start of the first"""
    last: datetime
    """start of the last"""
    sha256: str
    """over the bars"""
    costs: Costs | None
    """as the source says them; null: the policy's hold"""


class StrategyOfWorker(Shown):
    """A strategy that can be run."""

    name: str
    """as bots name it"""
    version: int
    """as its class says"""
    code_hash: str
    """over all code on the path of its decisions and fills"""
    title: str
    """for people"""
    origin: str
    """where its code comes from"""
    jailed: bool
    """it runs in a process of its own"""


class OfferOfWorkers(Shown):
    """What one process or several announce, word by word the same."""

    id: str
    """a short hash over what follows"""
    workers: list[UUID]
    """who announces it; those who stopped or are silent too"""
    live: int
    """how many of these live; with none it is what was offered"""
    engine_version: str
    """of the engine"""
    job_types: list[JobType]
    """what it takes"""
    bars: list[BarsOfWorker]
    """by symbol and timeframe"""
    strategies: list[StrategyOfWorker]
    """by name"""
    source_faults: list[SourceFault]
    """what its source of bars holds and cannot be used as it is"""
    strategy_faults: list[StrategyFault]
    """files of strategies that cannot be used"""


class Side(Shown):
    """What some say where others say something else."""

    says: str
    """in words"""
    workers: list[UUID]
    """who"""


class Disagreement(Shown):
    """Something that live runner processes announce differently; jobs that need it wait."""

    about: str
    """a strategy, bars of a symbol and timeframe, or the engine, as the gate's words name it"""
    sides: list[Side]
    """most workers first"""


class Workers(Proved):
    """The runner processes of the last hour."""

    items: list[Worker]
    """those that live first, then the silent ones; those that came last first"""
    offers: list[OfferOfWorkers]
    """most live workers first"""
    disagreements: list[Disagreement]
    """by what they are about"""
    words: str
    """the disagreements in the words of the gate that blocks jobs by them; empty without any"""
    older: int
    """further processes, which are not listed"""
    lease_sec: float
    """silence after which a process counts as gone"""
    rev: int
    """revision of the read models"""
