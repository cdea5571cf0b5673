"""Checkpoints of a search, so that a killed job goes on where it was.

Role: a store, and the bytes that go into it. A checkpoint holds what was worked out, not the optimiser's memory: the
same seed draws the same candidates again, and those drawn are compared with those kept. So nothing that is read is
ever run as code, and a checkpoint that is torn, or belongs to another order, is noticed and refused.
"""

import contextlib
import hashlib
import os
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol

import fsspec
import numpy as np
import orjson

from autonomy.errors import BadInput, Poison
from job_runner.engine.compiled import FloatArray
from job_runner.search.evaluation import Scores

MAX_CHECKPOINT_BYTES = 1 << 30
SUFFIX, UNFINISHED = ".checkpoint", ".part"
FORGOTTEN_S = 7 * 86_400.0

_KEY = re.compile(r"[A-Za-z0-9_-]{1,128}")


class CheckpointRefused(Poison):
    """What the store holds under this key is not a checkpoint of this search; the message says why."""


class CheckpointStore(Protocol):
    """Where checkpoints are kept, by job."""

    def load(self, key: str) -> bytes | None:
        """The newest, or None."""
        ...

    def save(self, key: str, content: bytes) -> None:
        """Replace it, whole or not at all."""
        ...

    def drop(self, key: str) -> None:
        """Forget it."""
        ...


@dataclass(frozen=True, slots=True)
class FileCheckpoints:
    """Checkpoints as files of a folder.

    Args:
        url: fsspec URL or local path. Runners that share it may go on with one another's searches.
    """

    url: str

    def load(self, key: str) -> bytes | None:
        """See `CheckpointStore.load`."""
        files, path = self._place(key)
        try:
            if files.size(path) > MAX_CHECKPOINT_BYTES:
                return b""
            return bytes(files.cat_file(path))
        except FileNotFoundError:
            return None

    def save(self, key: str, content: bytes) -> None:
        """See `CheckpointStore.save`."""
        files, path = self._place(key)
        files.makedirs(path.rsplit("/", 1)[0], exist_ok=True)
        # Renamed when complete: a reader sees the old one or the new one.
        unfinished = f"{path}.{os.getpid()}{UNFINISHED}"
        files.pipe_file(unfinished, content)
        files.mv(unfinished, path)

    def drop(self, key: str) -> None:
        """See `CheckpointStore.drop`."""
        files, path = self._place(key)
        if files.exists(path):
            files.rm_file(path)

    def sweep(self, now: datetime, forgotten_s: float = FORGOTTEN_S) -> int:
        """Drop what no search has saved for so long, unfinished files too; returns how many files.

        A search that was cancelled, or whose attempts all failed, leaves its checkpoint: only its end drops it. One that is dropped too
        early costs its search the work done so far, and nothing else.

        Args:
            now: with its zone.
            forgotten_s: far longer than a search may run.
        """
        files, root = fsspec.core.url_to_fs(self.url)
        if not files.exists(root):
            return 0
        dropped = 0
        for path in files.ls(root, detail=False):
            if not path.endswith((SUFFIX, UNFINISHED)):
                continue
            with contextlib.suppress(FileNotFoundError):  # another runner sweeps the same folder, or the search just ended
                if (now - _with_zone(files.modified(path))).total_seconds() > forgotten_s:
                    files.rm_file(path)
                    dropped += 1
        return dropped

    def _place(self, key: str) -> "tuple[fsspec.AbstractFileSystem, str]":
        if not _KEY.fullmatch(key):
            raise BadInput("job_id", "1 to 128 letters, digits, - and _", key)
        files, root = fsspec.core.url_to_fs(self.url)
        return files, f"{root}/{key}{SUFFIX}"


def _with_zone(modified: datetime) -> datetime:
    """A store's time of change; those that leave the zone out mean UTC."""
    return modified if modified.tzinfo is not None else modified.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A search up to the end of a generation.

    Args:
        identity: hex; of everything that the trials follow from.
        elapsed_s: worked in all attempts so far.
        generations: canonical parameters of every trial, by generation, in order.
        known: scores by canonical parameters.
    """

    identity: str
    elapsed_s: float
    generations: tuple[tuple[str, ...], ...]
    known: dict[str, Scores]


def pack(checkpoint: Checkpoint) -> bytes:
    """A checkpoint as bytes: a checksum, a line of JSON, and the numbers."""
    names = list(checkpoint.known)
    places = {name: place for place, name in enumerate(names)}
    head = {
        "identity": checkpoint.identity,
        "elapsed_s": checkpoint.elapsed_s,
        "names": names,
        "generations": [[places[name] for name in generation] for generation in checkpoint.generations],
        "folds": len(next(iter(checkpoint.known.values())).folds_sharpe),
    }
    scores = checkpoint.known.values()
    table = np.array([[*found.folds_sharpe, *found.sums, *found.squares, float(found.usable)] for found in scores], dtype="<f8")
    body = orjson.dumps(head) + b"\n" + table.tobytes()
    return hashlib.sha256(body).hexdigest().encode() + b"\n" + body


def unpack(content: bytes, identity: str) -> Checkpoint:
    """The checkpoint in these bytes.

    Raises:
        CheckpointRefused: torn, or of another search.
    """
    checksum, _, body = content.partition(b"\n")
    if hashlib.sha256(body).hexdigest().encode() != checksum:
        raise CheckpointRefused("the checkpoint is torn: its checksum is wrong")
    line, _, numbers = body.partition(b"\n")
    try:
        head = orjson.loads(line)
        if head["identity"] != identity:
            raise CheckpointRefused(f"the checkpoint is of another search: {head['identity'][:12]}, this is {identity[:12]}")
        return _read(head, np.frombuffer(numbers, dtype="<f8"))
    except (KeyError, TypeError, ValueError, IndexError) as wrong:
        raise CheckpointRefused(f"the checkpoint is not in this version's form: {wrong!r}") from wrong


def _read(head: dict[str, Any], numbers: FloatArray) -> Checkpoint:
    names, folds = head["names"], head["folds"]
    table = numbers.reshape(len(names), -1).tolist()
    blocks = (len(table[0]) - folds - 1) // 2
    known = {
        name: Scores(tuple(row[:folds]), tuple(row[folds : folds + blocks]), tuple(row[folds + blocks : -1]), row[-1] == 1.0)
        for name, row in zip(names, table, strict=True)
    }
    generations = tuple(tuple(names[place] for place in generation) for generation in head["generations"])
    return Checkpoint(head["identity"], float(head["elapsed_s"]), generations, known)
