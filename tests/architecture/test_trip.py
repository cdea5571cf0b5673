"""The trip of one job in docs/architecture.md names files and functions that are there, with their lines; so do the other pages.

`python tests/architecture/test_trip.py` writes the lines anew; a name that is gone it leaves, and the test fails for it.

Source: docs/architecture.md, "The trip of one job".
"""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "architecture.md"
PAGES = [PAGE, *(ROOT / name for name in ("docs/protocol.md", "docs/requirements.md", "CONTRIBUTING.md", "SECURITY.md"))]
LENGTH = re.compile(r"\d+ steps in \d+ modules, \d+ lines")
MOST_MODULES, MOST_LINES = 23, 700
STEP = re.compile(r"^\| (?P<number>\d+) \| (?P<what>[^|]+) \| `(?P<path>[^`]+)` \| `(?P<name>[^`]+)` \| (?P<lines>[^|]+) \|$", re.MULTILINE)
NAMED = re.compile(r"`(?P<path>[\w.-]+(?:/[\w.-]+)+\.\w+)`(?:\s\((?P<names>`[\w.]+`(?:,\s+`[\w.]+`)*)\))?")


@cache
def spans_of(path: Path) -> dict[str, str]:
    """The lines of each function, class, method and constant of a module, by name."""
    found: dict[str, str] = {}

    def look(nodes: list[ast.stmt], before: str) -> None:
        for node in nodes:
            lines = f"{node.lineno}–{node.end_lineno}"
            match node:
                case ast.ClassDef(name=name, body=body):
                    found[before + name] = lines
                    look(body, f"{before}{name}.")
                case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                    found[before + name] = lines
                case ast.AnnAssign(target=ast.Name(id=name)) | ast.Assign(targets=[ast.Name(id=name)]):
                    found[before + name] = lines
                case _:
                    pass

    look(ast.parse(path.read_text()).body, "")
    return found


def lines_of(path: str, name: str) -> str:
    """The lines of one name; what is missing, in words, where it is not there."""
    if not (ROOT / path).is_file():
        return f"there is no file {path}"
    return spans_of(ROOT / path).get(name, f"there is no {name} in {path}")


def wrong_steps(text: str) -> list[str]:
    """Steps of the trip that are not as the page says."""
    return [
        f"step {step['number']}: {found}"
        for step in STEP.finditer(text)
        if (found := lines_of(step["path"], step["name"])) != step["lines"]
    ]


def missing(text: str) -> list[str]:
    """Files that a page names and that are not there, and names that are not in their file."""
    found: list[str] = []
    for named in NAMED.finditer(text):
        path = named["path"]
        if not (ROOT / path).is_file():
            found.append(f"there is no file {path}")
        elif named["names"]:
            names = re.findall(r"[\w.]+", named["names"])
            found.extend(f"there is no {name} in {path}" for name in names if name not in spans_of(ROOT / path))
    return found


def test_every_step_of_the_trip_is_there() -> None:
    assert wrong_steps(PAGE.read_text()) == [], "functions moved? then: python tests/architecture/test_trip.py"


def length_of(text: str) -> tuple[int, int, int]:
    """Steps, modules, and lines to read."""
    steps = list(STEP.finditer(text))
    ends = [[int(number) for number in step["lines"].split("–")] for step in steps]
    return len(steps), len({step["path"] for step in steps}), sum(last - first + 1 for first, last in ends)


def words_of(text: str) -> str:
    steps, modules, lines = length_of(text)
    return f"{steps} steps in {modules} modules, {lines} lines"


def test_the_trip_grows_no_longer() -> None:
    text = PAGE.read_text()
    _, modules, lines = length_of(text)
    assert (modules <= MOST_MODULES, lines <= MOST_LINES) == (True, True), words_of(text)
    assert LENGTH.findall(text) == [words_of(text)]


def test_the_trip_goes_from_the_decision_to_the_badge() -> None:
    steps = list(STEP.finditer(PAGE.read_text()))
    assert [int(step["number"]) for step in steps] == list(range(1, len(steps) + 1))
    assert {"decide", "Chain.feed", "perform", "commit", "badge_of"} <= {step["name"] for step in steps}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_what_a_page_names_is_there(page: Path) -> None:
    text = page.read_text()
    assert NAMED.search(text), "a page that names nothing proves nothing"
    assert missing(text) == []


def test_a_file_and_a_function_that_are_gone_are_noticed() -> None:
    """Negative control."""
    row = "| 1 | x | `services/planner/src/planner/{}` | `{}` | 1–2 |"
    assert wrong_steps(row.format("nowhere.py", "decide")) == ["step 1: there is no file services/planner/src/planner/nowhere.py"]
    assert wrong_steps(row.format("decide/plan.py", "gone")) == ["step 1: there is no gone in services/planner/src/planner/decide/plan.py"]
    assert len(wrong_steps(row.format("decide/plan.py", "decide"))) == 1, "it has other lines"
    assert missing("`shared/src/autonomy/nowhere.py`") == ["there is no file shared/src/autonomy/nowhere.py"]
    assert missing("`shared/src/autonomy/chain.py` (`Chain.feed`, `gone`)") == ["there is no gone in shared/src/autonomy/chain.py"]


def renewed(text: str) -> str:
    """The page with the lines as they are now."""

    def row(step: re.Match[str]) -> str:
        found = lines_of(step["path"], step["name"])
        lines = found if found[0].isdigit() else step["lines"]
        return f"| {step['number']} | {step['what']} | `{step['path']}` | `{step['name']}` | {lines} |"

    text = STEP.sub(row, text)
    return LENGTH.sub(words_of(text), text)


if __name__ == "__main__":
    PAGE.write_text(renewed(PAGE.read_text()))
