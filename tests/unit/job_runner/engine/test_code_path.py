"""A code hash covers all code on the path of a decision and a fill, whichever module that is.

Source: R-F7.
"""

import importlib.metadata
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from job_runner.engine import code_path
from job_runner.engine.code_path import OWN, CodePath, behind, in_folders, installed
from job_runner.strategies.coded import DOCUMENTS, DRIVERS, Installed, by_name, decision_path
from support.strategies import strategy_names

SourceOf = Callable[[str, tuple[str, ...]], Path | None]
BUILTIN = "job_runner.strategies.builtin"
RUN = """
import sys
import numpy as np
from job_runner.engine.account import Costs
from job_runner.engine.programs import daily_axis
from job_runner.engine.running import run, simulate_plain
from job_runner.strategies.coded import by_name, installed
rows = np.full((3, 5), 10.0)
for name in installed().strategies:
    program = by_name(name).program({}, daily_axis("X", range(3)))
    run(program, rows, Costs(0.0, 0.0), 1e5)
    simulate_plain(program, rows, Costs(0.0, 0.0), 1e5)
print(*sorted(sys.modules))
"""
"""Every strategy decides and is filled, over all bars and bar by bar; then what was imported, on the way too."""


def path_of(strategy: str, source_of: SourceOf = installed) -> CodePath:
    """All code behind an installed strategy."""
    code = by_name(strategy).code
    assert isinstance(code, Installed)
    return decision_path(code.module, strategy, source_of)


def at(source_of: SourceOf, module: str) -> Path:
    """Where a module of ours is."""
    path = source_of(module, OWN)
    assert path is not None
    return path


ALL_SOURCES = {name: path for strategy in strategy_names() for name, path in path_of(strategy).sources}
SHAPES = {name for name, _ in behind(DOCUMENTS).sources} - set(ALL_SOURCES)
"""Loaded for the documents in which offers are said: they decide nothing."""
MODULES = [name for name, _ in path_of("sma-cross").sources]


@pytest.fixture
def copied(tmp_path: Path) -> SourceOf:
    """The sources on every strategy's path in a folder of their own, and where a module is there."""
    for name, path in ALL_SOURCES.items():
        inner = name.split(".")
        target = tmp_path.joinpath(*inner, "__init__.py") if path.name == "__init__.py" else tmp_path.joinpath(*inner).with_suffix(".py")
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)

    def source_of(name: str, own: tuple[str, ...]) -> Path | None:
        top, *inner = name.split(".")
        return in_folders([tmp_path / top], inner) if top in own else None

    return source_of


def test_the_path_holds_what_decides_and_fills() -> None:
    assert {"job_runner.engine.fills", "job_runner.engine.bar_by_bar", "job_runner.engine.account", "job_runner.engine.statistics", "job_runner.engine.code_path",
            "job_runner.engine.running", "job_runner.engine.programs", "job_runner.engine.compiled", "job_runner.strategies.coded", "job_runner.strategies.arrays",
            f"{BUILTIN}.sma_cross", "autonomy.strategies", "autonomy.strategy", "autonomy.errors", "job_runner"} <= set(MODULES)  # fmt: skip
    assert f"{BUILTIN}.macd" not in MODULES, "an edit of another strategy makes no evidence void"
    assert {name for name, _ in path_of("sma-cross").packages} >= {"strategy", "numpy", "numba", "llvmlite", "scipy"}


def ours_after(script: str) -> set[str]:
    """Modules of ours that a process has loaded after a script that names all of its modules at its end."""
    loaded = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.split()
    return {name for name in loaded if name.split(".")[0] in OWN and installed(name) is not None} - SHAPES


def test_the_path_is_what_a_process_really_imports() -> None:
    """By the interpreter itself: importing what decides and fills loads no module of ours that is not covered."""
    ours = ours_after(f"import sys, {', '.join(DRIVERS)}, {BUILTIN}.sma_cross; print(*sorted(sys.modules))")
    assert set(DRIVERS) | {f"{BUILTIN}.sma_cross"} <= ours
    assert ours <= set(MODULES)


def test_what_is_imported_on_the_way_of_a_decision_is_covered_too() -> None:
    """Strategies are imported by a computed name, which no source shows: still nothing that is loaded then is left out."""
    ours = ours_after(RUN)
    assert f"{BUILTIN}.macd" in ours
    assert ours <= set(ALL_SOURCES)


