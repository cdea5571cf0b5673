"""When two names are one person's: names are compared in one form, so that `ada`, `Ada` and `ada` with an invisible character are one.

Place in the flow: proof-api's operators and the planner's "two different approvers" compare by it. Pure.
"""

import unicodedata

PLANNER = "planner"
"""Who does what no person did; nobody else may have this name."""
INVISIBLE = frozenset({"Cc", "Cf", "Zs", "Zl", "Zp"})
"""Unicode categories that nobody sees between two letters: control, format and space characters."""


def identity_of(name: str) -> str:
    """The form in which names are compared: compatibility characters folded, no case, nothing invisible."""
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())
    return "".join(character for character in folded if unicodedata.category(character) not in INVISIBLE)
