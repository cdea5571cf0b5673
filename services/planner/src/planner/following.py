"""Follow a tick that somebody sealed: fold it whole, or decide it again, and say what differs from its seal.

Place in the flow: an accepted tick and its inputs → **following** → state; standby, start and audit stand on it. Pure.

Source: S5, S6, R-F1.
"""

from collections.abc import Sequence

from autonomy.chain import AcceptedTick, seal_hash
from autonomy.errors import Broken
from autonomy.events import Head, PlannerRun
from autonomy.values import ms_of
from planner.decide.plan import DECIDERS
from planner.fold.facts import fold_own
from planner.fold.inputs import Input, first_unlike, input_root
from planner.fold.slices import fold_slice
from planner.fold.state import HASH_BITS, State
from planner.tick import TickInputs, clear_dangling_job_refs, draft


def follow(state: State, slice_: Sequence[Input], accepted: AcceptedTick, carried: int = 0) -> str | None:
    """Fold a sealed tick whole; returns what differs from the seal, or None.

    Args:
        state: at the tick before; at this one afterwards, whatever differs: an approver may let it go on from there.
        slice_: the inputs below the tick's cut that no earlier tick folded.
        accepted: the tick.
        carried: the gap that an accepted difference left (`gap_to`); a state that differs by it does not differ anew.

    Raises:
        Broken: it cannot be folded; the state is as it was, and nobody can go on from here.

    Source: S5, S6.
    """
    seal = accepted.seal
    if seal.decider not in DECIDERS:
        raise Broken(f"it was decided by {seal.decider}, which this version does not know: it knows {', '.join(DECIDERS)}")
    state.begin()
    try:
        clear_dangling_job_refs(state)
        fold_slice(state, slice_, ms_of(seal.now), seal.elapsed_ms, seal.silent)
        fold_own(state, accepted.events(), seal.tick, ms_of(seal.now))
    except Broken:
        state.undo()
        raise
    state.keep()
    fault = unlike_inputs(seal, slice_)
    gap = gap_to(seal, state)
    if not fault and gap == 0 and seal.snapshot_root is not None and (root := state.root()) != seal.snapshot_root:
        fault = f"the sums are equal, but the root over the state is {root}, sealed {seal.snapshot_root}"
    if not fault and gap in {0, carried}:
        return None
    states = f"tick {seal.tick}: folded state {state.hash()}, sealed {seal.state_hash}, inputs {input_root(slice_)}"
    return f"{states}; {fault}" if fault else states


def unlike_inputs(seal: PlannerRun, slice_: Sequence[Input]) -> str:
    """Which inputs are not those that the tick sealed, in words; empty when all are."""
    if (len(slice_), input_root(slice_)) == (seal.inputs, seal.input_root):
        return ""
    counted = f"its {len(slice_)} inputs are not the {seal.inputs} that it sealed"
    found = first_unlike(slice_, seal.input_marks)
    if found is None:
        return counted
    first, last = found
    place = f"{first.topic}/{first.partition} at offset {first.offset}"
    return f"{counted}: the first that differs is {place}" + ("" if first is last else f" to {last.topic}/{last.partition} {last.offset}")


def gap_to(seal: PlannerRun, state: State) -> int:
    """The sealed state hash less the folded one, modulo 2^256; 0 when they are equal.

    A state hash is the sum of its entities' hashes, so the gap stays the same as long as the entities that differ stay the same.
    """
    return (int(seal.state_hash, 16) - int(state.hash(), 16)) % (1 << HASH_BITS)


def inputs_of(seal: PlannerRun, horizon: Head | None = None) -> TickInputs:
    """What the shell drew for a sealed tick: recorded in its seal, and nowhere else."""
    return TickInputs(
        tick=seal.tick, try_id=seal.try_id, process_id=seal.process_id,
        head=Head(tick=seal.tick - 1, offset=-1, hash=seal.prev_hash), horizon=horizon or seal.horizon, cut=seal.cut,
        cause=seal.cause, due_at_ms=ms_of(seal.due_at), now_ms=ms_of(seal.now), elapsed_ms=seal.elapsed_ms, silent=seal.silent,
    )  # fmt: skip


def re_decide(state: State, slice_: Sequence[Input], accepted: AcceptedTick, carried: int = 0, horizon: Head | None = None) -> str | None:
    """Decide a sealed tick again and compare every byte; returns what differs, or None. The state is left at the tick.

    A state hash that differs by the gap of an accepted difference, and by nothing else, is taken as equal (`follow`).

    Args:
        state: at the tick before.
        slice_: the tick's inputs.
        accepted: the tick.
        carried: the gap of an accepted difference.
        horizon: as derived by the caller; without one that of the seal is taken as right.

    Source: R-F1.
    """
    seal = accepted.seal
    drafted = draft(state, slice_, inputs_of(seal, horizon))
    if (fault := drafted.records_as(accepted)) is not None:
        return f"tick {seal.tick}: {fault}"
    decided = drafted.sealed().seal
    if carried and gap_to(seal, state) == carried:
        decided = decided.model_copy(update={"state_hash": seal.state_hash, "snapshot_root": seal.snapshot_root})
        decided = decided.model_copy(update={"hash": seal_hash(decided)})
    if decided.hash != seal.hash:
        differing = [name for name in type(seal).model_fields if getattr(seal, name) != getattr(decided, name)]
        return f"tick {seal.tick}: sealed and re-decided differ in {', '.join(differing)}"
    return None
