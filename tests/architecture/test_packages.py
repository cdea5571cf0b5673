"""Every package declares what it imports, and imports what it declares: each installs alone, and its modules import there.

`make setup` installs all of them with --no-deps from one lock, so nothing else would notice a dependency that is missing.

Source: CONTRIBUTING.md.
"""

import ast
import functools
import importlib.util
import itertools
import os
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import distribution, packages_distributions
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from autonomy.version import VERSION

ROOT = Path(__file__).parents[2]
FOLDERS = (
    "shared", "services/planner", "services/job-runner", "services/projection", "services/proof-api", "services/bots-ui", "services/notifier",
    "cli", "deploy/local",
)  # fmt: skip
IN_THE_IMAGE = FOLDERS[:-1]
UNSEEN = {
    ("shared", "httptools"): "uvicorn.protocols.http.httptools_impl imports it, which http_server.py extends",
    ("shared", "uvloop"): "uvicorn takes it where it is installed",
    ("services/bots-ui", "python-multipart"): "FastAPI reads forms with it",
    ("deploy/local", "setuptools"): "supervisor imports pkg_resources on some Pythons",
    ("deploy/local", "autonomy-planner"): "stack.py starts it by its name",
    ("deploy/local", "autonomy-job-runner"): "stack.py starts it by its name",
    ("deploy/local", "autonomy-proof-api"): "stack.py starts it by its name",
}
"""What a package needs though none of its lines names it, and why."""
IMPORT_ALL = """
import importlib, pkgutil, sys
count = 0
root = importlib.import_module(sys.argv[1])
for found in pkgutil.walk_packages(root.__path__, sys.argv[1] + "."):
    importlib.import_module(found.name)
    count += 1
print(count)
"""


class Use(NamedTuple):
    """A module that a source file names."""

    module: str
    """With dots, as far as it is known to be a module."""
    at_import: bool
    """Whether it has to be there when the file is imported."""


class Package(NamedTuple):
    """What a pyproject.toml says."""

    project: dict[str, Any]
    module: str

    @property
    def required(self) -> list[Requirement]:
        """What is installed with it."""
        return [Requirement(line) for line in self.project["dependencies"]]

    @property
    def optional(self) -> list[Requirement]:
        """What its extras bring."""
        return [Requirement(line) for lines in self.project.get("optional-dependencies", {}).values() for line in lines]


@functools.cache
def package_of(folder: str) -> Package:
    document = tomllib.loads((ROOT / folder / "pyproject.toml").read_text())
    return Package(document["project"], document["tool"]["uv"]["build-backend"]["module-name"])


OWN = {package_of(folder).module: folder for folder in FOLDERS}


def uses(tree: ast.Module) -> Iterator[Use]:
    """Imports, and modules that are named to a function that imports or starts them."""
    late = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        for inner in ast.walk(node)
    }  # fmt: skip
    for node in ast.walk(tree):
        for module in named_by(node):
            yield Use(module, isinstance(node, ast.Import | ast.ImportFrom) and id(node) not in late)


def named_by(node: ast.AST) -> Iterator[str]:
    """Modules that one node names."""
    match node:
        case ast.Import(names=names):
            yield from (alias.name for alias in names)
        case ast.ImportFrom(module=str(module), names=names):
            # `from opentelemetry import trace` names a module, `from opentelemetry.trace import Span` does not.
            yield from (f"{module}.{alias.name}" if is_module(f"{module}.{alias.name}") else module for alias in names)
        case ast.Call(func=ast.Attribute(attr="import_module" | "find_spec" | "files"), args=[ast.Constant(value=str(module)), *_]):
            yield module
        case ast.List(elts=elements) | ast.Tuple(elts=elements):  # [sys.executable, "-m", "jgo", …]
            words = [element.value if isinstance(element, ast.Constant) else None for element in elements]
            yield from (word for flag, word in itertools.pairwise(words) if flag == "-m" and isinstance(word, str))
        case _:
            pass


def is_module(name: str) -> bool:
    """Whether there is such a module, where several distributions share a top-level name."""
    if len(distributions().get(name.split(".", maxsplit=1)[0], ())) < 2:
        return False
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:
        return False


@functools.cache
def distributions() -> dict[str, list[str]]:
    return {name: sorted({canonicalize_name(one) for one in found}) for name, found in packages_distributions().items()}


@functools.cache
def owner_of(module: str) -> str:
    """The distribution that brings a module; its own name for one that is not installed here."""
    top = module.split(".", maxsplit=1)[0]
    if top in OWN:
        return str(package_of(OWN[top]).project["name"])
    found = distributions().get(top, [canonicalize_name(top)])
    if len(found) == 1:
        return found[0]
    spec = importlib.util.find_spec(module)
    assert spec is not None, module
    wanted = [Path(spec.origin)] if spec.origin else [Path(place) for place in spec.submodule_search_locations or ()]
    holders = [name for name in found if any(path in wanted for path in places_of(name))]
    assert len(holders) == 1, f"{module} is in {holders or found}"
    return holders[0]


@functools.cache
def places_of(name: str) -> frozenset[Path]:
    """Files of a distribution."""
    found = distribution(name)
    return frozenset(Path(str(found.locate_file(file))) for file in found.files or ())


def uses_of(folder: str) -> set[Use]:
    """What the sources of a package name, without itself and Python's own."""
    found: set[Use] = set()
    for path in sorted((ROOT / folder / "src").rglob("*.py")):
        found.update(uses(ast.parse(path.read_text())))
    return {use for use in found if use.module.split(".")[0] not in {package_of(folder).module, "__future__", *sys.stdlib_module_names}}


