"""What runner processes announced: the symbols whose bars they read, the strategies they run, and the processes themselves.

Place in the flow: rows of `state`, made by fold, read by decide. Immutable, as the other entities.
"""

from functools import lru_cache

from msgspec import Struct

from autonomy.events import StrategyOffered
from autonomy.values import JobType


class SymbolOffer(Struct, frozen=True):
    """The bars of a symbol that a runner process can read; `costs` as announced, in JSON, empty where the policy's hold."""

    symbol: str
    timeframe: str
    first_ms: int
    packed_times: str
    bars: int
    content: str
    source_id: str
    synthetic: bool
    bars_per_year: int
    live: bool
    costs: str = ""


class StrategyOffer(Struct, frozen=True):
    """A strategy that a runner process can run; `text` is the whole offer, so that parameters are checked against what was announced."""

    name: str
    version: int
    code_hash: str
    text: str

    @classmethod
    def of(cls, offer: StrategyOffered) -> "StrategyOffer":
        """As announced."""
        return cls(offer.name, offer.version, offer.code_hash, offer.model_dump_json(by_alias=True))

    def read(self) -> StrategyOffered:
        """What was announced."""
        return offer_in(self.text)


@lru_cache(maxsize=4_096)
def offer_in(text: str) -> StrategyOffered:
    """An offer from its text; the same ones come every tick."""
    return StrategyOffered.model_validate_json(text)


class RunnerProcess(Struct, frozen=True):
    """A process that beats, and what it announced.

    Attributes:
        faults: name and reason of what its source of bars holds and cannot be used.
        announcement: hash of the announcement that this is.
        named: the one that its last heartbeat named.
    """

    process_id: str
    silent_ms: int = 0
    research_slots: int = 0
    evolve_slots: int = 0
    runner_slots: int = 0
    engine_version: str = ""
    job_types: tuple[JobType, ...] = ()
    strategies: tuple[StrategyOffer, ...] = ()
    symbols: tuple[SymbolOffer, ...] = ()
    stopping: bool = False
    faults: tuple[tuple[str, str], ...] = ()
    announcement: str = ""
    named: str = ""

    @property
    def is_unknown(self) -> bool:
        """Whether it beats with an announcement that is not the one held here."""
        return self.named not in {"", self.announcement}
