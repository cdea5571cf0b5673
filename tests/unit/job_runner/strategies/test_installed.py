"""Strategies of installed packages: what is announced is what the code declares, and each decides the same in every way it is run."""

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autonomy.errors import BadInput
from autonomy.strategy import Bars, declaration_of
from job_runner.engine import code_path
from job_runner.engine.account import Costs
from job_runner.engine.compiled import Bar, FloatArray, SmallIntArray
from job_runner.engine.programs import StepProgram, daily_axis
from job_runner.engine.running import run, simulate_plain
from job_runner.strategies import coded
from job_runner.strategies.coded import CodedStrategy, Found, Installed, by_name, class_of, installed
from job_runner.strategies.guest import StrategyFailed
from job_runner.strategies.host import COLUMNS
from job_runner.strategies.stepping import decide_by_steps
from support import offers
from support.research import some_rows
from support.strategies import LONG_SHORT, strategy_names

SHORT: dict[str, dict[str, object]] = {
    "sma-cross": {"fast": 2, "slow": 5},
    "macd": {"fast": 2, "slow": 5, "signal": 2},
    "rsi-reversion": {"period": 2, "lower": 45, "upper": 55},
    "bollinger-reversion": {"period": 3, "width": 0.5},
    "donchian-breakout": {"entry": 5, "exit": 2},
    "ts-momentum": {"window": 3, "threshold": 0.5},
}
BARS = 80
AXIS = daily_axis("AAPL", range(BARS))


def written() -> dict[str, object]:
    """The file of offers, as it stands."""
    found: dict[str, object] = json.loads(offers.FILE.read_text(encoding="utf-8"))
    return found


def declared() -> dict[str, object]:
    """The same from the code."""
    return {
        name: found.offer.model_dump(mode="json", by_alias=True, exclude={"code_hash"}) for name, found in installed().strategies.items()
    }


def test_the_file_of_offers_says_what_the_code_declares() -> None:
    assert installed().faults == ()
    assert written() == declared(), "PYTHONPATH=tests python -m support.offers writes it anew"


def test_the_file_of_offers_holds_another_version_and_another_limit_apart() -> None:
    """Negative control: what differs in one place only is told."""
    for change in ({"version": 2}, {"idea": "Trades."}, {"warm_up_bars": 7}, {"numbers": ()}):
        found = by_name("sma-cross").offer.model_copy(update=change)
        assert found.model_dump(mode="json", by_alias=True, exclude={"code_hash"}) != written()["sma-cross"], change


def test_what_is_announced_is_named_by_its_class_and_has_a_hash_of_its_own() -> None:
    assert set(strategy_names()) == set(SHORT)
    for name, found in installed().strategies.items():
        assert found.offer.name == name
        assert isinstance(found.code, Installed)
        strategy = class_of(found.code.module, found.code.class_name)
        assert declaration_of(strategy).items() >= {"name": name, "version": found.offer.version, "form": "step"}.items()
        assert not found.offer.jailed
    assert len({found.offer.code_hash for found in installed().strategies.values()}) == len(SHORT)


def test_one_that_is_not_installed_is_refused() -> None:
    with pytest.raises(BadInput, match="one that is installed here") as refusal:
        by_name("os.system")
    assert refusal.value.field == "strategy"


def plain_step(found: CodedStrategy) -> tuple[Callable[[FloatArray, Bar, FloatArray], int], Callable[[FloatArray], int]]:
    """A strategy's step as it is written, uncompiled, and how much state it needs."""
    assert isinstance(found.code, Installed)
    strategy = class_of(found.code.module, found.code.class_name)
    assert strategy.step is not None
    assert strategy.state_size is not None
    return strategy.step.py_func, strategy.state_size  # type: ignore[attr-defined]


def stepping(found: CodedStrategy, parameters: dict[str, object]) -> StepProgram:
    """An installed strategy, ready to decide bar by bar."""
    program = found.program(parameters, AXIS)
    assert isinstance(program, StepProgram)
    return program


def by_hand(found: CodedStrategy, parameters: dict[str, object], rows: FloatArray) -> SmallIntArray:
    """Its step called for one bar after the other, by the interpreter."""
    step, state_size = plain_step(found)
    params = found.vector(found.check(parameters))
    state = np.zeros(state_size(params))
    return np.array([step(state, Bar(*row), params) for row in rows.tolist()], dtype=np.int8)


