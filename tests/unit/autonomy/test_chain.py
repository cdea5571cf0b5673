"""Acceptance: which ticks count, for every reader alike.

Source: S1 to S5, S7.
"""

from collections.abc import Callable
from dataclasses import replace
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typing_extensions import override

from autonomy.chain import GENESIS, GENESIS_HASH, AcceptedTick, Chain, RunRecord, read_record, root_of, write_records
from autonomy.envelope import Undecodable
from autonomy.errors import Broken
from autonomy.events import BotRetired, Head, PlannerRun
from autonomy.topics import RUNS
from support.builders import NOON_MS, a_digest, an_id
from support.stored_log import Stored
from support.ticks import a_seal, feed_all, stored


def facts(head: Head, count: int, try_name: str, bots: str = "bot") -> list[RunRecord]:
    """The records of a try, without its seal."""
    events = [BotRetired(bot_id=f"{bots}-{number}", actor="ada") for number in range(count)]
    return write_records(events, [event.bot_id for event in events], head.tick + 1, an_id(try_name), NOON_MS)


def a_try(head: Head, count: int, try_name: str, **seal: object) -> list[RunRecord]:
    """A whole try: its records and its seal."""
    records = facts(head, count, try_name)
    return [*records, a_seal(head, records, try_name, **seal)]  # type: ignore[arg-type] # parts of a seal by name


def refusal(chain: Chain, records: list[RunRecord]) -> str:
    """Why the chain did not accept these records."""
    assert feed_all(chain, stored(records)) == []
    assert chain.void_seals == 1
    return chain.last_refusal


def test_whole_try_is_accepted_and_becomes_the_head() -> None:
    chain = Chain()
    (tick,) = feed_all(chain, stored(a_try(GENESIS, 3, "a")))
    assert [record.seq for record in tick.records] == [1, 2, 3]
    assert (chain.head.tick, chain.head.offset, chain.head.hash) == (1, 3, tick.seal.hash)
    assert [event.wire for event in tick.events()] == ["bot-retired.v1"] * 3


def test_empty_tick_is_a_seal_alone() -> None:
    (tick,) = feed_all(Chain(), stored(a_try(GENESIS, 0, "a")))
    assert tick.records == ()


def test_ticks_follow_one_another() -> None:
    chain = Chain()
    first = a_try(GENESIS, 2, "a")
    (one,) = feed_all(chain, stored(first))
    (two,) = feed_all(chain, stored(a_try(one.head, 1, "b"), len(first)))
    assert two.seal.prev_hash == one.seal.hash
    assert chain.void_records == 0


@pytest.mark.parametrize("missing", [0, 1, 2])
def test_torn_tick_is_void(missing: int) -> None:
    whole = a_try(GENESIS, 3, "a")
    torn = whole[:missing] + whole[missing + 1 :]
    assert "2 records, 3 sealed" in refusal(Chain(), torn)


@pytest.mark.parametrize("sealed", [0, 1, 2])
def test_more_records_than_sealed_are_void(sealed: int) -> None:
    records = facts(GENESIS, 3, "a")
    seal = a_seal(GENESIS, records[:sealed], "a")
    assert f"3 records, {sealed} sealed" in refusal(Chain(), [*records, seal])


MOST = 2**53 - 1
"""The greatest count that the codec lets through."""


@pytest.mark.timeout(10)
@pytest.mark.parametrize("tick", [1, 2, 7])
def test_seal_of_any_count_is_refused_at_once(tick: int) -> None:
    """Whatever it claims: no reader counts to it."""
    records = facts(GENESIS, 2, "a")
    seal = a_seal(GENESIS, records, "a", count=MOST, tick=tick)
    assert (f"2 records, {MOST} sealed" if tick == 1 else "the next tick is 1") in refusal(Chain(), [*records, seal])


def test_as_many_records_as_sealed_but_other_ones_are_void() -> None:
    first, second = facts(GENESIS, 2, "a")
    seal = a_seal(GENESIS, [first, second], "a")
    assert "2 records, 2 sealed" in refusal(Chain(), [first, replace(second, seq=7), seal])


def test_wrong_root_is_void() -> None:
    records = facts(GENESIS, 2, "a")
    seal = a_seal(GENESIS, records, "a", root=a_digest("another"))
    assert "root" in refusal(Chain(), [*records, seal])


