"""Breadth-first search over every interleaving of a small model, with the shortest trace to a violation."""

from collections import deque
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

S = TypeVar("S", bound=Hashable)
Moves = Callable[[S], Iterable[tuple[str, S]]]


@dataclass(slots=True)
class Searched(Generic[S]):
    """What a search saw.

    Attributes:
        trace: the moves to the first violation, shortest first; empty when there is none.
        stuck: states without any way to a good end.
        exhausted: whether every reachable state was visited.
    """

    states: int = 0
    violation: str = ""
    trace: list[str] = field(default_factory=list)
    stuck: list[S] = field(default_factory=list)
    exhausted: bool = True
    good_ends: int = 0


def search(
    start: S,
    moves: Moves[S],
    fault: Callable[[S], str],
    *,
    max_states: int,
    is_good: Callable[[S], bool] | None = None,
    is_fair: Callable[[str], bool] = lambda move: True,
) -> Searched[S]:
    """Visit every state.

    Args:
        fault: what is wrong with a state, or nothing.
        max_states: stop here, not exhausted.
        is_good: an end that must stay reachable from everywhere by fair moves (no faults); None leaves liveness out.
    """
    result: Searched[S] = Searched()
    came: dict[S, tuple[S, str] | None] = {start: None}
    before: dict[S, list[S]] = {}
    queue = deque([start])
    while queue:
        state = queue.popleft()
        wrong = fault(state)
        if wrong:
            result.violation, result.trace = wrong, _trace(came, state)
            break
        for name, after in moves(state):
            if is_good is not None and is_fair(name):
                before.setdefault(after, []).append(state)
            if after not in came:
                if len(came) >= max_states:
                    result.exhausted = False
                    continue
                came[after] = (state, name)
                queue.append(after)
    result.states = len(came)
    if is_good is not None and not result.violation and result.exhausted:
        ends = [state for state in came if is_good(state)]
        result.good_ends = len(ends)
        reached = set(ends)
        back = deque(ends)
        while back:
            for state in before.get(back.popleft(), ()):
                if state not in reached:
                    reached.add(state)
                    back.append(state)
        result.stuck = [state for state in came if state not in reached]
        if result.stuck:
            result.trace = _trace(came, result.stuck[0])
    return result


def _trace(came: dict[S, tuple[S, str] | None], state: S) -> list[str]:
    names: list[str] = []
    step = came[state]
    while step is not None:
        names.append(step[1])
        step = came[step[0]]
    return names[::-1]
