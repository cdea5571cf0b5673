"""The fault matrix of docs/reliability.md: rows that fault tests measured, kept in docs/reliability.json, and the page made of them.

`PYTHONPATH=tests python -m support.matrix` writes the page, which `make test-long` does at its end. A row that no run measured stays, and
says so.

Place in the flow: fault test → `support.measuring` → **docs/reliability.json** → docs/reliability.md.
"""

import fcntl
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, Literal, get_args

ROOT: Final = Path(__file__).parents[2]
ROWS: Final = ROOT / "docs" / "reliability.json"
PAGE: Final = ROOT / "docs" / "reliability.md"
Part = Literal["The log", "Processes", "Servers", "Clients, files and people"]
PARTS: Final[tuple[Part, ...]] = get_args(Part)
NOT_MEASURED: Final = "not measured"
NOTHING: Final = "–"
PROSE: Final = """\
# What is done when something fails, and which test shows it

The promises: an accepted tick is never lost or replaced unnoticed, no job is lost, at most one result counts per job, and the proof never
says that all is well while nothing can run. Each row names a fault, what is said meanwhile, how long it took to be noticed and to be over,
and the test that does it on real servers.

`make test-long` measures the rows anew, writes them to [reliability.json](reliability.json), and this page from it; do not edit the page.
What is said is what the proof API answered in that run, with the words that the Bots page puts over it; where a fault is met without an
API, it is what the part said that met it. **Seconds to notice** are from the fault to the first such word. **Seconds to recover** are from
the end of the fault (a thaw, a start, a mended file; where nobody ends it, from the fault itself) to a proof that is fresh and TICKING
again, or to the work that the row names. **Lost** are accepted ticks and enqueued jobs that are not in the log any more, **doubled** jobs
with more than one counted result and attempts with more than one winner, as an audit of the whole log found them afterwards. The machine
had two cores and other work. A figure is one run's, of the day that stands beside its test. "–" means that there was nothing to take: it was
over before it was noticed, only people end it, or no log was audited. "not measured" means that the test shows the behaviour and takes no
time of it.
"""
HEAD: Final = """\
| fault | what the proof and the page say | seconds to notice | seconds to recover | lost / doubled | test |
|---|---|---|---|---|---|
"""


@dataclass(frozen=True, slots=True)
class Row:
    """One fault.

    Attributes:
        key: what rows are merged and sorted by; that of a test with parameters ends in their name.
        part: the table that it stands in.
        fault: what was done.
        said: what was said meanwhile.
        goes_on: how it is over.
        noticed_s: from the fault to the first word of it; None: not measured.
        recovered_s: from the end of the fault to its being over; None: not measured.
        lost: ticks and jobs that are gone; None: not counted.
        doubled: results and winners too many; None: not counted.
        tests: ids of tests, or their files.
        day: when it was measured, YYYY-MM-DD; None: never.
    """

    key: str
    part: Part
    fault: str
    said: str
    goes_on: str
    noticed_s: float | None
    recovered_s: float | None
    lost: int | None
    doubled: int | None
    tests: tuple[str, ...]
    day: str | None


def rows_of(text: str) -> list[Row]:
    """The rows of docs/reliability.json."""
    documents: list[dict[str, Any]] = json.loads(text)
    return [Row(**{**document, "tests": tuple(document["tests"])}) for document in documents]


def as_text(rows: Iterable[Row]) -> str:
    """The rows as they are committed, sorted by their keys."""
    return json.dumps([asdict(row) for row in sorted(rows, key=lambda row: row.key)], indent=1, ensure_ascii=False) + "\n"


def merged(rows: Iterable[Row], new: Row) -> list[Row]:
    """The rows with this one in place of the one with its key; all others stay as they are."""
    return sorted([*(row for row in rows if row.key != new.key), new], key=lambda row: row.key)


def record(new: Row, path: Path) -> None:
    """Put a row into a file of rows; two processes may do so at once."""
    path.touch()
    with path.open("r+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        text = as_text(merged(rows_of(file.read() or "[]"), new))
        file.seek(0)
        file.write(text)
        file.truncate()


def rendered(rows: Iterable[Row]) -> str:
    """The page."""
    listed = sorted(rows, key=lambda row: row.key)
    parts = [f"\n## {part}\n\n{HEAD}" + "".join(line_of(row) for row in listed if row.part == part) for part in PARTS]
    return PROSE + "".join(parts)


def line_of(row: Row) -> str:
    """One line of a table."""
    tests = ", ".join(f"`{test}`" for test in row.tests)
    cells = [
        row.fault, row.said, figure(row, row.noticed_s), f"{figure(row, row.recovered_s)}; {row.goes_on}", counts(row),
        f"{tests} ({row.day})" if row.day else tests,
    ]  # fmt: skip
    return "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |\n"


def figure(row: Row, value: float | None) -> str:
    """Seconds; that there were none to take, where the row was measured; else that it was not."""
    if value is not None:
        return f"{value:.1f}"
    return NOT_MEASURED if row.day is None else NOTHING


def counts(row: Row) -> str:
    """What was lost and doubled; that nothing was audited, where the row was measured; else that it was not."""
    if row.lost is None or row.doubled is None:
        return NOT_MEASURED if row.day is None else NOTHING
    return f"{row.lost} / {row.doubled}"


if __name__ == "__main__":
    PAGE.write_text(rendered(rows_of(ROWS.read_text())))