def test_changed_byte_of_a_record_is_void() -> None:
    *records, seal = a_try(GENESIS, 2, "a")
    changed = replace(records[0], value=records[0].value.replace(b"ada", b"eve"))
    assert "root" in refusal(Chain(), [changed, records[1], seal])


@pytest.mark.parametrize("name", ["kind", "key"])
def test_changed_place_of_a_record_is_void(name: str) -> None:
    *records, seal = a_try(GENESIS, 2, "a")
    changed = replace(records[0], kind="stage-changed.v1") if name == "kind" else replace(records[0], key=b"other")
    assert "root" in refusal(Chain(), [changed, records[1], seal])


def test_seal_with_a_wrong_own_hash_is_void() -> None:
    *records, seal = a_try(GENESIS, 1, "a")
    changed = replace(seal, value=seal.value.replace(b'"registered":0', b'"registered":1'))
    assert "own hash" in refusal(Chain(), [*records, changed])


def test_seal_that_does_not_follow_the_head_is_void() -> None:
    records = facts(GENESIS, 1, "a")
    seal = a_seal(GENESIS, records, "a", prev_hash=a_digest("another head"))
    assert "does not follow the head" in refusal(Chain(), [*records, seal])


@pytest.mark.parametrize("tick", [0, 2, 7])
def test_seal_of_another_tick_is_void(tick: int) -> None:
    seal = a_seal(GENESIS, [], "a", tick=tick)
    assert "the next tick is 1" in refusal(Chain(), [seal])


def test_seal_whose_headers_name_another_try_is_void() -> None:
    *records, seal = a_try(GENESIS, 1, "a")
    moved = [replace(record, try_id=an_id("b")) for record in (*records, seal)]
    assert "headers name another try" in refusal(Chain(), moved)


def test_seal_that_cannot_be_read_is_void() -> None:
    *records, seal = a_try(GENESIS, 1, "a")
    assert "cannot be read" in refusal(Chain(), [*records, replace(seal, value=seal.value[:-5])])


def test_seal_before_its_records_is_void() -> None:
    *records, seal = a_try(GENESIS, 1, "a")
    assert "0 records, 1 sealed" in refusal(Chain(), [seal, *records])


CUT = {"autonomy.commands": (5,), "autonomy.jobs": (3, 4)}


def after_first(**second: object) -> tuple[Chain, list[AcceptedTick]]:
    """A chain whose first tick has a cut and a time, and what came of the second."""
    chain = Chain()
    first = a_try(GENESIS, 0, "a", cut=CUT, now_ms=NOON_MS)
    (one,) = feed_all(chain, stored(first))
    return chain, feed_all(chain, stored(a_try(one.head, 1, "b", **second), 1))


@pytest.mark.parametrize(
    "cut",
    [
        {"autonomy.commands": (4,), "autonomy.jobs": (3, 4)},
        {"autonomy.commands": (5,), "autonomy.jobs": (9, 3)},
        {"autonomy.commands": (5,), "autonomy.jobs": (3,)},
        {"autonomy.commands": (5,), "autonomy.jobs": (3, 4, 0)},
        {"autonomy.commands": (5,)},
    ],
)
def test_cut_below_the_head_is_void(cut: dict[str, tuple[int, ...]]) -> None:
    chain, done = after_first(cut=cut)
    assert done == []
    assert "below the head's" in chain.last_refusal


def test_time_before_the_head_is_void() -> None:
    chain, done = after_first(cut=CUT, now_ms=NOON_MS - 1)
    assert done == []
    assert "time is before the head's" in chain.last_refusal


def test_same_cut_and_time_as_the_head_are_accepted() -> None:
    _, done = after_first(cut=CUT, now_ms=NOON_MS)
    assert len(done) == 1


