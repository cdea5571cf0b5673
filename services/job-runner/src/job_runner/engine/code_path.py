"""Which source files stand behind some modules, found by following their imports; and the hash over them.

Role: what a code hash covers is derived, never listed by hand: a module that a decision comes to depend on tomorrow is covered tomorrow.
Imports inside functions count too. What is imported by a computed name is not found; nothing on the path of a decision does that.
"""

import ast
import hashlib
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, packages_distributions, version
from importlib.util import find_spec
from pathlib import Path

OWN = ("autonomy", "job_runner")
"""Packages whose sources are read; of all others the version counts."""
COMPILERS = {"numba": "llvmlite"}
"""What turns the kernels into machine code is imported by the compiler, not by us."""


@dataclass(frozen=True, slots=True)
class CodePath:
    """What stands behind some modules.

    Args:
        sources: by module name, sorted.
        packages: distributions that are not ours, by name, with their versions.
    """

    sources: tuple[tuple[str, Path], ...]
    packages: tuple[tuple[str, str], ...]

    def hash(self) -> str:
        """SHA-256, hex, over names, sources and versions."""
        digest = hashlib.sha256()
        for name, path in self.sources:
            text = path.read_bytes()
            digest.update(f"{name} {len(text)}\0".encode() + text)
        for package in self.packages:
            digest.update(" ".join(package).encode() + b"\0")
        return digest.hexdigest()


@cache
def installed(name: str, own: tuple[str, ...] = OWN) -> Path | None:
    """The source file of a module of ours, as this process imports it; None when there is no such module. Imports nothing itself.

    Args:
        name: of the module.
        own: packages that are ours.
    """
    top, *inner = name.split(".")
    spec = find_spec(top) if top in own else None
    if spec is None:
        return None
    if spec.submodule_search_locations is None:  # a package that is one file
        return Path(spec.origin) if spec.origin is not None and not inner else None
    return in_folders([Path(folder) for folder in spec.submodule_search_locations or ()], inner)


def in_folders(folders: Iterable[Path], inner: Sequence[str]) -> Path | None:
    """The source file of a module inside a package that lies in these folders; None when there is none."""
    for folder in folders:
        place = folder.joinpath(*inner)
        for path in (place / "__init__.py", place.with_suffix(".py")):
            if path.is_file():
                return path
    return None


def behind(roots: Iterable[str], without: Iterable[str] = (), source_of: Callable[[str], Path | None] = installed) -> CodePath:
    """Everything that the roots import, directly or not, and they themselves.

    Args:
        roots: module names.
        without: modules that do not count although they are imported.
        source_of: where a module's source is; None for what is not ours.

    Raises:
        FileNotFoundError: a root has no source.
    """
    left_out = set(without)
    sources: dict[str, Path] = {}
    foreign: set[str] = set()
    waiting = list(roots)
    for name in waiting:
        if source_of(name) is None:
            raise FileNotFoundError(f"no source of {name}")
    while waiting:
        name = waiting.pop()
        if name in sources or name in left_out:
            continue
        path = source_of(name)
        if path is None:
            foreign.add(name.split(".", 1)[0])
            continue
        sources[name] = path
        # Importing a module runs the packages around it first.
        parts = name.split(".")
        waiting.extend(".".join(parts[:depth]) for depth in range(1, len(parts)))
        waiting.extend(_imported(ast.parse(path.read_bytes()), name, path.name == "__init__.py", source_of))
    return CodePath(tuple(sorted(sources.items())), tuple(sorted(_versions(foreign))))


def _imported(tree: ast.AST, name: str, is_package: bool, source_of: Callable[[str], Path | None]) -> Iterable[str]:  # noqa: FBT001
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            around = name.split(".")
            depth = len(around) + is_package - node.level
            base = ".".join([*around[:depth], *([node.module] if node.module else [])]) if node.level else str(node.module)
            yield base
            # `from package import module` names a module too.
            yield from (inner for alias in node.names if source_of(inner := f"{base}.{alias.name}") is not None)


def _versions(names: Iterable[str]) -> Iterable[tuple[str, str]]:
    for name in names:
        if name in sys.stdlib_module_names:
            continue
        # A distribution may have another name than what is imported from it.
        for package in (*_distributions().get(name, [name]), *filter(None, [COMPILERS.get(name)])):
            try:
                yield package, version(package)
            except PackageNotFoundError:
                yield package, "unknown"


@cache
def _distributions() -> dict[str, list[str]]:
    return {name: sorted(set(found)) for name, found in packages_distributions().items()}
