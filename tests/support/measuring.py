"""A fault test's row of the matrix: what the proof said from the fault on, how long until its first word, and until all was well again.

The fixture `fault_row` makes one at the moment of the fault. Rows are written where AUTONOMY_FAULT_MATRIX names a file, as `make test-long`
does; every other run prints them.

Place in the flow: fault test → **here** → `support.matrix`.
"""

import os
import re
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import httpx
import pytest

from autonomy import clock
from bots_ui.shown.facts import Link, facts_of
from support.log import Audit
from support.matrix import Part, Row, record
from support.patience import PATIENCE_S
from support.platform import wait_for
from support.proof import Api

LOOK_EVERY_S: Final = 0.1
WORDS: Final = 260
"""The longest that is quoted of one answer's reason."""
ALL_WELL: Final = "all is well, all the time"
FINE: Final = ("TICKING", "PAUSED")
WORSE: Final = ("fresh", "stale", "unverified", "unavailable")


@dataclass(frozen=True, slots=True)
class Look:
    """What the proof answered to a question that was asked at `asked_s` and answered at `at_s`."""

    asked_s: float
    at_s: float
    code: int
    document: dict[str, Any]

    @property
    def proof(self) -> dict[str, Any]:
        """The part that says how things stand."""
        found: dict[str, Any] = self.document.get("proof") or {}
        return found

    @property
    def is_well(self) -> bool:
        """Whether it says that all is well."""
        return (self.code, self.proof.get("status"), self.proof.get("failing")) == (200, "fresh", []) and self.proof["verdict"] in FINE

    @property
    def badness(self) -> tuple[int, int]:
        """How little is known, and how many checks fail: the larger the worse."""
        status = self.proof.get("status")
        return (WORSE.index(status) if status in WORSE else -1), len(self.proof.get("failing", []))

    @property
    def short(self) -> str:
        """Status, verdict and the checks that fail."""
        if not self.proof:
            return "no answer"
        checks = ", ".join(f"{name} {self.proof['checks'][name]}" for name in self.proof["failing"])
        return f"{self.code} {self.proof['status']} {self.proof['verdict'] or 'null'}" + (f" ({checks})" if checks else "")


def words_of(looks: list[Look]) -> str:
    """What the proof said as long as something was wrong: its states in their order, the worst one's reason, and the page's word for it."""
    ill = [look for look in looks if not look.is_well]
    if not ill:
        return ALL_WELL
    states = list(dict.fromkeys(look.short for look in ill))
    worst = max(ill, key=lambda look: (look.badness, bool(look.proof.get("reason")), look.at_s))
    reason = str(worst.proof.get("reason") or "")
    shown = facts_of(Link(worst.document, clock.now(), None, ""), clock.now())
    page = shown.warning.partition(":")[0] or shown.verdict
    quoted = reason if len(reason) <= WORDS else reason[:WORDS].rsplit(" ", 1)[0] + " …"
    return f"{' → '.join(states[:4])}; “{quoted}”; page: {page}" if reason else f"{' → '.join(states[:4])}; page: {page}"


@dataclass
class Watch:
    """Asks the proof all the time, as an operator's monitor would, in a thread of its own."""

    url: str
    looks: list[Look] = field(default_factory=list)
    done: threading.Event = field(default_factory=threading.Event)
    thread: threading.Thread | None = None

    def begin(self) -> None:
        """Start asking."""
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self) -> None:
        """Ask until it is over; an API that does not answer is a look, too."""
        with httpx.Client(base_url=self.url, timeout=15) as http:
            while not self.done.wait(LOOK_EVERY_S):
                asked_s = time.monotonic()
                try:
                    answer = http.get("/api/_proof/autonomy")
                    code, document = answer.status_code, answer.json()
                except (httpx.HTTPError, ValueError):
                    code, document = 0, {}
                self.looks.append(Look(asked_s, time.monotonic(), code, document))

    def end(self) -> None:
        """Ask no more."""
        self.done.set()
        if self.thread is not None:
            self.thread.join(20)


