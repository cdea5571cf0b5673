"""The rule in forty lines, as docs/consumers.md gives it to readers in any language: it finds the ticks that the platform's own chain accepts.

Source: S3.
"""

import hashlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from autonomy.chain import AcceptedTick, Chain
from autonomy.topics import RUNS
from support.lives import a_whole_life
from support.log import fresh_topics, store
from support.servers import Broker
from support.stored_log import Stored, stored_log

pytestmark = pytest.mark.servers
PAGE = Path(__file__).resolve().parents[2] / "docs" / "consumers.md"


def program() -> str:
    found = re.search(r"^```python accepted\n(.*?)^```$", PAGE.read_text(), re.DOTALL | re.MULTILINE)
    assert found is not None
    assert len(found[1].splitlines()) <= 50
    return found[1]


def with_junk(runs: list[Stored]) -> Iterator[Stored]:
    """A log as races and strangers leave it: each tick has a void try before it, and another after it; some records are nobody's."""
    begun: list[Stored] = []
    for record in runs:
        if not begun:
            yield replace(record, value=b"nothing of ours", headers=())
        begun.append(record)
        if dict(record.headers)["kind"] != b"planner-run.v1":
            continue
        of_nobody = [
            replace(one, headers=tuple((name, b"nobody" if name == "try" else held) for name, held in one.headers)) for one in begun
        ]
        yield from of_nobody[:-1]  # a try that was never sealed
        yield replace(of_nobody[-1], value=(record.value or b"").replace(b'"count":', b'"count":1'))  # and one whose seal is forged
        yield from begun
        yield record  # the same seal once more
        yield from of_nobody  # a try that lost
        begun = []


def by_the_chain(runs: list[Stored]) -> list[str]:
    chain, found = Chain(), []
    for offset, record in enumerate(runs):
        if isinstance(done := chain.read(replace(record, offset=offset)), AcceptedTick):
            found.append(f"{done.seal.tick} {done.seal.hash} {len(done.records)}")
    assert chain.void_seals, "there was something to be fooled by"
    return found


def by_the_program(broker: Broker, runs: list[Stored], folder: Path, code: str) -> list[str]:
    fresh_topics(broker.bootstrap)
    store(broker.bootstrap, runs)
    done = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, "SERVERS": broker.bootstrap}, cwd=folder, capture_output=True, text=True,
        timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout.split("\n")[:-1]


def test_it_finds_the_ticks_that_count_and_no_other(broker: Broker, tmp_path: Path) -> None:
    runs = list(with_junk([record for record in stored_log(a_whole_life()) if record.topic == RUNS]))
    found = by_the_program(broker, runs, tmp_path, program())
    assert len(found) > 30
    assert found == by_the_chain(runs)


def seal_of(runs: list[Stored], tick: int) -> int:
    """Where the seal of a tick stands."""
    return next(number for number, one in enumerate(runs) if dict(one.headers)["tick"] == b"%d" % tick and is_seal(one))


def is_seal(record: Stored) -> bool:
    return dict(record.headers)["kind"] == b"planner-run.v1"


def on_another_head(runs: list[Stored]) -> list[Stored]:
    """A whole first tick before the true one, on another head: only its `prevHash` gives it away."""
    first = runs[: seal_of(runs, 1) + 1]
    text = (first[-1].value or b"").decode()
    own = json.loads(text)["data"]["hash"]
    forged = text.replace('"prevHash":"' + "0" * 64, '"prevHash":"' + "1" * 64)
    data = forged[forged.index(',"data":') + 8 : -1].replace(f'"hash":"{own}"', '"hash":""')
    forged = forged.replace(f'"hash":"{own}"', f'"hash":"{hashlib.sha256(data.encode()).hexdigest()}"')
    return [*first[:-1], replace(first[-1], value=forged.encode()), *runs]


def with_an_edited_record(runs: list[Stored]) -> list[Stored]:
    place = next(number for number, one in enumerate(runs) if b"sma-cross" in (one.value or b""))
    return [*runs[:place], replace(runs[place], value=(runs[place].value or b"").replace(b"sma-cross", b"sma-crows")), *runs[place + 1 :]]


def with_an_edited_seal(runs: list[Stored]) -> list[Stored]:
    place = seal_of(runs, 2)
    edited = (runs[place].value or b"").replace(b'"jobsEnqueued":', b'"jobsEnqueued":7')
    return [*runs[:place], replace(runs[place], value=edited), *runs[place + 1 :]]


PARTS = {
    'seal["prevHash"] == head_hash': on_another_head, 'root == seal["root"]': with_an_edited_record,
    'hashlib.sha256(data.encode()).hexdigest() == seal["hash"]': with_an_edited_seal,
}  # fmt: skip


@pytest.mark.parametrize("part", PARTS)
def test_each_part_of_it_finds_what_it_is_for(broker: Broker, tmp_path: Path, part: str) -> None:
    """And, as negative control, without that part it takes the forgery."""
    runs = PARTS[part]([record for record in stored_log(a_whole_life()) if record.topic == RUNS])
    assert program().count(part) == 1
    assert by_the_program(broker, runs, tmp_path, program()) == by_the_chain(runs)
    assert by_the_program(broker, runs, tmp_path, program().replace(part, "True")) != by_the_chain(runs)