@pytest.mark.parametrize(
    ("condition", "written"),
    [
        ("records, ", lambda: a_try(GENESIS, 3, "a")[1:]),
        ("root", lambda: [*facts(GENESIS, 2, "a", "other"), a_try(GENESIS, 2, "a")[-1]]),
        ("follow", lambda: [a_seal(GENESIS, [], "a", prev_hash=a_digest("x"))]),
        ("the next tick", lambda: [a_seal(GENESIS, [], "a", tick=2)]),
        ("own hash", lambda: [replace(seal := a_seal(GENESIS, [], "a"), value=seal.value.replace(b'"blocked":0', b'"blocked":1'))]),
    ],
    ids=["torn", "root", "prevHash", "tick", "hash"],
)
def test_each_condition_is_what_refuses(condition: str, written: Callable[[], list[RunRecord]]) -> None:
    """Negative control: a reader without the condition accepts, so nothing else was wrong with these records."""

    class Lenient(Chain):
        @override
        def _fault(self, seal: PlannerRun, record: RunRecord, records: tuple[RunRecord, ...], kept: int) -> str | None:
            fault = Chain._fault(self, seal, record, records, kept)
            # A torn tick has a wrong root too: they are one condition to leave out.
            expected = {condition, "root"} if condition == "records, " else {condition}
            return None if fault is not None and any(word in fault for word in expected) else fault

    assert feed_all(Chain(), stored(written())) == []
    assert len(feed_all(Lenient(), stored(written()))) == 1


def test_first_of_a_repeated_seq_counts() -> None:
    *records, seal = a_try(GENESIS, 2, "a")
    other = replace(records[0], value=b"something else")
    chain = Chain()
    (tick,) = feed_all(chain, stored([records[0], other, records[1], records[1], seal]))
    assert tick.records[0].value == records[0].value
    assert chain.void_records == 2


def test_repeated_seq_with_the_wrong_one_first_is_void() -> None:
    *records, seal = a_try(GENESIS, 2, "a")
    other = replace(records[0], value=b"something else")
    assert "root" in refusal(Chain(), [other, *records, seal])


def test_repeated_seal_changes_nothing() -> None:
    whole = a_try(GENESIS, 2, "a")
    chain = Chain()
    assert len(feed_all(chain, stored([*whole, whole[-1], whole[-1]]))) == 1
    assert (chain.head.offset, chain.void_seals) == (2, 2)


def test_of_two_tries_the_first_seal_wins() -> None:
    mine, theirs = a_try(GENESIS, 2, "a"), a_try(GENESIS, 1, "b")
    chain = Chain()
    (tick,) = feed_all(chain, stored([mine[0], *theirs, *mine[1:]]))
    assert tick.seal.try_id == an_id("b")
    assert chain.void_seals == 1


def test_interleaved_tries_do_not_mix() -> None:
    mine, theirs = a_try(GENESIS, 2, "a"), a_try(GENESIS, 2, "b")
    (tick,) = feed_all(Chain(), stored([mine[0], theirs[0], theirs[1], mine[1], mine[2], theirs[2]]))
    assert {record.try_id for record in tick.records} == {an_id("a")}


def test_late_records_of_a_void_try_are_counted_and_harmless() -> None:
    late, whole = a_try(GENESIS, 2, "late"), a_try(GENESIS, 1, "a")
    chain = Chain()
    (one,) = feed_all(chain, stored([late[0], *whole, late[1]]))
    assert chain.void_records == 2
    (two,) = feed_all(chain, stored([late[2], *a_try(one.head, 1, "next")], 4))
    assert two.seal.tick == 2
    assert chain.tries == {}


def test_records_far_ahead_are_void_and_not_kept() -> None:
    chain = Chain()
    feed_all(chain, stored(facts(Head(tick=5, offset=9, hash=GENESIS_HASH), 3, "a")))
    assert (chain.void_records, chain.tries) == (3, {})


def test_torn_seal_does_not_keep_its_try_alive() -> None:
    *records, seal = a_try(GENESIS, 2, "a")
    chain = Chain()
    assert feed_all(chain, stored([records[0], seal, records[1], seal])) == []
    assert chain.void_seals == 2


