"""What a docstring names as its source stands in the documents: rules of the log, rows of the requirements, pages and their headings.

Source: CONTRIBUTING.md, "Style", 8.
"""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
FOLDERS = ("services", "shared", "cli", "deploy", "tests", "benchmarks")
SOURCE = re.compile(r"\bSource: (\S.*?)(?=\n\s*\n|\Z)", re.DOTALL)
ID = r"(?:R-[A-Z](?:\d+(?:\.\d+)?)?|[A-Z]\d+(?:\.\d+)?)"
CITED = re.compile(rf"(?<![\w./-])(?P<first>{ID})(?:(?: to |–)(?P<last>{ID}))?(?![\w-])")
PAGE = re.compile(r"(?<![\w/])(?P<path>(?:docs/[\w./-]+|[A-Z]+)\.md)(?P<headings>(?:,? (?:and )?\"[^\"]+\")*)")
GONE = re.compile(r"\b(?:design|conventions)\b", re.IGNORECASE)


def sources_in(text: str) -> Iterator[str]:
    """What follows `Source:` in each docstring of a module."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            for found in SOURCE.finditer(ast.get_docstring(node) or ""):
                yield " ".join(found[1].split())


@cache
def every_source() -> list[tuple[str, str]]:
    """All sources that the code names, with the file."""
    files = sorted(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py") if "node_modules" not in path.parts)
    return [(str(path.relative_to(ROOT)), source) for path in files for source in sources_in(path.read_text())]


@cache
def known_ids() -> tuple[str, ...]:
    """The rules of the protocol and the rows of the requirements, in the order of the pages."""
    rules = re.findall(r"^## (S\d+) ", (ROOT / "docs" / "protocol.md").read_text(), re.MULTILINE)
    rows = re.findall(r"^\| (R-[A-Z]\d+(?:\.\d+)?) \|", (ROOT / "docs" / "requirements.md").read_text(), re.MULTILINE)
    return (*rules, *rows)


def rows_of(cited: str) -> list[int]:
    """The places of what an id means: itself, or all rows below it (`R-C2` is R-C2.1 and R-C2.2, `R-D` all of the letter)."""
    below = re.compile(rf"{re.escape(cited)}(?:\.\d+)?" if re.search(r"\d", cited) else rf"{re.escape(cited)}[\d.]+")
    return [place for place, known in enumerate(known_ids()) if below.fullmatch(known)]


def unknown_ids(source: str) -> list[str]:
    """Ids in a source that no page has; of a range both ends must be there, in order, and of one kind."""
    found: list[str] = []
    for cited in CITED.finditer(source):
        first, last = cited["first"], cited["last"]
        if last is not None and first.startswith("R-") and not last.startswith("R-"):
            last = f"R-{last}"
        places = [rows_of(name) for name in (first, last) if name is not None]
        missing = [name for name, rows in zip((first, last), places, strict=False) if not rows]
        found.extend(str(name) for name in missing)
        if last is not None and not missing and (kind_of(first) != kind_of(last) or places[0][0] >= places[1][0]):
            found.append(cited[0])
    return found


def kind_of(cited: str) -> str:
    """`S`, or the letter of a requirement."""
    return cited.rstrip("0123456789.")


def unknown_pages(source: str) -> list[str]:
    """Pages and headings in a source that are not there."""
    found: list[str] = []
    for named in PAGE.finditer(source):
        path = ROOT / named["path"]
        if not path.is_file():
            found.append(named["path"])
            continue
        headings = set(re.findall(r"^#+ (.+)$", path.read_text(), re.MULTILINE))
        found.extend(f"{named['path']}, {heading}" for heading in re.findall(r"\"([^\"]+)\"", named["headings"]) if heading not in headings)
    return found


def faults_of(source: str) -> list[str]:
    """What of a source nobody can look up."""
    return [*unknown_ids(source), *unknown_pages(source), *GONE.findall(source)]


def test_every_source_can_be_looked_up() -> None:
    assert [(path, fault) for path, source in every_source() for fault in faults_of(source)] == []


def test_sources_are_found() -> None:
    """A search that finds nothing proves nothing."""
    found = every_source()
    assert len(found) > 150
    assert {path.split("/")[0] for path, _ in found} >= {"services", "shared", "cli", "deploy", "tests"}
    assert {f"S{number}" for number in range(1, 13)} <= set(known_ids())


def test_every_row_is_cited() -> None:
    """A row that nothing shows is a wish."""
    cited: set[int] = set()
    for _, source in every_source():
        for found in CITED.finditer(source):
            last = found["last"] or found["first"]
            first, end = rows_of(found["first"]), rows_of(last if last.startswith(("S", "R-")) else f"R-{last}")
            cited |= set(range(first[0], end[-1] + 1))
    assert [known for place, known in enumerate(known_ids()) if place not in cited] == []


def test_what_is_made_up_is_noticed() -> None:
    """Negative control."""
    assert unknown_ids("S13.") == ["S13"]
    assert unknown_ids("R-A9.9, S3; T21.") == ["R-A9.9", "T21"]
    assert unknown_ids("S1 to S99.") == ["S99"]
    assert unknown_ids("R-C1 to C9.") == ["R-C9"]
    assert unknown_ids("C1 to C3.") == ["C1", "C3"]
    assert unknown_ids("S8 to S2.") == ["S8 to S2"]
    assert unknown_ids("S1 to R-A2.") == ["S1 to R-A2"]
    assert faults_of('design, "Ticks"; docs/nowhere.md; docs/architecture.md, "Nothing".') == [
        "docs/nowhere.md", "docs/architecture.md, Nothing", "design",
    ]  # fmt: skip
    assert list(sources_in('def f():\n    """Do it.\n\n    Source: S99,\n    and T1.\n\n    Other: S98.\n    """\n')) == ["S99, and T1."]


def test_what_stands_is_taken() -> None:
    words = 'R-C1 to C3, R-A3.5 to R-A3.7, R-C2, R-D, S1 to S12; docs/architecture.md, "Revert" and "Read models"; Bailey (2014).'
    assert faults_of(words) == []
