"""A folder of strategies: what is in it, kept by content, and offered while it can be used.

Place in the flow: a user's file → **folder** → copy by content → offer (announced), workers. Level-triggered: each look compares time and
size, and reads only what changed; a file that cannot be loaded takes itself out and says where it is wrong, its last good version stays in
use, and nobody else hears of it. Code runs from the copy, so a file may be edited at any time: the copy is another one then, with another
hash, and evidence of the old one no longer counts.
"""

import ast
import hashlib
import logging
import os
import shutil
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from autonomy.errors import BadInput
from autonomy.events import MAX_STRATEGIES, MAX_STRATEGY_FAULTS, StrategyFault
from job_runner.engine.code_path import OWN, CodePath, behind, in_folders
from job_runner.engine.code_path import installed as installed_source
from job_runner.strategies import freqtrade_files
from job_runner.strategies.coded import DOCUMENTS, DRIVERS, CodedStrategy, Found, Kept, installed, offer_of
from job_runner.strategies.guest import LOAD_BESIDE_S, LOAD_S, Guest, StrategyFailed

log = logging.getLogger(__name__)
MAX_FILES: Final = 500
"""Of one strategy: itself, and what it imports of the same folder."""
MAX_BYTES: Final = 64 << 20
SKIPPED: Final = ("_", ".")
Sign = tuple[tuple[str, int, int], ...]


class StrategyGone(BadInput):
    """A strategy that this process does not offer now; it, or another, may again."""


@dataclass(slots=True)
class _Held:
    """What is remembered of one file or package.

    Attributes:
        seen: time and size of all its files at the last look.
        read: the same when it was last read, well or not.
        strategies: the last good ones.
    """

    seen: Sign = ()
    read: Sign | None = None
    strategies: tuple[CodedStrategy, ...] = ()
    fault: StrategyFault | None = None


@dataclass(slots=True, eq=False)
class StrategyFolders:
    """Everything that this process can run: installed strategies, and those of the folders.

    Args:
        folders: where people put their files; a missing one is empty.
        copies: where they are kept by content.
    """

    folders: tuple[Path, ...] = ()
    copies: Path = Path(".data/strategies")
    inspect: Callable[[Path, str], Mapping[str, Mapping[str, object]]] | None = None
    found: Found = field(default_factory=installed)
    _held: dict[Path, _Held] = field(default_factory=dict)
    _looking: threading.Lock = field(default_factory=threading.Lock)

    def look(self) -> bool:
        """Read what changed; returns whether there is something new to offer. Blocks: call it in a thread.

        A file is read when two looks have seen it alike, so that one in the middle of being written is left alone.
        """
        with self._looking:
            there = [path for folder in self.folders for path in _entries(folder)]
            for path in [path for path in self._held if path not in there]:
                log.warning("%s is gone, and its strategies with it", path.name)
                del self._held[path]
            for path in there:
                held = self._held.setdefault(path, _Held())
                sign = _sign(path)
                settled, held.seen = held.seen == sign, sign
                if settled and held.read != sign:
                    self._read(path, held)
            before, self.found = self.found, self._found()
            return before != self.found

    def named(self, name: str) -> CodedStrategy:
        """A strategy that this process offers.

        Raises:
            StrategyGone: it offers none of this name.
        """
        coded = self.found.strategies.get(name)
        if coded is None:
            raise StrategyGone("strategy", "one that this runner offers", name)
        return coded

    def _read(self, path: Path, held: _Held) -> None:
        held.read = held.seen
        try:
            held.strategies = taken(path, self.copies, self.inspect)
        except StrategyFailed as fault:
            self._refuse(path, held, fault.words, fault.line, fault.file)
        except SyntaxError as fault:
            self._refuse(path, held, f"SyntaxError: {fault.msg}", fault.lineno)
        except BadInput as refusal:
            self._refuse(path, held, str(refusal))
        except OSError as fault:
            held.read = None  # it may pass: read again at the next look
            self._refuse(path, held, f"it cannot be read: {fault.strerror or fault}")
        else:
            held.fault = None
            for coded in held.strategies:
                log.info("strategy %s %d of %s", coded.name, coded.offer.version, path.name, extra={"code": coded.offer.code_hash[:12]})

    def _refuse(self, path: Path, held: _Held, words: str, line: int | None = None, file: str = "") -> None:
        fault = StrategyFault(file=_shown(file or path.name), line=line, reason=_shown(words), in_use=bool(held.strategies))
        if fault != held.fault:
            log.warning("%s%s: %s", fault.file, f":{line}" if line else "", fault.reason)
        held.fault = fault

    def _found(self) -> Found:
        own = installed()
        strategies, faults = dict(own.strategies), [*own.faults]
        for path, held in sorted(self._held.items()):
            if held.fault is not None:
                faults.append(held.fault)
            for coded in held.strategies:
                if coded.name in strategies:
                    words = f"name: {coded.name} is a strategy of {strategies[coded.name].offer.origin} already"
                    faults.append(StrategyFault(file=_shown(path.name), line=None, reason=words))
                elif len(strategies) >= MAX_STRATEGIES:
                    faults.append(StrategyFault(file=_shown(path.name), line=None, reason=f"more than {MAX_STRATEGIES} strategies"))
                else:
                    strategies[coded.name] = coded
        if len(faults) > MAX_STRATEGY_FAULTS:
            rest = len(faults) - MAX_STRATEGY_FAULTS + 1
            faults = [*faults[: MAX_STRATEGY_FAULTS - 1], StrategyFault(file="…", line=None, reason=f"{rest} more")]
        return Found(strategies, tuple(faults))


