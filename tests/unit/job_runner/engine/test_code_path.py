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

from autonomy.strategies import strategy_names
from job_runner.engine import code_path
from job_runner.engine.code_path import OWN, behind, in_folders, installed
from job_runner.engine.fills import decision_path, strategy_code_hash

SOURCES = decision_path("sma-cross").sources
MODULES = [name for name, _ in SOURCES]


@pytest.fixture
def copied(tmp_path: Path) -> Callable[[str], Path | None]:
    """The sources on every strategy's path in a folder of their own, and where a module is there."""
    for strategy in strategy_names():
        for name, path in decision_path(strategy).sources:
            inner = name.split(".")
            target = (
                tmp_path.joinpath(*inner, "__init__.py") if path.name == "__init__.py" else tmp_path.joinpath(*inner).with_suffix(".py")
            )
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)

    def source_of(name: str) -> Path | None:
        top, *inner = name.split(".")
        return in_folders([tmp_path / top], inner) if top in OWN else None

    return source_of


def test_the_path_holds_what_decides_and_fills() -> None:
    assert {"job_runner.engine.fills", "job_runner.engine.bar_by_bar", "job_runner.engine.account", "job_runner.engine.statistics", "job_runner.engine.code_path",
            "job_runner.engine.strategies.dispatch", "job_runner.engine.compiled", "job_runner.engine.strategies.sma_cross",
            "autonomy.strategies", "autonomy.errors", "job_runner"} <= set(MODULES)  # fmt: skip
    assert "job_runner.engine.strategies.macd" not in MODULES, "an edit of another strategy makes no evidence void"
    assert {name for name, _ in decision_path("sma-cross").packages} >= {"strategy", "numpy", "numba", "llvmlite", "scipy"}


def test_the_path_is_what_a_process_really_imports() -> None:
    """By the interpreter itself: importing the two drivers loads no module of ours that is not covered, but other strategies."""
    script = "import sys, job_runner.engine.fills, job_runner.engine.bar_by_bar; print(*sorted(sys.modules))"
    loaded = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.split()
    ours = {name for name in loaded if name.split(".")[0] in OWN and installed(name) is not None}
    covered = {name for strategy in strategy_names() for name, _ in decision_path(strategy).sources}
    assert "job_runner.engine.fills" in ours
    assert ours <= covered


@pytest.mark.parametrize("module", MODULES)
def test_a_change_of_any_module_is_another_hash(module: str, copied: Callable[[str], Path | None]) -> None:
    before = decision_path("sma-cross", copied).hash()
    assert before == strategy_code_hash("sma-cross"), "a copy has the same hash, wherever it lies"
    path = copied(module)
    assert path is not None
    path.write_text(path.read_text() + "\n# another program\n")
    assert decision_path("sma-cross", copied).hash() != before


def test_a_wider_dead_band_and_another_wiring_are_seen(copied: Callable[[str], Path | None]) -> None:
    """Both were not: TIE from 1e-12 to 1e-2, and sma-cross wired to another step."""
    before = decision_path("sma-cross", copied).hash()
    for module, old, new in (
        ("job_runner.engine.compiled", "TIE = 1e-12", "TIE = 1e-2"),
        ("job_runner.engine.strategies.dispatch", "return _sma_step(", "return _macd_step("),
    ):
        path = copied(module)
        assert path is not None
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new))
        assert decision_path("sma-cross", copied).hash() != before
        path.write_text(text)
    assert decision_path("sma-cross", copied).hash() == before


def test_a_new_import_is_followed_wherever_it_stands(copied: Callable[[str], Path | None]) -> None:
    path = copied("job_runner.engine.strategies.sma_cross")
    assert path is not None
    (path.parent / "more.py").write_text("LIMIT = 1\n")
    path.write_text(path.read_text() + "\n\ndef later() -> int:\n    from .more import LIMIT\n\n    return LIMIT\n")
    with_it = decision_path("sma-cross", copied)
    assert "job_runner.engine.strategies.more" in dict(with_it.sources)
    before = with_it.hash()
    (path.parent / "more.py").write_text("LIMIT = 2\n")
    assert decision_path("sma-cross", copied).hash() != before


def test_another_strategys_module_counts_only_for_itself(copied: Callable[[str], Path | None]) -> None:
    before = {name: decision_path(name, copied).hash() for name in strategy_names()}
    assert len(set(before.values())) == len(before)
    path = copied("job_runner.engine.strategies.macd")
    assert path is not None
    path.write_text(path.read_text() + "\n")
    after = {name: decision_path(name, copied).hash() for name in strategy_names()}
    assert [name for name in before if before[name] != after[name]] == ["macd"]


def test_another_version_of_a_library_is_another_hash(monkeypatch: pytest.MonkeyPatch) -> None:
    before = decision_path("sma-cross").hash()
    real = importlib.metadata.version
    for name in ("numpy", "numba", "llvmlite"):
        monkeypatch.setattr(code_path, "version", lambda asked, name=name: "0.0" if asked == name else real(asked))
        assert decision_path("sma-cross").hash() != before


def test_what_has_no_source_is_refused() -> None:
    with pytest.raises(FileNotFoundError, match="no source of"):
        behind(["job_runner.nothing"])
    assert installed("numpy") is None
