"""What can be wrong with a strategy before it ever trades: it sees the future, forgets its past, draws lots, gives no numbers, or is slow.

Role: each check asks the strategy again about bars that it has seen, in other pieces, and compares. A finding names bar and value. Pure but
for the process that the strategy runs in.
"""

import itertools
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from autonomy.errors import BadInput
from autonomy.strategies import Value, canonical
from job_runner.engine.compiled import FloatArray
from job_runner.engine.programs import Axis
from job_runner.strategies.arrays import There, sent_bars
from job_runner.strategies.coded import CodedStrategy
from job_runner.strategies.frames import Array
from job_runner.strategies.guest import StrategyFailed

TOLERANCE: Final = 1e-12
"""Two rows that agree to this, relative to the larger, are the same row."""
CUTS: Final = 60
STARTS: Final = (1, 2, 4, 8, 16)
"""Multiples of the warm-up at which a later start is compared."""
DRAWN: Final = 50
DRAWN_SEED: Final = 1
SLOW_MS: Final = 200.0
"""A decision over these bars that takes longer makes a baseline of thousands of them last for minutes."""

Asked = Callable[[Mapping[str, Value], FloatArray, Axis], dict[str, Array]]


@dataclass(frozen=True, slots=True)
class Finding:
    """One check.

    Args:
        check: its name.
        passed: True; False for a fault; None for something to know.
        words: what was found, with bar and value.
        bar: where; None where it is about no bar.
    """

    check: str
    passed: bool | None
    words: str
    bar: int | None = None


def check_strategy(coded: CodedStrategy, rows: FloatArray, axis: Axis, seeded: Mapping[str, Asked]) -> tuple[Finding, ...]:
    """All checks of one strategy.

    Args:
        coded: the strategy.
        rows: float64 (n, BAR_SIZE), of a real market.
        axis: which bars they are.
        seeded: who decides, by name, in processes that differ in nothing but the seed of their hashes; at least two.
    """
    parameters = coded.check({})
    first, second = itertools.islice(seeded.values(), 2)
    try:
        whole = first(parameters, rows, axis)
    except StrategyFailed as fault:
        return (Finding("runs", passed=False, words=str(fault)),)
    findings = [Finding("runs", passed=True, words=f"{len(rows)} bars of {axis.symbol} with the default parameters")]
    steps: tuple[Callable[[], Iterator[Finding]], ...] = (
        lambda: look_ahead(first, parameters, rows, axis, whole),
        lambda: determinism(second, parameters, rows, axis, whole),
        lambda: recursion(coded, first, parameters, rows, axis, whole),
        lambda: corners(coded, first, rows, axis),
        lambda: speed(first, parameters, rows, axis),
    )
    for step in steps:
        try:
            findings += step()
        except StrategyFailed as fault:
            findings.append(Finding("runs", passed=False, words=str(fault)))
    return tuple(findings)


def look_ahead(
    asked: Asked, parameters: Mapping[str, Value], rows: FloatArray, axis: Axis, whole: Mapping[str, Array]
) -> Iterator[Finding]:
    """Cut the future off at many places and see whether an earlier row changes."""
    cuts = sorted({int(cut) for cut in np.linspace(1, len(rows), CUTS + 1)[:-1]})
    for cut in cuts:
        seen = asked(parameters, rows[:cut], axis)
        for name in sorted(set(seen) | set(whole)):
            if (found := difference(name, seen, {key: value[:cut] for key, value in whole.items()})) is not None:
                bar, words = found
                yield Finding(
                    "look-ahead", passed=False, words=f"{words} when only {cut} bars are known, another value when more are", bar=bar
                )
                return
    yield Finding("look-ahead", passed=True, words=f"the same rows at {len(cuts)} cuts")


def determinism(
    asked: Asked, parameters: Mapping[str, Value], rows: FloatArray, axis: Axis, whole: Mapping[str, Array]
) -> Iterator[Finding]:
    """Ask a process with another seed."""
    again = asked(parameters, rows, axis)
    for name in sorted(set(again) | set(whole)):
        if (found := difference(name, again, whole)) is not None:
            bar, words = found
            why = f"{words} in a second process, another value in the first: drawn by lot, or in a set's order"
            yield Finding("determinism", passed=False, words=why, bar=bar)
            return
    yield Finding("determinism", passed=True, words="the same rows in two processes with different seeds")