def taken(
    path: Path, copies: Path, inspect: Callable[[Path, str], Mapping[str, Mapping[str, object]]] | None = None
) -> tuple[CodedStrategy, ...]:
    """The strategies of a file or package, from a copy of it that its content names.

    Args:
        path: a Python file, or a folder with `__init__.py`.
        copies: where copies are kept.
        inspect: what the copy declares, by class; by default asked of a process of its own.

    Raises:
        StrategyFailed, SyntaxError: its code is at fault, or asks for what is not mapped; say where.
        BadInput: what it declares is out of limits.
        OSError: it cannot be read, or the copy not written.
    """
    files = _files_of(path)
    foreign = freqtrade_files.adapted(path, files)
    top = path.name if foreign is None else foreign.top
    module = Path(top).stem
    content = hashlib.sha256()
    for name, body in sorted(files.items()):
        content.update(f"{name} {len(body)}\0".encode() + body)
    copy = copies / content.hexdigest()[:32]
    _keep(copy, files)
    # Of the copy, as all that follows: the file itself may be another one by now.
    path_behind = _path_of(copy / top)
    load_s = LOAD_S if foreign is None else LOAD_BESIDE_S
    declared = _declared(copy, module, load_s) if inspect is None else inspect(copy, module)
    if not declared:
        raise BadInput("file", "one that defines a subclass of autonomy.strategy.Strategy with a name", path.name)
    found = []
    for class_name, declaration in declared.items():
        name = str(declaration.get("name"))
        packages = (("strategy", name), ("files", content.hexdigest()), *path_behind.packages)
        code_hash = CodePath(path_behind.sources, packages).hash()
        origin = f"{path.parent.name}/{path.name}" + (f", for {foreign.program}" if foreign is not None else "")
        offer = offer_of(declaration, code_hash, origin, jailed=True)
        kept = Kept(str(copy.absolute()), module, class_name, "" if foreign is None else foreign.program)
        found.append(CodedStrategy(offer, kept))
    return tuple(found)


def _declared(copy: Path, module: str, load_s: float) -> Mapping[str, Mapping[str, object]]:
    guest = Guest(str(copy.absolute()), module, load_s=load_s)
    try:
        return guest.declared()
    finally:
        guest.close()


def _path_of(path: Path) -> CodePath:
    """The platform's own code on the way of a decision, and the versions of all libraries that the file's own code imports."""
    top = path.stem
    beside = path.parent

    def source_of(name: str) -> Path | None:
        parts = name.split(".")
        return installed_source(name) if parts[0] in OWN else in_folders([beside], parts)

    whole = behind([*DRIVERS, top], DOCUMENTS, source_of)
    # Its own files are in the content's hash already, whatever folder they come from.
    return CodePath(tuple(source for source in whole.sources if source[0].split(".")[0] in OWN), whole.packages)


def _files_of(path: Path) -> dict[str, bytes]:
    """All files that the strategy may need, by their place in the copy: a package whole, a file with what it imports from beside it."""
    waiting, size = [path], 0
    files: dict[str, bytes] = {}
    while waiting:
        place = waiting.pop()
        for file in sorted(place.rglob("*")) if place.is_dir() else [place]:
            name = file.relative_to(path.parent).as_posix()
            if not file.is_file() or "__pycache__" in file.parts or name in files:
                continue
            body = file.read_bytes()
            size += len(body)
            if size > MAX_BYTES or len(files) >= MAX_FILES:
                raise BadInput("file", f"at most {MAX_FILES} files and {MAX_BYTES >> 20} MiB, with what it imports beside it", path.name)
            files[name] = body
            if file.suffix == ".py":
                waiting += [beside for top in _imported(body, name) if (beside := _beside(path.parent, top)) is not None]
    return files


def _imported(body: bytes, name: str) -> set[str]:
    try:
        tree = ast.parse(body)
    except SyntaxError as fault:
        fault.filename = name
        raise
    found = {alias.name.split(".")[0] for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    return found | {str(node.module).split(".")[0] for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and not node.level}


def _beside(folder: Path, module: str) -> Path | None:
    package, file = folder / module, folder / f"{module}.py"
    if (package / "__init__.py").is_file():
        return package
    return file if file.is_file() else None


def _keep(copy: Path, files: Mapping[str, bytes]) -> None:
    """Write a copy once: whole or not at all."""
    if copy.is_dir():
        return
    copy.parent.mkdir(parents=True, exist_ok=True)
    part = copy.with_name(f".{copy.name}.{os.getpid()}.{threading.get_ident()}")
    shutil.rmtree(part, ignore_errors=True)
    for name, body in files.items():
        place = part / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(body)
    try:
        part.rename(copy)
    except OSError:
        shutil.rmtree(part, ignore_errors=True)
        if not copy.is_dir():  # else another process was first, with the same content
            raise


def _entries(folder: Path) -> list[Path]:
    """The files and packages of a folder that may hold strategies; those that begin with `_` or `.` are helpers of others."""
    with suppress(OSError):
        found = [path for path in sorted(folder.iterdir()) if not path.name.startswith(SKIPPED)]
        return [path for path in found if path.suffix == ".py" or (path / "__init__.py").is_file()]
    return []


def _sign(path: Path) -> Sign:
    """Time and size of all files that a look at it would read; of modules beside it, all of the folder's."""
    found = []
    for file in sorted([*path.parent.glob("*.py"), *(path.rglob("*") if path.is_dir() else ())]):
        with suppress(OSError):
            stat = file.stat()
            found.append((file.as_posix(), stat.st_mtime_ns, stat.st_size))
    return tuple(found)


def _shown(words: str) -> str:
    """As it may stand in a record: of a bounded length, without signs that no text holds."""
    return "".join(sign if sign.isprintable() else " " for sign in words[:490])
