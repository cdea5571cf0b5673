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
    mtime_ns: int = -1
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
            mtime_ns = self.path.stat().st_mtime_ns
        except FileNotFoundError:
            self.by_digest, self.mtime_ns = {}, -1
            return
        if mtime_ns == self.mtime_ns:
            return
        try:
            entries = json.loads(self.path.read_text())
            known = {str(entry["sha256"]): Operator(str(entry["name"]), entry["role"]) for entry in entries}
            if not {operator.role for operator in known.values()} <= set(RANK):
                raise ValueError("unknown role")
        except (ValueError, KeyError, TypeError) as refusal:
            raise Broken(f"{self.path} is no list of operators with name, role and sha256") from refusal
        self.by_digest, self.mtime_ns = known, mtime_ns
