"""A try that its own process reads back is taken without a second parse, and never otherwise than any reader takes it.

Source: S3, S4.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from hypothesis import example, given
from hypothesis import strategies as st

from autonomy.chain import GENESIS, AcceptedTick, Chain, OwnTry, RunRecord, root_of, write_records
from autonomy.envelope import Undecodable
from autonomy.events import BotRetired, Head
from autonomy.topics import JOBS, RUNS
from support.builders import NOON_MS, an_id
from support.ticks import a_seal


@dataclass
class Back:
    """A record as the log gives it back."""

    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes | None]]
    topic: str = RUNS
    partition: int = 0
    offset: int = 0
    timestamp: int = NOON_MS


def facts(actor: str = "ada", try_name: str = "t") -> list[RunRecord]:
    """Three records of a first tick's try."""
    return write_records([BotRetired(bot_id=bot, actor=actor) for bot in "abc"], list("abc"), 1, an_id(try_name), NOON_MS)


def own_try(records: list[RunRecord]) -> OwnTry:
    return OwnTry(tuple(records), [record.headers() for record in records], root_of(records))


def back(records: list[RunRecord], first: int = 0) -> list[Back]:
    return [Back(record.key, record.value, record.headers(), offset=first + number) for number, record in enumerate(records)]


def test_an_own_try_that_comes_back_is_accepted_as_any_reader_does() -> None:
    records = facts()
    leader, reader = Chain(own=own_try(records)), Chain()
    assert [leader.take_own(back(facts()), 0), leader.take_own(back(facts()), 0)] == [3, 0], "each comes once"
    for record in facts():
        reader.feed(record)
    seal = a_seal(GENESIS, records, "t")
    led, read = leader.feed(seal), reader.feed(seal)
    assert led is not None
    assert read is not None
    assert led.seal == read.seal
    assert all(one is ours for one, ours in zip(led.records, records, strict=True))


def test_an_own_try_comes_back_in_parts_between_those_of_others() -> None:
    records, chain = facts(), Chain(own=own_try(facts()))
    stored = [*back(records[:2]), *back(facts(actor="eve")), *back(records[2:])]
    assert [chain.take_own(stored, place) for place in (0, 2, 3, 4, 5)] == [2, 0, 0, 0, 1]
    assert chain.feed(a_seal(GENESIS, records, "t")) is not None


def test_other_bytes_in_the_place_of_an_own_record_are_not_taken_for_it() -> None:
    records, (first, *_) = facts(), back(facts())
    for changed in (
        replace(first, value=facts(actor="eve")[0].value), replace(first, value=facts()[1].value), replace(first, value=None),
        replace(first, key=b"other"), replace(first, headers=(*first.headers[:-1], ("seq", b"9"))), replace(first, topic=JOBS),
    ):  # fmt: skip
        assert Chain(own=own_try(records)).take_own([changed], 0) == 0
    assert Chain().take_own([first], 0) == 0, "nothing is its own"
    assert Chain(own=own_try(records)).take_own([first], 0) == 1


def test_a_copy_of_an_own_record_in_another_topic_ends_what_is_taken_at_once() -> None:
    (first, second, third), chain = back(facts()), Chain(own=own_try(facts()))
    assert chain.take_own([first, replace(second, topic=JOBS), third], 0) == 1
    assert chain.take_own([second, third], 0) == 2


def test_an_own_try_whose_tick_is_over_is_read_like_any_other() -> None:
    records, chain = facts(), Chain(own=own_try(facts()))
    for record in [*facts(try_name="other"), a_seal(GENESIS, facts(try_name="other"), "other")]:
        chain.feed(record)
    assert (chain.head.tick, chain.take_own(back(records), 0)) == (1, 0)


def test_an_own_root_never_covers_another_record() -> None:
    records = facts()
    chain = Chain(own=own_try(records))
    for record in [*facts(actor="eve"), a_seal(GENESIS, records, "t")]:
        assert chain.feed(record) is None
    assert "root over its records" in chain.last_refusal


# ── any log ───────────────────────────────────────────────────────────────────────────────────────────────────────────

OWN = facts()
SEAL = a_seal(GENESIS, OWN, "t")
ALTERED = [replace(record, value=record.value + b" ") for record in OWN]
BAD_SEAL = a_seal(Head(tick=0, offset=-1, hash="1" * 64), OWN, "t")
FOREIGN = [*facts(try_name="other"), a_seal(GENESIS, facts(try_name="other"), "other")]
ODD = [replace(OWN[0], seq=seq, key=b"z", value=b"{}") for seq in (2, 8)]
OTHERS = [*OWN, SEAL, *ALTERED, BAD_SEAL, *FOREIGN, *ODD]


def read(records: list[RunRecord], cuts: list[int], own: OwnTry | None) -> tuple[list[AcceptedTick], Chain]:
    """A log, polled in parts, as a leader reads it that wrote `own`."""
    chain, accepted = Chain(own=own), []
    for begin, end in pairwise([0, *sorted({min(cut, len(records)) for cut in cuts}), len(records)]):
        polled, place = back(records[begin:end], begin), 0
        while place < len(polled):
            if taken := chain.take_own(polled, place):
                place += taken
                continue
            done = chain.read(polled[place])
            assert not isinstance(done, Undecodable)
            if done is not None:
                accepted.append(done)
            place += 1
    return accepted, chain


def what_counts(accepted: list[AcceptedTick], chain: Chain) -> object:
    return (
        [(tick.seal, [(record.seq, record.key, record.value) for record in tick.records], tick.offset) for tick in accepted],
        chain.head, chain.void_records, chain.void_seals,
        {name: {seq: record.value for seq, record in kept.items()} for name, kept in chain.tries.items() if kept},
    )  # fmt: skip


@given(st.lists(st.tuples(st.integers(0, 12), st.sampled_from(OTHERS)), max_size=7), st.lists(st.integers(0, 12), max_size=3))
@example([(1, BAD_SEAL), (2, ALTERED[1]), (4, OWN[0])], [])
@example([(0, ALTERED[1])], [2])
def test_the_writer_of_a_try_takes_any_log_as_every_reader_does(between: list[tuple[int, RunRecord]], cuts: list[int]) -> None:
    """Also where somebody writes under its try's id: records altered, repeated, missing, a seal that is refused."""
    records = [*OWN, SEAL]
    for place, record in between:
        records.insert(min(place, len(records)), record)
    assert what_counts(*read(records, cuts, own_try(OWN))) == what_counts(*read(records, cuts, None))