@pytest.mark.parametrize("strategy", strategy_names())
@settings(max_examples=15, deadline=None)
@given(data=st.data())
def test_the_loop_is_the_step_bar_by_bar(strategy: str, data: st.DataObject) -> None:
    rows = some_rows(data.draw(st.integers(1, BARS)), data.draw(st.integers(0, 2**32)), data.draw(st.sampled_from([0.0, 0.01, 0.3])))
    parameters = {**data.draw(st.sampled_from([{}, SHORT[strategy]])), "direction": data.draw(st.sampled_from(["long", LONG_SHORT]))}
    found = by_name(strategy)
    program = stepping(found, parameters)
    expected = by_hand(found, parameters, rows)
    assert program.decided(rows).tolist() == expected.tolist()
    one_by_one, in_pieces = program.begin(), program.begin()
    assert [one_by_one.observe(row[np.newaxis]) for row in rows] == expected.tolist()
    cuts = sorted({*data.draw(st.frozensets(st.integers(1, len(rows)), max_size=4)), len(rows)})
    for begin, end in zip([0, *cuts], cuts, strict=False):
        assert in_pieces.observe(rows[begin:end]) == expected[end - 1]
        assert begin == end or in_pieces.state == stepped(found, parameters, rows[:end])


def stepped(found: CodedStrategy, parameters: dict[str, object], rows: FloatArray) -> tuple[float, ...]:
    """What its decider remembers after these rows one by one."""
    decider = stepping(found, parameters).begin()
    for row in rows:
        decider.observe(row[np.newaxis])
    return decider.state


@pytest.mark.parametrize("strategy", strategy_names())
def test_another_strategys_step_or_a_bar_too_few_would_show(strategy: str) -> None:
    """Negative control: on these bars every other step, and the same one begun a bar later, decides otherwise."""
    rows = some_rows(BARS, 3)
    parameters = {**SHORT[strategy], "direction": LONG_SHORT}
    found = stepping(by_name(strategy), parameters).decided(rows)
    assert set(found.tolist()) >= {-1, 1}
    for other in set(strategy_names()) - {strategy}:
        assert by_hand(by_name(other), {**SHORT[other], "direction": LONG_SHORT}, rows).tolist() != found.tolist(), other
    assert by_hand(by_name(strategy), parameters, rows[1:]).tolist() != found.tolist()[1:]


def test_each_has_loops_of_its_own_and_shares_them_with_itself() -> None:
    """A compiled loop holds the step that it was made around: two strategies with one loop would both trade as the first."""
    programs = {name: stepping(by_name(name), {}) for name in strategy_names()}
    assert len({id(one.loop) for one in programs.values()}) == len({id(one.one) for one in programs.values()}) == len(SHORT)
    again = stepping(by_name("macd"), {"fast": 3})
    assert again.loop is programs["macd"].loop
    assert again.one is programs["macd"].one


@pytest.mark.parametrize("strategy", ["sma-cross", "ts-momentum"])
def test_the_step_of_a_file_is_run_as_that_of_a_package(strategy: str) -> None:
    rows, found = some_rows(BARS, 3), by_name(strategy)
    assert isinstance(found.code, Installed)
    parameters = {**SHORT[strategy], "direction": LONG_SHORT}
    columns = {name: np.ascontiguousarray(rows[:, place]) for place, name in enumerate(COLUMNS)}
    plan = decide_by_steps(class_of(found.code.module, found.code.class_name), parameters, Bars("AAPL", "1d", AXIS.times, **columns))
    assert np.asarray(plan.exposure).tolist() == stepping(found, parameters).decided(rows).tolist()


STEP = """
from autonomy.strategy import Int, Strategy

def step(state, bar, parameters):
    state[0] += 1.0
    return 1 if bar.close > bar.open and state[0] >= parameters[0] else 0

class Step(Strategy):
    \"\"\"Long after a bar that rose.\"\"\"
    name, version = "a-step", 3
    wait = Int(2, 1, 50, "bars", "bars at first")
    step, state_size = staticmethod(step), staticmethod(lambda parameters: 1)
"""
ARRAYS = """
from autonomy.strategy import Plan, Strategy

class Rising(Strategy):
    \"\"\"Long after a bar that rose.\"\"\"
    name = "rising"

    def decide(self, bars):
        return Plan(exposure=(bars.close > bars.open).astype(float))

class Repainting(Strategy):
    \"\"\"Long where the close is above the mean of all bars.\"\"\"
    name = "repainting"

    def decide(self, bars):
        return Plan(exposure=(bars.close > bars.close.mean()).astype(float))

class Odd(Strategy):
    name = "odd"

    def decide(self, bars):
        return Plan(exposure=bars.close * float('nan'))
"""


Package = Callable[[dict[str, str], dict[str, str]], Found]


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Package]:
    """Install a package `theirs`: its modules, and its entry points; what a process that starts now finds."""

    def put(modules: dict[str, str], points: dict[str, str]) -> Found:
        (tmp_path / "theirs").mkdir()
        for name, text in {"__init__": "", **modules}.items():
            (tmp_path / "theirs" / f"{name}.py").write_text(text)
        about = tmp_path / "somebody-1.2.dist-info"
        about.mkdir(exist_ok=True)
        (about / "METADATA").write_text("Metadata-Version: 2.1\nName: somebody\nVersion: 1.2\n")
        lines = [f"{name} = {value}" for name, value in points.items()]
        (about / "entry_points.txt").write_text("\n".join([f"[{coded.GROUP}]", *lines, ""]))
        monkeypatch.syspath_prepend(tmp_path)
        return installed.__wrapped__()

    yield put
    for name in [name for name in sys.modules if name.split(".")[0] in {"theirs", "their_only_module"}]:
        del sys.modules[name]
    code_path.installed.cache_clear()