def faults(folder: str, found: set[Use], required: set[str], optional: set[str]) -> list[str]:
    """Where what is declared and what is used differ."""
    at_import = {owner_of(use.module) for use in found if use.at_import}
    used = at_import | {owner_of(use.module) for use in found} | {name for place, name in UNSEEN if place == folder}
    return [
        *(f"{folder}: {name} is imported and no dependency" for name in sorted(at_import - required)),
        *(f"{folder}: {name} is used and no dependency, nor in an extra" for name in sorted(used - at_import - required - optional)),
        *(f"{folder}: {name} is declared and not used" for name in sorted((required | optional) - used)),
    ]


def names_of(requirements: list[Requirement]) -> set[str]:
    return {canonicalize_name(requirement.name) for requirement in requirements}


@pytest.mark.parametrize("folder", FOLDERS)
def test_declared_is_what_is_imported(folder: str) -> None:
    package = package_of(folder)
    assert faults(folder, uses_of(folder), names_of(package.required), names_of(package.optional)) == []


def test_a_difference_is_noticed_in_both_directions() -> None:
    """Negative control."""
    tree = ast.parse(
        "import yaml\nimport orjson\nfrom opentelemetry.sdk.trace import Tracer\nfrom opentelemetry import trace\n"
        'def late():\n    import httpx\n    importlib.import_module("ccxt")\n    run([sys.executable, "-m", "jgo"])\n'
    )
    found = set(uses(tree))
    declared, extras = {"orjson", "opentelemetry-sdk", "scipy"}, {"ccxt", "dask"}
    assert faults("cli", found, declared, extras) == [
        "cli: opentelemetry-api is imported and no dependency",
        "cli: pyyaml is imported and no dependency",
        "cli: httpx is used and no dependency, nor in an extra",
        "cli: jgo is used and no dependency, nor in an extra",
        "cli: dask is declared and not used",
        "cli: scipy is declared and not used",
    ]
    # An extra is too little for what a module needs to be imported at all.
    assert faults("cli", set(uses(ast.parse("import httpx"))), set(), {"httpx"}) == ["cli: httpx is imported and no dependency"]


@pytest.mark.parametrize(("folder", "name"), UNSEEN)
def test_what_no_line_names_is_still_so(folder: str, name: str) -> None:
    package = package_of(folder)
    assert name in names_of(package.required)
    assert name not in {owner_of(use.module) for use in uses_of(folder)}, "it is named now: no exception is needed"


def locked(path: Path) -> dict[str, set[str]]:
    """The versions of a lock; Pythons may have different ones."""
    found: dict[str, set[str]] = {}
    for line in path.read_text().splitlines():
        if "==" in line and not line.startswith((" ", "#")):
            name, version = line.split(" ")[0].split("==")
            found.setdefault(canonicalize_name(name), set()).add(version)
    return found


@pytest.mark.parametrize("folder", FOLDERS)
def test_the_lock_holds_what_is_declared(folder: str) -> None:
    package, own = package_of(folder), {package_of(one).project["name"] for one in FOLDERS}
    whole, image = locked(ROOT / "requirements.lock"), locked(ROOT / "deploy" / "image.lock")
    for requirement in package.required + package.optional:
        name = canonicalize_name(requirement.name)
        if name in own:
            assert not requirement.specifier, f"{name} is of this tree: its version is the tree's"
        else:
            assert [str(one.operator) for one in requirement.specifier] == [">="], f"{folder}: {requirement} is no lower bound"
            assert all(requirement.specifier.contains(version) for version in whole.get(name, ())), f"{folder}: {requirement}"
    missing = names_of(package.required) - own - set(image if folder in IN_THE_IMAGE else whole)
    assert missing == set()


@pytest.mark.parametrize("folder", FOLDERS)
def test_a_sibling_has_its_place_in_this_tree(folder: str) -> None:
    """Else an installer would look for its name in a registry, where anybody may have taken it."""
    document = tomllib.loads((ROOT / folder / "pyproject.toml").read_text())
    sources = {name: (ROOT / folder / source["path"]).resolve() for name, source in document["tool"]["uv"].get("sources", {}).items()}
    siblings = {package_of(one).project["name"]: ROOT / one for one in FOLDERS}
    package = package_of(folder)
    named = (names_of(package.required) | names_of(package.optional)) & set(siblings)
    assert sources == {name: siblings[name] for name in named}


@pytest.mark.parametrize("folder", FOLDERS)
def test_the_version_of_every_package_is_the_one_that_is_shown(folder: str) -> None:
    assert package_of(folder).project["version"] == VERSION
    assert distribution(package_of(folder).project["name"]).version == VERSION, "run: make setup"


def test_the_workspace_has_the_version_of_its_packages() -> None:
    assert tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"] == VERSION


@pytest.mark.long
@pytest.mark.parametrize("folder", FOLDERS)
def test_a_package_installs_alone_and_its_modules_import(folder: str, tmp_path: Path) -> None:
    """An environment of its own: only what the package declares is there, in the versions of the lock."""
    uv, python = Path(sys.executable).with_name("uv"), tmp_path / "venv" / "bin" / "python"
    words = {name: value for name, value in os.environ.items() if name not in {"PYTHONPATH", "VIRTUAL_ENV"}}
    commands: tuple[list[str | Path], ...] = (
        [uv, "venv", "-q", "--python", sys.executable, tmp_path / "venv"],
        [uv, "pip", "install", "-q", "--python", python, "-c", ROOT / "requirements.lock", ROOT / folder],
    )
    for command in commands:
        done = subprocess.run(command, env=words, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr[-2000:]
    module = package_of(folder).module
    files = list((ROOT / folder / "src").rglob("*.py"))
    done = subprocess.run([python, "-I", "-c", IMPORT_ALL, module], env={}, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stderr[-2000:]
    assert int(done.stdout) == len(files) - 1
