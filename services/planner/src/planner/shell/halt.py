"""Why a planner stands still, and which word of its approvers lets it go on.

Place in the flow: the shell halts and asks; the words wait in the inbox. Pure: bookkeeping without a clock or a connection.

Source: S6.
"""

from dataclasses import dataclass, field

from autonomy.chain import AcceptedTick, Chain, sealed_record
from autonomy.events import ChainRepaired, Head
from planner.fold.state import State
from planner.shell.inbox import Accepted, Inbox
from planner.shell.known_heads import KnownHeads, words_of


@dataclass(slots=True)
class Halt:
    """Why this process decides nothing.

    Attributes:
        why: in words; empty while it does not stand still.
        diverged, diverged_root: the tick that it folded and that differs, and the root over the tick's inputs as they stand in the log.
        abandons: the newest head that was accepted once and that the log does not hold.
        excused: what approvers gave up before: (the tick that the chain went on after, the newest head given up).
    """

    why: str = ""
    diverged: AcceptedTick | None = None
    diverged_root: str = ""
    abandons: Head | None = None
    excused: list[tuple[int, Head]] = field(default_factory=list)

    def excuse(self, tick: AcceptedTick) -> None:
        """Approvers gave up ticks, as recorded in this one: they are not missed any more."""
        for record in tick.records if any(record.kind == ChainRepaired.wire for record in tick.records) else ():
            said = sealed_record(record).event
            if isinstance(said, ChainRepaired) and said.abandoned is not None:
                self.excused.append((said.at_tick, said.abandoned))

    def is_excused(self, tick: int) -> bool:
        """Whether approvers gave up the tick that once had this number."""
        return any(after < tick <= abandoned.tick for after, abandoned in self.excused)

    def look_for_lost_ticks(self, chain: Chain, known: KnownHeads, state: State) -> str:
        """Why the log is not the whole one, in words: seals above its head, or a head that somebody knew and that is not there.

        The words name what approvers would have to accept: the state to go on from, and the head to give up.

        Whoever decided on from there would seal other ticks in place of the lost ones, and the chain would look whole again.
        """
        missing = known.missing(chain.head, self.is_excused)
        beyond = [tick for tick in chain.beyond if not self.is_excused(tick)]
        if beyond:
            newest = chain.beyond[max(beyond)]
            self.abandons = Head(tick=newest.seal.tick, offset=newest.offset, hash=newest.seal.hash)
        if missing is not None and (self.abandons is None or missing.tick > self.abandons.tick):
            self.abandons = Head(tick=missing.tick, offset=-1, hash=missing.hash)
        if self.abandons is None:
            return ""
        what = chain.forked() if beyond else words_of(missing, chain.head) if missing else ""
        return f"ticks are lost (state {state.hash()}, gives up {self.abandons.tick}:{self.abandons.hash}): {what}"

    def wanted(self, chain: Chain, state: State) -> Accepted | None:
        """What approvers have to name; None when no word of theirs helps."""
        folded, tick = state.hash(), self.diverged
        if tick is not None:
            return Accepted(tick.seal.tick, tick.seal.state_hash, folded, self.diverged_root, None)
        return None if self.abandons is None else Accepted(chain.head.tick, folded, folded, None, self.abandons)

    def is_lifted(self, chain: Chain, state: State, inbox: Inbox) -> bool:
        """Whether enough approvers named just this difference."""
        wanted = self.wanted(chain, state) if self.diverged is not None or self.abandons is not None else None
        return wanted is not None and inbox.is_accepted(wanted, state)

    def lift(self) -> AcceptedTick | None:
        """Stand still no longer; returns the tick that differed, which counts from now on."""
        tick = self.diverged
        self.why, self.diverged, self.diverged_root, self.abandons = "", None, "", None
        return tick