def recursion(
    coded: CodedStrategy, asked: Asked, parameters: Mapping[str, Value], rows: FloatArray, axis: Axis, whole: Mapping[str, Array]
) -> Iterator[Finding]:
    """Begin later and see from which bar on the rows are the same; a recursive mean remembers for longer than its length."""
    warm = max(coded.look_back(parameters), 1)
    held = np.flatnonzero(whole["exposure"][: warm - 1])
    if len(held):
        bar = int(held[0])
        yield Finding(
            "warm-up", passed=False, words=f"exposure {whole['exposure'][bar]:g} before the {warm} bars of its warm-up were seen", bar=bar
        )
    skipped = len(rows) // 3
    later = asked(parameters, np.ascontiguousarray(rows[skipped:]), Axis(axis.symbol, axis.timeframe, axis.times[skipped:]))
    expected = {name: array[skipped:] for name, array in whole.items()}
    for times in STARTS:
        begin = warm * times
        if begin >= len(rows) - skipped:
            break
        pairs = [
            difference(name, {key: value[begin:] for key, value in later.items()}, {key: value[begin:] for key, value in expected.items()})
            for name in sorted(set(later) | set(expected))
        ]
        if not any(pairs):
            known = f"{begin} bars, {times} times its warm-up" if times > 1 else f"its warm-up of {warm} bars"
            yield Finding("recursion", passed=True if times == 1 else None, words=f"rows do not depend on the start any more after {known}")
            return
    yield Finding(
        "recursion", passed=None, words="rows depend on where the bars begin, however long ago that is: a session is handed all bars"
    )


def corners(coded: CodedStrategy, asked: Asked, rows: FloatArray, axis: Axis) -> Iterator[Finding]:
    """Every number at both ends of its range, every word: searches and neighbours go there."""
    tried: dict[str, dict[str, Value]] = {}
    for document in _documents(coded):
        try:
            parameters = coded.check(document)
        except BadInput:
            continue  # its own rules forbid it: no search goes there
        tried[canonical(parameters)] = parameters
    for said, parameters in tried.items():
        try:
            asked(parameters, rows, axis)
        except StrategyFailed as fault:
            yield Finding("range", passed=False, words=f"with {said}: {fault}")
            return
    yield Finding("range", passed=True, words=f"numbers with {len(tried)} sets of parameters, at the ends of their ranges and between")


def _documents(coded: CodedStrategy) -> Iterator[dict[str, Value]]:
    """Parameter documents with each number at its ends and each word once, and some drawn from the whole space; not all are allowed."""
    numbers, choices = coded.offer.numbers, coded.offer.choices
    for place in range(2 ** min(len(numbers), 6)):
        yield {number.name: number.high if place >> bit & 1 else number.low for bit, number in enumerate(numbers)}
    for number in numbers:
        yield {number.name: number.low}
        yield {number.name: number.high}
    for choice in choices:
        for word in choice.allowed:
            yield {choice.name: word}
    random = np.random.default_rng(DRAWN_SEED)
    for _ in range(DRAWN):
        drawn = {number.name: float(random.uniform(number.low, number.high)) for number in numbers}
        whole = {number.name: round(drawn[number.name]) for number in numbers if number.kind == "int"}
        yield {**drawn, **whole, **{choice.name: str(random.choice(choice.allowed)) for choice in choices}}


def speed(asked: Asked, parameters: Mapping[str, Value], rows: FloatArray, axis: Axis) -> Iterator[Finding]:
    """How long one decision over all bars takes; the best of three."""
    took_s = []
    for _ in range(3):
        begun_s = time.perf_counter()
        asked(parameters, rows.copy(), axis)
        took_s.append(time.perf_counter() - begun_s)
    ms = min(took_s) * 1000
    words = f"{ms:.1f} ms for {len(rows)} bars, {len(rows) / max(ms, 1e-6) / 1000:.2f} million bars a second"
    yield Finding("speed", passed=True if ms <= SLOW_MS else None, words=words)


def difference(name: str, seen: Mapping[str, Array], expected: Mapping[str, Array]) -> tuple[int, str] | None:
    """The first row in which two arrays of a plan differ, in words; None when they are the same."""
    one, other = seen.get(name), expected.get(name)
    if one is None or other is None:
        return 0, f"{name} is {'missing' if one is None else 'there'}"
    same = (one == other) | (np.isnan(one) & np.isnan(other)) | (np.abs(one - other) <= TOLERANCE * np.maximum(np.abs(one), np.abs(other)))
    if same.all():
        return None
    bar = int((~same).argmax())
    return bar, f"{name} of bar {bar} is {one[bar]:g}"


def asked_of(there: There) -> Asked:
    """Ask a process with somebody's code."""
    return lambda parameters, rows, axis: there.decide(parameters, sent_bars(axis, rows), len(rows))