@pytest.mark.parametrize("strategy", strategy_names())
def test_a_copy_has_the_hash_that_is_announced_wherever_it_lies(strategy: str, copied: SourceOf) -> None:
    assert path_of(strategy, copied).hash() == by_name(strategy).offer.code_hash


@pytest.mark.parametrize("module", MODULES)
def test_a_change_of_any_module_is_another_hash(module: str, copied: SourceOf) -> None:
    path = at(copied, module)
    path.write_text(path.read_text() + "\n# another program\n")
    # That of the copy before, as the test above says.
    assert path_of("sma-cross", copied).hash() != by_name("sma-cross").offer.code_hash


@pytest.mark.parametrize(
    ("module", "old", "new"),
    [
        ("job_runner.engine.compiled", "TIE = 1e-12", "TIE = 1e-2"),
        (f"{BUILTIN}.sma_cross", "= staticmethod(step),", "= staticmethod(other),"),
        ("job_runner.engine.programs", "= step(state, bar_at(rows, i), params)", "= -step(state, bar_at(rows, i), params)"),
        ("job_runner.engine.programs", "return step(state, Bar(", "return -step(state, Bar("),
        ("job_runner.strategies.coded", "[*numbers, *words]", "[*words, *numbers]"),
    ],
    ids=["dead-band", "step", "loop", "single", "parameters"],
)
def test_a_wider_dead_band_and_another_wiring_are_seen(module: str, old: str, new: str, copied: SourceOf) -> None:
    """Two were not: TIE from 1e-12 to 1e-2, and sma-cross wired to another step."""
    before = path_of("sma-cross", copied).hash()
    path = at(copied, module)
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    assert path_of("sma-cross", copied).hash() != before
    path.write_text(text)
    assert path_of("sma-cross", copied).hash() == before


def test_a_new_import_is_followed_wherever_it_stands(copied: SourceOf) -> None:
    path = at(copied, f"{BUILTIN}.sma_cross")
    (path.parent / "more.py").write_text("LIMIT = 1\n")
    path.write_text(path.read_text() + "\n\ndef later() -> int:\n    from .more import LIMIT\n\n    return LIMIT\n")
    with_it = path_of("sma-cross", copied)
    assert f"{BUILTIN}.more" in dict(with_it.sources)
    before = with_it.hash()
    (path.parent / "more.py").write_text("LIMIT = 2\n")
    assert path_of("sma-cross", copied).hash() != before


def test_another_strategys_module_counts_only_for_itself(copied: SourceOf) -> None:
    before = {name: path_of(name, copied).hash() for name in strategy_names()}
    assert len(set(before.values())) == len(before)
    path = at(copied, f"{BUILTIN}.macd")
    path.write_text(path.read_text() + "\n")
    after = {name: path_of(name, copied).hash() for name in strategy_names()}
    assert [name for name in before if before[name] != after[name]] == ["macd"]


def test_two_strategies_of_one_module_are_told_apart() -> None:
    one, other = (decision_path(f"{BUILTIN}.macd", name) for name in ("macd", "macd-again"))
    assert one.sources == other.sources
    assert one.hash() != other.hash()


def test_the_sources_of_another_package_count_for_its_strategies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "somebodys_package"
    package.mkdir()
    for name, text in {
        "__init__": "",
        "mine": "from somebodys_package.helper import LIMIT\n",
        "helper": "LIMIT = 1\n",
        "aside": "",
    }.items():
        (package / f"{name}.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    path = decision_path("somebodys_package.mine", "mine")
    assert {"somebodys_package", "somebodys_package.mine", "somebodys_package.helper", *DRIVERS} <= set(dict(path.sources))
    assert "somebodys_package.aside" not in dict(path.sources)
    before = path.hash()
    (package / "aside.py").write_text("LIMIT = 3\n")
    assert decision_path("somebodys_package.mine", "mine").hash() == before
    (package / "helper.py").write_text("LIMIT = 2\n")
    assert decision_path("somebodys_package.mine", "mine").hash() != before


def test_another_version_of_a_library_is_another_hash(monkeypatch: pytest.MonkeyPatch) -> None:
    before = path_of("sma-cross").hash()
    real = importlib.metadata.version
    for name in ("numpy", "numba", "llvmlite"):
        monkeypatch.setattr(code_path, "version", lambda asked, name=name: "0.0" if asked == name else real(asked))
        assert path_of("sma-cross").hash() != before


def test_what_has_no_source_is_refused() -> None:
    with pytest.raises(FileNotFoundError, match="no source of"):
        behind(["job_runner.nothing"])
    assert installed("numpy") is None