@dataclass
class FaultRow:
    """A row in the making; its clock starts with it, at the fault.

    Attributes:
        said: where no proof is asked: what the part said that met the fault.
        begun_s: when the fault was.
        healed_s: when it ended; where nobody ends it, when it was.
    """

    key: str
    part: Part
    fault: str
    goes_on: str
    test: str
    watch: Watch | None = None
    said: str = ""
    begun_s: float = field(default_factory=time.monotonic)
    healed_s: float = 0.0
    noticed_s: float | None = None
    recovered_s: float | None = None
    lost: int | None = None
    doubled: int | None = None

    def __post_init__(self) -> None:
        """Ask from now on."""
        self.healed_s = self.begun_s
        if self.watch is not None:
            self.watch.begin()

    def notices(self, said: str) -> None:
        """Somebody says it now, in these words; for faults that no proof is asked about."""
        self.said, self.noticed_s = said, time.monotonic() - self.begun_s

    def heals(self) -> None:
        """The fault ends now."""
        self.healed_s = time.monotonic()

    def is_told(self, timeout_s: float = 30.0) -> None:
        """Wait until the proof says that something is wrong, and ask no more: nothing of this fault is over by itself."""
        assert self.watch is not None
        watch = self.watch
        wait_for("a proof that is not well", lambda: any(not look.is_well for look in watch.looks), timeout_s)
        self.stop_watching()

    def recovers(self, timeout_s: float = PATIENCE_S) -> None:
        """Work goes on again: the proof says that all is well to a question from now on, and asking ends. Without one: now."""
        if self.watch is not None:
            watch, now_s = self.watch, time.monotonic()
            wait_for(
                "a proof that is well",
                lambda: next((look for look in watch.looks if look.asked_s >= now_s and look.is_well), None),
                timeout_s,
            )
            self.stop_watching()
        self.recovered_s = time.monotonic() - self.healed_s

    def stop_watching(self) -> None:
        """Ask no more; what was said so far is the row's."""
        if self.watch is None:
            return
        self.watch.end()
        looks, self.watch = self.watch.looks, None
        assert looks, "nobody asked the proof in time: that it said nothing is not known"
        self.said = words_of(looks)
        first = next((look for look in looks if not look.is_well), None)
        if first is not None:
            self.noticed_s = first.at_s - self.begun_s

    def keeps(self, found: Audit | None = None) -> None:
        """The test's last word: what an audit found, if there was one, and the row is recorded."""
        self.stop_watching()
        if found is not None:
            self.lost, self.doubled = losses_of(found)
        assert self.said, "a fault about which nobody says anything has no row"
        row = Row(
            self.key, self.part, self.fault, without_ids(self.said), self.goes_on, rounded(self.noticed_s), rounded(self.recovered_s), self.lost,
            self.doubled, (self.test,), clock.now().date().isoformat(),
        )  # fmt: skip
        print("fault row", row, flush=True)
        if path := os.environ.get("AUTONOMY_FAULT_MATRIX"):
            record(row, Path(path))


def without_ids(words: str) -> str:
    """Words of a run without what only that run has whole: of each hash and id the first eight digits."""
    return re.sub(r"\b([0-9a-f]{8})(?:[0-9a-f]{56}|(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})\b", r"\1…", words)


def rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 1)


def losses_of(found: Audit) -> tuple[int, int]:
    """What is gone of a log, and what counts twice in it: ticks missing in their order and jobs that nobody has any more; results and
    winners of attempts beyond the first.
    """
    ticks = [seal.tick for seal in found.seals]
    gone = (max(ticks, default=0) - len(set(ticks))) + len(found.enqueued.keys() - found.jobs.keys())
    twice = len(ticks) - len(set(ticks)) + sum(count - 1 for count in (*found.results.values(), *found.wins.values()))
    return gone, twice


class FaultRows:
    """Makes the rows of one test."""

    def __init__(self, request: pytest.FixtureRequest) -> None:
        self.node = request.node
        self.begun: list[FaultRow] = []

    def __call__(self, key: str, part: Part, fault: str, goes_on: str, api: Api | None = None) -> FaultRow:
        """The fault is done now; with an API, its proof is asked from now on."""
        callspec = getattr(self.node, "callspec", None)
        watch = None if api is None else Watch(str(api.http.base_url))
        row = FaultRow(key if callspec is None else f"{key}: {callspec.id}", part, fault, goes_on, str(self.node.nodeid), watch)
        self.begun.append(row)
        return row


@pytest.fixture
def fault_row(request: pytest.FixtureRequest) -> Iterator[FaultRows]:
    rows = FaultRows(request)
    yield rows
    for row in rows.begun:
        if row.watch is not None:
            row.watch.end()