def a_log(seed: int, ticks: int = 6) -> tuple[list[RunRecord], list[AcceptedTick]]:
    """Ticks with void tries, late records and repeats between them, as one partition would hold them."""
    random = Random(seed)
    chain, log, done = Chain(), list[RunRecord](), list[AcceptedTick]()
    late: list[RunRecord] = []
    while len(done) < ticks:
        number = len(log)
        tries = [a_try(chain.head, random.randrange(4), f"{seed}/{number}/{name}") for name in "ab"]
        torn = tries[1][: random.randrange(len(tries[1]) + 1)]
        batch = [*tries[0], *torn]
        if random.random() < 0.5:
            batch = [record for pair in zip(tries[0], torn, strict=False) for record in pair]
            batch += [*tries[0][len(batch) // 2 :], *torn[len(batch) // 2 :]]
        batch += late
        late = [record for record in tries[1] if random.random() < 0.3]
        batch = [record for record in batch for _ in range(1 + (random.random() < 0.2))]
        placed = stored(batch, len(log))
        log += placed
        done += feed_all(chain, placed)
    return log, done


@given(st.integers(0, 10_000))
def test_anchored_reader_equals_the_full_reader(seed: int) -> None:
    """Source: S7."""
    log, full = a_log(seed, ticks=4)
    for start in full:
        chain = Chain.anchored(start.head)
        later = feed_all(chain, log[start.offset :])
        assert [tick.head for tick in later] == [tick.head for tick in full if tick.offset > start.offset]
        assert chain.head == full[-1].head


def test_reader_anchored_at_genesis_reads_everything() -> None:
    log, full = a_log(1)
    assert [tick.head for tick in feed_all(Chain.anchored(GENESIS), log)] == [tick.head for tick in full]


@pytest.mark.parametrize("wrong", ["hash", "offset", "tick", "a fact", "bytes"])
def test_anchor_that_is_not_there_is_broken(wrong: str) -> None:
    log, (first, *_) = a_log(2)
    head, record = first.head, log[first.offset]
    match wrong:
        case "hash":
            head = head.model_copy(update={"hash": a_digest("another")})
        case "offset":
            record = replace(record, offset=record.offset + 1)
        case "tick":
            head = head.model_copy(update={"tick": head.tick + 1})
        case "a fact":
            record = facts(GENESIS, 1, "a")[0]
        case _:
            record = replace(record, value=record.value[:-1])
    with pytest.raises(Broken, match="is not the anchor"):
        Chain.anchored(head).feed(record)


def test_anchored_reader_refuses_a_cut_below_its_anchor() -> None:
    """The anchor's own cut and time count for what follows it."""
    (one,) = feed_all(Chain(), stored(first := a_try(GENESIS, 0, "a", cut=CUT)))
    chain = Chain.anchored(one.head)
    below = a_try(one.head, 0, "b", cut={**CUT, "autonomy.commands": (0,)})
    assert feed_all(chain, stored([*first, *below])) == []
    assert "below the head's" in chain.last_refusal


def test_sealed_record_that_cannot_be_read_is_broken() -> None:
    unknown = [replace(record, value=b"{}") for record in facts(GENESIS, 1, "a")]
    (tick,) = feed_all(Chain(), stored([*unknown, a_seal(GENESIS, unknown, "a")]))
    with pytest.raises(Broken, match="cannot be read"):
        tick.events()


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [("kind", b"x"), ("tick", b"one"), ("try", b"t"), ("seq", b"1")],
        [("kind", b"x"), ("tick", b"1"), ("try", b"\xff"), ("seq", b"1")],
        [("kind", b"x"), ("tick", b"9" * 5000), ("try", b"t"), ("seq", b"1")],
        [("kind", b"x"), ("tick", b"1"), ("try", b"t")],
        [("kind", None), ("tick", b"1"), ("try", b"t"), ("seq", b"1")],
        [("kind", b"x"), ("tick", None), ("try", b"t"), ("seq", b"1")],
        [("kind", b"x"), ("tick", b"1"), ("try", None), ("seq", b"1")],
        [("kind", b"x"), ("tick", b"1"), ("try", b"t"), ("seq", None)],
    ],
)
def test_record_without_a_place_is_refused_with_the_reason(headers: list[tuple[str, bytes | None]]) -> None:
    refused = read_record(Stored(RUNS, 0, 7, b"value", b"key", 0, headers))
    assert isinstance(refused, Undecodable)
    assert "headers" in refused.reason


def test_record_keeps_its_place_through_its_headers() -> None:
    (record,) = facts(GENESIS, 1, "a")
    again = read_record(Stored(RUNS, 0, 4, record.value, record.key, 9, record.headers()))
    assert again == replace(record, offset=4, timestamp_ms=9)


def test_root_depends_on_the_order() -> None:
    records = facts(GENESIS, 2, "a")
    assert root_of(records) != root_of(reversed(records))
