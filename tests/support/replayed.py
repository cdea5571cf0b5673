"""Run the written history in a process of its own and print what it sealed: `python -m support.replayed [--nudge]`.

The caller varies the environment; nothing of it may show in the output.
"""

import json
import sys
from collections import deque
from random import Random

from autonomy.chain import AcceptedTick, Chain
from support.builders import a_policy
from support.changes import replace
from support.histories import live_through, written_history
from support.ticks import Follower, TickDriver, as_input

POLLS = (1, 3, 50)


def shuffled_follower(driver: TickDriver, seed: int, poll: int) -> str:
    """Read everything in random turns of at most `poll` records, fold each tick as soon as its inputs are there."""
    random = Random(seed)
    follower, chain = Follower(), Chain()
    waiting = {place: deque(enumerate(values)) for place, values in sorted(driver.log.items())}
    runs, accepted = deque(driver.runs), deque[AcceptedTick]()
    read = {place: 0 for place in waiting}
    while runs or accepted:
        place = random.choice([*waiting, None])
        if place is None:
            for _ in range(min(poll, len(runs))):
                done = chain.feed(runs.popleft())
                if done is not None:
                    accepted.append(done)
        else:
            for _ in range(min(poll, len(waiting[place]))):
                offset, value = waiting[place].popleft()
                follower.inbox.put(as_input(*place, offset, value))
                read[place] = offset + 1
        while accepted and all(
            read.get((topic, number), 0) >= end for topic, ends in accepted[0].seal.cut.items() for number, end in enumerate(ends)
        ):
            fault = follower.follow(accepted.popleft())
            if fault is not None:
                return fault
    return follower.state.hash()


def main() -> None:
    """Print the seals' hashes and the followers' last state."""
    driver = TickDriver()
    if "--nudge" in sys.argv:
        nudged = a_policy(research={"costs": {"fee_bps": 10.0 + 1e-9, "slippage_bps": 5.0}})
        driver.state.single = replace(driver.state.single, policy=nudged, policy_hash=nudged.hash(), policy_by="ada")
    live_through(driver, written_history())
    followers = [] if "--nudge" in sys.argv else [shuffled_follower(driver, poll, poll) for poll in POLLS]
    print(json.dumps({
        "seals": [attempt.seal.hash for attempt in driver.tries],
        "values": [record.value.decode() for attempt in driver.tries[:2] for record in attempt.records],
        "state": driver.state.hash(), "followers": followers,
    }))  # fmt: skip


if __name__ == "__main__":
    main()