def test_strategies_of_another_package_are_found_and_say_where_they_come_from(package: Package) -> None:
    found = package({"arrays": ARRAYS}, {"rising": "theirs.arrays:Rising"})
    assert found.faults == ()
    assert set(found.strategies) == {*SHORT, "rising"}
    offer = found.strategies["rising"].offer
    assert (offer.origin, offer.form, offer.version, offer.title) == ("somebody 1.2", "decide", 1, "Rising")
    assert offer.idea == "Long after a bar that rose."


@pytest.mark.parametrize(("name", "form"), [("rising", "decide"), ("a-step", "step")])
def test_a_strategy_of_another_package_decides_over_all_bars_as_bar_by_bar(name: str, form: str, package: Package) -> None:
    points = {"rising": "theirs.arrays:Rising", "a-step": "theirs.steps:Step"}
    found = package({"arrays": ARRAYS, "steps": STEP}, points).strategies[name]
    assert found.offer.form == form
    rows = some_rows(40, 3)
    rose = rows[:, 3] > rows[:, 0]
    program = found.program({}, AXIS)
    whole, single = (ran(program, rows, Costs(10, 5), 1e5) for ran in (run, simulate_plain))
    expected = rose & (np.arange(40) >= (1 if form == "step" else 0))
    assert 5 < expected.sum() < 35
    assert whole.targets.tolist() == single.targets.tolist() == expected.astype(int).tolist()
    assert whole.equity.tolist() == single.equity.tolist()


@pytest.mark.parametrize(("name", "words"), [("repainting", "REPAINTED"), ("odd", "exposure of bar 0 is nan: it must be a finite number")])
def test_what_a_strategy_of_another_package_must_not_do_is_its_own_fault(name: str, words: str, package: Package) -> None:
    found = package({"arrays": ARRAYS}, {"rp": "theirs.arrays:Repainting", "odd": "theirs.arrays:Odd"}).strategies[name]
    with pytest.raises(StrategyFailed, match=words):
        simulate_plain(found.program({}, AXIS), some_rows(40, 3), Costs(10, 5), 1e5)


def test_a_package_may_be_a_single_module(tmp_path: Path, package: Package) -> None:
    (tmp_path / "their_only_module.py").write_text(ARRAYS)
    found = package({}, {"rising": "their_only_module:Rising"})
    assert found.faults == ()
    assert "rising" in found.strategies


FAULTS: dict[str, tuple[str, str, str]] = {
    "no module": ("nowhere_at_all:Own", "", "ModuleNotFoundError: No module named 'nowhere_at_all'"),
    "no class": ("theirs.fault:Missing", "", "BadInput: strategy: a subclass of autonomy.strategy.Strategy"),
    "no strategy": ("theirs.fault:Own", "Own = 7", "BadInput: strategy: a subclass of autonomy.strategy.Strategy"),
    "no class in it": ("theirs.fault", "", "ValueError"),
    "a fault at import": ("theirs.fault:Own", "raise RuntimeError('no licence')", "RuntimeError: no licence"),
    "a syntax error": ("theirs.fault:Own", "def", "SyntaxError"),
    "no name": ("theirs.fault:Own", "class Own(Strategy): pass", "BadInput: name"),
    "a name with a space": ("theirs.fault:Own", "class Own(Strategy): name = 'two words'", "BadInput: name"),
    "a default out of its limits": ("theirs.fault:Own", "class Own(Strategy):\n    name, n = 'own', Int(9, 1, 5)", "BadInput: numbers.0"),
    "an order of what is none": (
        "theirs.fault:Own", "class Own(Strategy):\n    name, orderings = 'own', (('a', 'b'),)", "orderings and warm-up are about numbers",
    ),
    "a taken name": ("theirs.fault:Own", "class Own(Strategy): name = 'sma-cross'", "BadInput: name: one that no other strategy has"),
}  # fmt: skip


@pytest.mark.parametrize("case", FAULTS)
def test_a_broken_entry_point_is_a_named_fault_and_takes_only_itself_out(case: str, package: Package) -> None:
    value, text, words = FAULTS[case]
    module = f"from autonomy.strategy import Int, Strategy\n{text}\n"
    found = package({"fault": module, "arrays": ARRAYS}, {"zz-broken": value, "rising": "theirs.arrays:Rising"})
    (fault,) = found.faults
    assert fault.file == f"{coded.GROUP}: zz-broken"
    assert words in fault.reason
    assert not fault.in_use
    assert set(found.strategies) == {*SHORT, "rising"}, "the others, of this package too, are there"
    assert {name: found.strategies[name].offer for name in SHORT} == {name: by_name(name).offer for name in SHORT}
