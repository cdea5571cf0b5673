"""Each folder says in which order its modules stand on one another; import-linter holds it.

Source: CONTRIBUTING.md, "Style", 1.
"""

import tomllib
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = sorted(path for folder in ("services/*", "cli", "deploy/local") for path in ROOT.glob(f"{folder}/src/*") if path.is_dir())


def packages_below(source: Path) -> list[str]:
    """A package and its folders, by their dotted names; of a folder with one module there is nothing to say."""
    faces = [path.parent for path in sorted(source.rglob("__init__.py"))]
    held = [folder for folder in faces if len(list(folder.glob("*.py"))) > 2 or list(folder.glob("*/__init__.py"))]
    return [".".join((source.name, *folder.relative_to(source).parts)) for folder in held]


def unheld(packages: list[str], contracts: list[dict[str, Any]]) -> list[str]:
    """Packages whose modules no exhaustive contract puts in layers."""
    held = {name for one in contracts if one["type"] == "layers" and one.get("exhaustive") for name in one["containers"]}
    return [name for name in packages if name not in held]


def contracts_here() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    return found


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.name)
def test_every_folder_has_its_layers(source: Path) -> None:
    packages = packages_below(source)
    assert source.name in packages
    assert unheld(packages, contracts_here()) == []


def test_a_folder_without_layers_is_noticed() -> None:
    """Negative control: one is in no contract, one in a contract that lets modules out."""
    contracts: list[dict[str, Any]] = [
        {"type": "layers", "containers": ["a"], "exhaustive": True},
        {"type": "layers", "containers": ["b"]},
        {"type": "independence", "modules": ["c"]},
    ]
    assert unheld(["a", "b", "c"], contracts) == ["b", "c"]
