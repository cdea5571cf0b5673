"""The fault matrix is what was measured: docs/reliability.md is what the writer makes of docs/reliability.json, and its tests are there.

`PYTHONPATH=tests python -m support.matrix` writes the page anew.
"""

import ast
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

from support.log import Audit
from support.matrix import HEAD, NOT_MEASURED, PAGE, PARTS, ROOT, ROWS, Row, as_text, line_of, merged, record, rendered, rows_of
from support.measuring import ALL_WELL, Look, losses_of, without_ids, words_of
from support.ticks import TickDriver

TESTS = ROOT / "tests"
LEFT = Row("left", "Servers", "a fault", "a word", "by itself", None, None, None, None, ("tests/x.py",), None)
MEASURED = replace(LEFT, key="killed", noticed_s=1.25, recovered_s=3.0, lost=0, doubled=1, day="2026-11-30")


def missing(row: Row) -> list[str]:
    """Tests of a row that are not there: files, and functions in them."""
    found = []
    for test in row.tests:
        path, _, name = test.partition("::")
        function = name.partition("[")[0]
        if not (ROOT / path).is_file() or (function and function not in functions_of(ROOT / path)):
            found.append(test)
    return found


def functions_of(path: Path) -> set[str]:
    return {node.name for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}


def keys_in(source: str) -> list[str]:
    """The keys that tests give their rows; of one that is put together, its beginning."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "fault_row":
            match node.args[0]:
                case ast.Constant(value=str(key)) | ast.JoinedStr(values=[ast.Constant(value=str(key)), *_]):
                    found.append(key)
                case _:
                    raise AssertionError(f"line {node.lineno}: a row whose key does not begin with words")
    return found


def test_the_page_is_what_the_writer_makes_of_the_rows() -> None:
    text = ROWS.read_text()
    assert as_text(rows_of(text)) == text, "sorted by keys, one row for each"
    assert PAGE.read_text() == rendered(rows_of(text)), "PYTHONPATH=tests python -m support.matrix"


def test_an_edited_page_or_figure_is_noticed() -> None:
    """Negative control."""
    rows = rows_of(ROWS.read_text())
    edited = [replace(rows[0], noticed_s=99.9), *rows[1:]]
    assert rendered(edited) != PAGE.read_text()


def test_every_row_names_tests_that_are_there() -> None:
    rows = rows_of(ROWS.read_text())
    assert len(rows) > 30
    assert [(row.key, test) for row in rows for test in missing(row)] == []
    assert [row.key for row in rows if not row.tests or row.part not in PARTS] == []


def test_a_test_that_is_gone_is_noticed() -> None:
    """Negative control."""
    here = "tests/contract/test_fault_matrix.py"
    gone = replace(LEFT, tests=(f"{here}::test_gone[1]", f"{here}::test_a_test_that_is_gone_is_noticed[2]", "tests/nowhere.py", here))
    assert missing(gone) == [f"{here}::test_gone[1]", "tests/nowhere.py"]


def test_every_row_that_a_test_measures_is_in_the_matrix() -> None:
    """A new fault test that nobody ran in the long list has no row yet."""
    given = [(path.name, key) for path in sorted(TESTS.rglob("test_*.py")) for key in keys_in(path.read_text())]
    assert len(given) > 20
    known = [row.key for row in rows_of(ROWS.read_text()) if row.day]
    assert [(name, key) for name, key in given if not any(row.startswith(key) for row in known)] == []


def test_a_row_that_was_measured_has_its_day_and_a_figure() -> None:
    for row in rows_of(ROWS.read_text()):
        if row.day:
            assert re.fullmatch(r"20\d\d-\d\d-\d\d", row.day)
            assert len(row.tests) == 1
        else:
            assert (row.noticed_s, row.recovered_s, row.lost, row.doubled) == (None, None, None, None), row.key


def test_nothing_that_was_measured_was_lost_or_doubled() -> None:
    assert [row.key for row in rows_of(ROWS.read_text()) if row.lost or row.doubled] == []


def test_a_line_says_what_was_not_measured() -> None:
    assert line_of(LEFT) == f"| a fault | a word | {NOT_MEASURED} | {NOT_MEASURED}; by itself | {NOT_MEASURED} | `tests/x.py` |\n"
    assert line_of(MEASURED) == "| a fault | a word | 1.2 | 3.0; by itself | 0 / 1 | `tests/x.py` (2026-11-30) |\n"
    assert line_of(replace(MEASURED, noticed_s=None, lost=None, said="a|b\nc")) == (
        "| a fault | a\\|b c | – | 3.0; by itself | – | `tests/x.py` (2026-11-30) |\n"
    )
    assert rendered([MEASURED, LEFT]).count(HEAD) == len(PARTS)


def test_a_run_replaces_its_own_rows_and_no_other(tmp_path: Path) -> None:
    file = tmp_path / "rows.json"
    for row in (MEASURED, LEFT, replace(MEASURED, noticed_s=7.0)):
        record(row, file)
    assert rows_of(file.read_text()) == merged([LEFT], replace(MEASURED, noticed_s=7.0)) == [replace(MEASURED, noticed_s=7.0), LEFT]
    assert [document["key"] for document in json.loads(file.read_text())] == ["killed", "left"]


def test_keys_are_found_in_calls() -> None:
    """A search that finds nothing proves nothing."""
    assert keys_in('fault_row("a", x)\nfault_row(f"b ({n})", y)\nother("c")') == ["a", "b ("]


def a_look(at_s: float, code: int, status: str, verdict: str | None, reason: str = "", **failing: str) -> Look:
    proof: dict[str, Any] = {"status": status, "verdict": verdict, "failing": sorted(failing), "checks": failing, "reason": reason or None}
    return Look(at_s, at_s, code, {"proof": proof})


def test_what_the_proof_said_is_its_states_in_their_order_with_the_worst_ones_reason_and_the_pages_word() -> None:
    well = a_look(1, 200, "fresh", "TICKING")
    late = a_look(2, 200, "fresh", "LATE", planner="late")
    gone = a_look(3, 503, "unavailable", None, "PostgreSQL does not answer", postgres="down")
    silent = Look(4, 4, 0, {})
    assert words_of([well, well]) == ALL_WELL
    assert words_of([well, late, late, gone, late, well]) == (
        "200 fresh LATE (planner late) → 503 unavailable null (postgres down); “PostgreSQL does not answer”; page: These rows are not current"
    )
    assert words_of([well, late]) == "200 fresh LATE (planner late); page: LATE"
    assert words_of([silent]) == "no answer; page: Not connected to the proof API yet"


def test_losses_are_counted() -> None:
    """A matrix that never shows a loss must be able to."""
    driver = TickDriver()
    driver.runner()
    driver.register("bot-0")
    for _ in range(3):
        driver.tick(after_ms=60_000)
    seals = [tick.seal for tick in driver.accepted]
    whole = Audit(seals)
    assert [seal.tick for seal in seals] == [1, 2, 3]
    assert losses_of(whole) == (0, 0)
    assert losses_of(Audit([seals[0], seals[2]])) == (1, 0)
    assert losses_of(Audit([*seals, seals[2]])) == (0, 1)
    whole.results["a"], whole.wins[("a", 1)] = 2, 3
    assert losses_of(whole) == (0, 3)
    whole.enqueued["b"] = None  # type: ignore[assignment] # only its name counts
    assert losses_of(whole) == (1, 3)


def test_hashes_and_ids_of_one_run_are_shortened() -> None:
    assert without_ids(f"tick 2 {'0123abcd' * 8}, planner f5922272-8414-52c1-89c9-b9c580cf2cb2") == "tick 2 0123abcd…, planner f5922272…"
