"""Links that sign an operator in once: made for whoever shows a token, used up by the first who follows one.

Place in the flow: `autonomy login` → **links** → sign-in. A link is known by the hash of its code only, lives for minutes and in this
process alone; the token that it stands for is kept here meanwhile, as it is for a session.

Source: docs/architecture.md, "Security".
"""

import hashlib
import secrets
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Final

LIVES_S: Final = 300.0
"""From a terminal to a browser takes less."""
MAX_OF_ONE: Final = 5
"""Links of one operator that wait to be followed; with another one the oldest is void."""
MAX_LINKS: Final = 1_000
MAX_CODE: Final = 100


@dataclass(frozen=True, slots=True)
class Link:
    """What a code stands for until it is used."""

    token: str = field(repr=False)
    name: str
    role: str
    until_s: float


@dataclass(slots=True)
class Links:
    """All links of the process by the hash of their code, the oldest first; times are of a clock that never goes back."""

    by_digest: "OrderedDict[str, Link]" = field(default_factory=OrderedDict)

    def make(self, token: str, name: str, role: str, now_s: float) -> str:
        """A new code, which is kept nowhere."""
        for digest in [digest for digest, link in self.by_digest.items() if link.until_s <= now_s]:
            del self.by_digest[digest]
        own = [digest for digest, link in self.by_digest.items() if link.name == name]
        for digest in own[: max(0, len(own) + 1 - MAX_OF_ONE)]:
            del self.by_digest[digest]
        while len(self.by_digest) >= MAX_LINKS:
            self.by_digest.popitem(last=False)
        code = secrets.token_urlsafe(32)
        self.by_digest[digest_of(code)] = Link(token, name, role, now_s + LIVES_S)
        return code

    def look(self, code: str, now_s: float) -> Link | None:
        """What a code stands for now; it stays."""
        found = self.by_digest.get(digest_of(code)) if len(code) <= MAX_CODE else None
        return found if found is not None and found.until_s > now_s else None

    def take(self, code: str, now_s: float) -> Link | None:
        """What a code stands for, once: whoever comes second, and be it at the same moment, gets nothing."""
        found = self.look(code, now_s)
        if found is not None:
            del self.by_digest[digest_of(code)]
        return found


def digest_of(code: str) -> str:
    """What is kept of a code."""
    return hashlib.sha256(code.encode()).hexdigest()
