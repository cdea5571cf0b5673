"""Files of what a process knows after an accepted tick, so that its next start reads only what came later.

Place in the flow: planner and job-runner → **snapshot files** → their next start. A file is disposable: the log says the same, slowly. What
one holds, and how the log must bear it out before it is used, is its writer's affair; here it is whole or refused.

Source: S7; docs/adr/0022.
"""

import hashlib
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from autonomy.errors import AutonomyError

KEPT: Final = 2
"""Files: the newest, and the one before it, should the newest be damaged."""


class RefusedSnapshot(AutonomyError):
    """A snapshot that is not used, and why; the log is read from further back instead, so only time is lost."""


def with_checksum(document: bytes) -> bytes:
    """A file's content: the document under its SHA-256."""
    return hashlib.sha256(document).hexdigest().encode() + b"\n" + document


def checked(content: bytes) -> bytes:
    """The document of a file.

    Raises:
        RefusedSnapshot: it is damaged.
    """
    digest, _, document = content.partition(b"\n")
    if hashlib.sha256(document).hexdigest().encode() != digest:
        raise RefusedSnapshot("its first line is not the SHA-256 of the rest: it is damaged")
    return document


@dataclass(frozen=True, slots=True)
class SnapshotFolder:
    """Files `tick-000000000020.json`; the newest ones are kept. Several processes may write here."""

    folder: Path

    def write(self, tick: int, content: bytes) -> None:
        """Write a snapshot, whole or not at all, and forget old ones.

        Raises:
            OSError: there is no room, or no right.
        """
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = self.folder / f"tick-{tick:012d}.json"
        with tempfile.NamedTemporaryFile(dir=self.folder, suffix=".draft", delete=False) as draft:
            try:
                draft.write(content)
                draft.flush()
                Path(draft.name).replace(path)
            except BaseException:
                Path(draft.name).unlink(missing_ok=True)
                raise
        for old in self.files()[KEPT:]:
            old.unlink(missing_ok=True)

    def files(self) -> list[Path]:
        """The newest first."""
        return sorted(self.folder.glob("tick-*.json"), reverse=True)

    def clear(self) -> None:
        """Forget all."""
        for path in self.files():
            path.unlink(missing_ok=True)
