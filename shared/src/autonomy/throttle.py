"""How often somebody may fail, each on an own account: one who fails without end shuts the door on nobody else.

Place in the flow: proof-api and bots-ui count wrong credentials by the address they come from. Pure: times are arguments.
"""

from collections import OrderedDict, deque
from dataclasses import dataclass, field
from typing import Final

WINDOW_S: Final = 60.0
MAX_ACCOUNTS: Final = 10_000
"""About 2 kB each at most; the one that failed longest ago is forgotten first."""


@dataclass(slots=True)
class Throttle:
    """Failures of the last minute, by account.

    Attributes:
        allowed: failures a minute of one account; the next ones are over it.
        over: how many failures were over it, of all accounts, since the process began.
    """

    allowed: int
    failures: "OrderedDict[str, deque[float]]" = field(default_factory=OrderedDict)
    over: int = 0

    def failed(self, account: str, now_s: float) -> bool:
        """Count a failure; whether it is over what is allowed."""
        recent = self.failures.setdefault(account, deque(maxlen=self.allowed))
        self.failures.move_to_end(account)
        while recent and now_s - recent[0] > WINDOW_S:
            recent.popleft()
        is_over = len(recent) >= self.allowed
        if is_over:
            self.over += 1
        else:
            recent.append(now_s)
        while len(self.failures) > MAX_ACCOUNTS:
            self.failures.popitem(last=False)
        return is_over
