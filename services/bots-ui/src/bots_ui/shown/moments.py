"""Three moments that are never one sentence: what is now, what was decided last, what is decided next.

Place in the flow: header's facts → **moments** → rows and cards. Pure. A badge is now; a reason is of the planner's last look, up to
an interval ago; what is due is looked at in its next. Put together they contradict each other, so each has its own line and time.
"""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Moments:
    """When the planner last decided about every bot, and when it does again; None where it is not known.

    Attributes:
        tick: number of the last tick.
        silent: no planner answers, so that no next decision is in sight.
    """

    tick: int | None = None
    decided_at: datetime | None = None
    next_at: datetime | None = None
    silent: bool = False


NOT_KNOWN = Moments()
