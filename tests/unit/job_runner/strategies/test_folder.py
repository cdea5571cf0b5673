"""A folder of strategies: found, kept by content, offered while they can be used; each file's fault is its own.

Source: R-F7, R-G2.
"""

from pathlib import Path

import pytest

from job_runner.strategies.coded import Kept, installed
from job_runner.strategies.folder import StrategyFolders, taken
from job_runner.strategies.guests import guests

SOUND = """
import numpy as np
from autonomy.strategy import Int, Plan, Strategy

class Own(Strategy):
    \"\"\"Long for ever.\"\"\"
    name, version = "{name}", 1
    length = Int(5, 1, 50, "bars", "length")

    def decide(self, bars):
        return Plan(exposure=np.full(len(bars), {exposure}))
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    place = tmp_path / "strategies"
    place.mkdir()
    return place


@pytest.fixture
def looked(folder: Path, tmp_path: Path) -> StrategyFolders:
    return StrategyFolders((folder, tmp_path / "missing"), tmp_path / "copies")


def put(folder: Path, file: str, name: str = "own", exposure: str = "1.0") -> None:
    (folder / file).parent.mkdir(parents=True, exist_ok=True)
    (folder / file).write_text(SOUND.format(name=name, exposure=exposure))


def own(looked: StrategyFolders) -> set[str]:
    return set(looked.found.strategies) - set(installed().strategies)


def twice(looked: StrategyFolders) -> StrategyFolders:
    looked.look()
    looked.look()
    return looked


def test_what_is_put_there_is_offered_after_two_looks(folder: Path, looked: StrategyFolders) -> None:
    assert not own(looked)
    put(folder, "own.py")
    assert not looked.look()
    assert looked.look()
    assert not looked.look()
    offer = looked.named("own").offer
    assert (offer.version, offer.idea, offer.form, offer.jailed, offer.origin) == (1, "Long for ever.", "decide", True, "strategies/own.py")
    assert [(each.name, each.low, each.high, each.default, each.unit) for each in offer.numbers] == [("length", 1, 50, 5, "bars")]
    assert offer.warm_up == ("length",)
    assert not looked.found.faults


def test_a_file_that_still_grows_is_left_alone(folder: Path, looked: StrategyFolders) -> None:
    for size in (40, 80, 120):
        (folder / "own.py").write_text(SOUND.format(name="own", exposure="1.0")[:size])
        assert not looked.look()
    assert not looked.found.faults
    put(folder, "own.py")
    assert own(twice(looked)) == {"own"}


@pytest.mark.parametrize(
    ("text", "words", "line"),
    [
        ("x = (\n", "SyntaxError", 1),
        ("import nothing_like_this\n", "ModuleNotFoundError", 1),
        ("\n\nraise ValueError('no')\n", "ValueError: no", 3),
        ("import os\nos._exit(1)\n", "exit code 1", None),
        ("x = 1\n", "defines a subclass", None),
        (SOUND.format(name="Own Name", exposure="1"), "name: String should match pattern", None),
        (SOUND.format(name="own", exposure="1").replace("Int(5,", "Int(99,"), "the default 99 must be from 1 to 50", None),
        (SOUND.format(name="macd", exposure="1"), "macd is a strategy of autonomy-job-runner", None),
    ],
)
def test_a_file_at_fault_takes_only_itself_out(folder: Path, looked: StrategyFolders, text: str, words: str, line: int | None) -> None:
    put(folder, "sound.py", "sound")
    (folder / "fault.py").write_text(text)
    assert own(twice(looked)) == {"sound"}
    (fault,) = looked.found.faults
    assert (fault.file, fault.line, fault.in_use) == ("fault.py", line, False)
    assert words in fault.reason
    # It heals by itself, as soon as the file is right.
    put(folder, "fault.py", "healed")
    assert own(twice(looked)) == {"sound", "healed"}
    assert not looked.found.faults


def test_the_last_good_version_stays_in_use_and_says_so(folder: Path, looked: StrategyFolders) -> None:
    put(folder, "own.py")
    before = twice(looked).named("own")
    (folder / "own.py").write_text("oops(")
    assert twice(looked).named("own") == before
    assert [fault.in_use for fault in looked.found.faults] == [True]


def test_an_edit_is_another_hash_and_the_old_copy_still_runs(folder: Path, looked: StrategyFolders) -> None:
    put(folder, "own.py")
    before = twice(looked).named("own")
    put(folder, "own.py", exposure="0.0")
    after = twice(looked).named("own")
    assert before.offer.code_hash != after.offer.code_hash
    assert isinstance(before.code, Kept)
    assert isinstance(after.code, Kept)
    assert [Path(coded.code.folder, "own.py").read_text() for coded in (before, after) if isinstance(coded.code, Kept)] == [
        SOUND.format(name="own", exposure=exposure) for exposure in ("1.0", "0.0")
    ]
    put(folder, "own.py")
    assert twice(looked).named("own") == before


def test_the_hash_covers_what_the_file_imports_and_nothing_else(folder: Path, looked: StrategyFolders) -> None:
    (folder / "_means.py").write_text("TWO = 2\n")
    (folder / "other.txt").write_text("a")
    put(folder, "own.py")
    text = (folder / "own.py").read_text()
    (folder / "own.py").write_text(text.replace("import numpy as np", "import numpy as np\nimport _means"))
    before = twice(looked).named("own").offer.code_hash
    (folder / "_unrelated.py").write_text("x = 1\n")
    (folder / "other.txt").write_text("b")
    assert twice(looked).named("own").offer.code_hash == before
    (folder / "_means.py").write_text("TWO = 3\n")
    assert twice(looked).named("own").offer.code_hash != before


def test_a_package_may_bring_files_of_its_own(folder: Path, looked: StrategyFolders) -> None:
    put(folder, "bundle/__init__.py", "bundle")
    (folder / "bundle" / "weights.txt").write_text("1 2 3")
    text = (folder / "bundle" / "__init__.py").read_text()
    read = "float(open(__file__.replace('__init__.py', 'weights.txt')).read()[0])"
    (folder / "bundle" / "__init__.py").write_text(text.replace("1.0", read))
    coded = twice(looked).named("bundle")
    before = coded.offer.code_hash
    assert isinstance(coded.code, Kept)
    assert Path(coded.code.folder, "bundle", "weights.txt").read_text() == "1 2 3"
    (folder / "bundle" / "weights.txt").write_text("4 5 6")
    assert twice(looked).named("bundle").offer.code_hash != before


def test_what_is_taken_away_is_offered_no_more(folder: Path, looked: StrategyFolders) -> None:
    put(folder, "own.py")
    assert own(twice(looked)) == {"own"}
    (folder / "own.py").unlink()
    assert looked.look()
    assert not own(looked)
    assert not looked.found.faults


def test_two_files_of_one_name_are_told_apart(folder: Path, looked: StrategyFolders) -> None:
    put(folder, "a.py", "same")
    put(folder, "b.py", "same", "0.0")
    assert own(twice(looked)) == {"same"}
    assert [(fault.file, "strategies/a.py" in fault.reason) for fault in looked.found.faults] == [("b.py", True)]


def test_the_same_file_has_the_same_hash_wherever_it_lies(folder: Path, tmp_path: Path) -> None:
    put(folder, "own.py")
    elsewhere = tmp_path / "elsewhere"
    put(elsewhere, "own.py")
    with guests():
        (here,), (there,) = taken(folder / "own.py", tmp_path / "one"), taken(elsewhere / "own.py", tmp_path / "two")
    assert here.offer.code_hash == there.offer.code_hash
