"""Who may do what: operators by token, roles, and where a credential comes from.

Place in the flow: before every command, and before every read when this is set so. The actor comes from the credential,
never from the body. Tokens are kept as SHA-256 only.
"""

import hashlib
import hmac
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

from autonomy.errors import Broken

Role = Literal["viewer", "operator", "approver"]
RANK: Final[dict[Role, int]] = {"viewer": 0, "operator": 1, "approver": 2}
BEARER: Final = "Bearer "


@dataclass(frozen=True, slots=True)
class Operator:
    """A named person or program."""

    name: str
    role: Role

    def may(self, role: Role) -> bool:
        """Whether this operator has at least a role."""
        return RANK[self.role] >= RANK[role]


@dataclass(slots=True)
class Operators:
    """The operators file, read again when it changes."""

    path: Path
    stamp: tuple[int, int, int] | None = None
    by_digest: dict[str, Operator] = field(default_factory=dict)

    def of_header(self, authorization: str | None) -> Operator | None:
        """The operator of an Authorization header, or None."""
        if authorization is None or not authorization.startswith(BEARER):
            return None
        digest = hashlib.sha256(authorization[len(BEARER) :].strip().encode()).hexdigest()
        self._refresh()
        found = None
        for known, operator in self.by_digest.items():
            if hmac.compare_digest(known, digest):
                found = operator
        return found

    def _refresh(self) -> None:
        try:
            known_as = self.path.stat()
        except FileNotFoundError:
            self.by_digest, self.stamp = {}, None
            return
        # A file that was replaced within one step of the clock is still another file.
        stamp = (known_as.st_mtime_ns, known_as.st_ino, known_as.st_size)
        if stamp == self.stamp:
            return
        try:
            entries = json.loads(self.path.read_text())
            known = {str(entry["sha256"]): Operator(str(entry["name"]), entry["role"]) for entry in entries}
            if not {operator.role for operator in known.values()} <= set(RANK):
                raise ValueError("unknown role")
        except (ValueError, KeyError, TypeError) as refusal:
            raise Broken(f"{self.path} is no list of operators with name, role and sha256") from refusal
        self.by_digest, self.stamp = known, stamp
