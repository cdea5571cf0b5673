"""What live job-runners announce differently, in one set of words: the planner blocks jobs by it, readers show it.

Place in the flow: announcements → planner's view, page of workers → **words**. Pure; needs nothing. A strategy is called by its name,
bars as `bars_name` says.
"""

from collections.abc import Iterable
from typing import Final

ENGINE: Final = "engine"
"""How the engine is called where runners announce different ones."""
SAME: Final = "the same code and data on all live runners"
"""What is required instead."""
CLEARS: Final = "all runners run the same version on the same data"


def differ_words(about: Iterable[str]) -> str:
    """What they announce differently, in one sentence."""
    return f"live runners announce different {', '.join(sorted(about))}"
