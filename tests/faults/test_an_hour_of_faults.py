"""The demo fleet of `make up` for an hour in which something breaks every three minutes: it works, or says truly why it does not.

AUTONOMY_FAULT_MINUTES sets the length, AUTONOMY_FAULT_SEED the order.

Source: R-A5, R-G1.
"""

import json
import os
import random
import threading
import time
import urllib.error
import urllib.request
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

import psycopg
import pytest

from autonomy import clock
from e2e.conftest import RunningStack, a_stack
from local_stack.supervise import Supervisor
from support.log import audit, audit_verify
from support.measuring import FaultRows

MINUTES: Final = int(os.environ.get("AUTONOMY_FAULT_MINUTES", "60"))
SEED: Final = int(os.environ.get("AUTONOMY_FAULT_SEED", "1"))
EVERY_S: Final = 180.0
pytestmark = [pytest.mark.servers, pytest.mark.long, pytest.mark.timeout(MINUTES * 60 + 900)]
MATRIX: Final = [
    *((name, "KILL", 0.0) for name in ("planner", "job-runner", "projection", "proof-api", "bots-ui", "kafka", "postgres")),
    ("job-runner", "STOP", 20.0), ("job-runner", "STOP", 75.0), ("planner", "STOP", 12.0), ("planner", "STOP", 40.0),
    ("projection", "STOP", 30.0), ("proof-api", "STOP", 20.0), ("kafka", "STOP", 8.0), ("kafka", "STOP", 40.0), ("postgres", "STOP", 20.0),
]  # fmt: skip
"""What is done, to whom, and for how many seconds it is frozen."""
MEANINGS: Final = {"work": "with work", "told": "whose reason the proof said", "decided": "whose ticks decided not to work"}
OVERLAPPING = """
SELECT count(*) FROM bot_jobs
WHERE started_at < %(until)s AND (finished_at >= %(since)s OR (finished_at IS NULL AND status = 'RUNNING'))
"""
REASONS = """
SELECT tick, jobs_enqueued, reason_counts FROM autonomy_planner_runs WHERE started_at >= %(since)s AND started_at < %(until)s
"""


@dataclass(frozen=True)
class Look:
    """What the proof said at one moment; `told` is why nothing might run, in its own words, and empty where all is well."""

    at: datetime
    told: str


@dataclass
class Watch:
    """Asks the proof once a second, as an operator's monitor would."""

    api: str
    looks: list[Look] = field(default_factory=list)
    done: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        while not self.done.wait(1.0):
            self.looks.append(Look(clock.now(), self.look()))

    def look(self) -> str:
        try:
            with urllib.request.urlopen(f"{self.api}/api/_proof/autonomy", timeout=5) as answer:
                return words_of(json.load(answer))
        except urllib.error.HTTPError as refusal:
            return words_of(json.loads(refusal.read()))
        except (OSError, ValueError) as refusal:
            return f"no answer: {refusal!r}"


def words_of(document: dict[str, Any]) -> str:
    """Why nothing might run, as the proof says it; empty where it says that all is well."""
    proof = document["proof"]
    failing = {name: said for name, said in proof["checks"].items() if said not in {"ok", "off"}}
    if (proof["status"], proof["verdict"], failing) == ("fresh", "TICKING", {}):
        return ""
    return f"{proof['status']} {proof['verdict']} {failing} {proof['reason'] or ''}".strip()


def break_something(stack: RunningStack, fault: tuple[str, str, float]) -> None:
    name, signal, frozen_s = fault
    before = pid_of(stack, name)
    assert before, f"{name} lives before it is broken: {(stack.folder / 'logs' / f'{name}.log').read_text()[-2000:]}"
    stack.signal(name, signal)
    if frozen_s:
        time.sleep(frozen_s)
        assert pid_of(stack, name) == before, f"{name} was frozen, and nothing else"
        stack.signal(name, "CONT")


def pid_of(stack: RunningStack, name: str) -> str:
    found = Supervisor(stack.folder).processes()[name]
    return str(found.pid or "")


def test_every_minute_has_work_or_a_true_reason(tmp_path: Path, fault_row: FaultRows) -> None:
    chance = random.Random(SEED)
    with a_stack(tmp_path) as stack:
        watch = Watch(stack.api_url)
        watching = threading.Thread(target=watch.run, daemon=True)
        watching.start()
        words = f"something of {len(MATRIX)} faults every three minutes for {MINUTES} minutes, on the demo fleet"
        row = fault_row("hour of faults", "Processes", words, "by itself each time")
        began, faults = clock.now(), []
        wanted: list[tuple[str, str, float]] = []
        end = time.monotonic() + MINUTES * 60
        while time.monotonic() + EVERY_S / 2 < end:
            begun = time.monotonic()
            wanted = wanted or chance.sample(MATRIX, len(MATRIX))
            faults.append((clock.now(), *(fault := wanted.pop())))
            print("fault", *faults[-1], flush=True)
            break_something(stack, fault)
            time.sleep(max(0.0, min(begun + EVERY_S, end) - time.monotonic()))
        watch.done.set()
        watching.join(20)
        judged = judge(stack, began, watch.looks)
        print("minutes", Counter(verdict for _, verdict, _ in judged), flush=True)
        for at, verdict, why in judged:
            print(f"  {at:%H:%M} {verdict} {why}"[:200])
        assert [(at, why) for at, verdict, why in judged if verdict == "silent"] == []
        assert len(judged) >= MINUTES - 1
        audited(stack)
        counted = Counter(verdict for _, verdict, _ in judged)
        row.said = (
            "minutes: " + ", ".join(f"{counted[verdict]} {meaning}" for verdict, meaning in MEANINGS.items()) + "; the audit is clean"
        )
        row.keeps(audit(f"127.0.0.1:{stack.environment['KAFKA_PORT']}"))


def judge(stack: RunningStack, began: datetime, looks: list[Look]) -> list[tuple[datetime, str, str]]:
    """Each whole minute: a job ran in it, or the decisions of its ticks or the proof said why not, or it was silent."""
    found = []
    with psycopg.connect(stack.sql_url, autocommit=True) as reader:
        for number in range(MINUTES):
            since, until = began + timedelta(minutes=number), began + timedelta(minutes=number + 1)
            span = {"since": since, "until": until}
            jobs = int((reader.execute(OVERLAPPING, span).fetchone() or [0])[0])
            told = Counter(look.told for look in looks if since <= look.at < until and look.told)
            if jobs:
                found.append((since, "work", f"{jobs} jobs"))
            elif told:
                found.append((since, "told", told.most_common(1)[0][0]))
            else:
                ticks = reader.execute(REASONS, span).fetchall()
                reasons = sum((Counter(counts) for _, _, counts in ticks), Counter[str]())
                found.append((since, "decided" if ticks and reasons else "silent", str(reasons)))
    return found


def audited(stack: RunningStack) -> None:
    done = audit_verify(f"127.0.0.1:{stack.environment['KAFKA_PORT']}", "--artifacts", str(stack.folder / "artifacts"), timeout_s=600)
    print(done.stdout[-1500:], done.stderr[-500:])
    assert done.returncode == 0
