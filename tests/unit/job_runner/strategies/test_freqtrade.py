"""Files for freqtrade without freqtrade: what is mapped to what, and what is refused by name, with file and line, before anything runs.

That the trades are freqtrade's own shows `test_freqtrade_trades`, beside the real program.

Source: R-G3; docs/own-bots.md, "From freqtrade".
"""

import itertools
from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from autonomy.adapters.freqtrade import SIGNALS, OwnPair, exits_of, frame_of, name_of, parameter_of, plan_of, set_value
from autonomy.adapters.freqtrade_source import NotMapped, asked_of, refused_values
from autonomy.strategy import Bars, Choice, Float, Int
from autonomy_cli.main import build_app
from job_runner.engine.plan_simulation import simulate_plan
from job_runner.engine.plans import ExitRules, Plan, Switches, Terms
from job_runner.engine.programs import Axis
from job_runner.strategies.folder import StrategyFolders, _path_of
from job_runner.strategies.freqtrade_files import ADAPTER, TO_INSTALL
from job_runner.strategies.guest import StrategyFailed
from job_runner.trying.comparison import FREQTRADE, notes_of, tick_of
from job_runner.trying.files import strategies_in
from support.freqtrade_strategies import GOOD, written

without_freqtrade = pytest.mark.skipif(find_spec("freqtrade") is not None, reason="freqtrade is installed here")
STOP = "stoploss = -0.1"


def method(name: str) -> str:
    return f"def {name}(self, **kwargs):\n    return None"


REFUSED: dict[str, tuple[str, str, int]] = {
    **{
        name: (written("Bad", "", STOP, more=method(name)), name, 27)
        for name in (
            "custom_stoploss", "custom_roi", "custom_exit", "custom_stake_amount", "custom_entry_price", "custom_exit_price", "leverage",
            "adjust_trade_position", "adjust_entry_price", "adjust_exit_price", "adjust_order_price", "confirm_trade_entry",
            "confirm_trade_exit", "check_entry_timeout", "check_exit_timeout", "order_filled", "bot_loop_start", "populate_buy_trend",
            "populate_sell_trend", "feature_engineering_standard", "set_freqai_targets", "protections",
        )
    },
    **{
        name: (written("Bad", "", f"{STOP}\n{name} = {value}"), name, 10)
        for name, value in {
            "use_custom_stoploss": "True", "use_custom_roi": "True", "position_adjustment_enable": "True", "exit_profit_only": "True",
            "ignore_roi_if_entry_signal": "True", "ignore_buying_expired_candle_after": "300", "minimal_roi": '{"0": 0.1, "60": -1}',
            "order_types": '{"entry": "limit", "exit": "limit", "stoploss": "market", "stoploss_on_exchange": True}',
            "order_time_in_force": '{"entry": "FOK", "exit": "GTC"}', "startup_candle_count": "-1",
        }.items()
    },
    "stoploss": (written("Bad", "", "stoploss = 0.1"), "stoploss", 9),
    "two distances": (
        written("Bad", "", f"{STOP}\ntrailing_stop = True\ntrailing_stop_positive = 0.01"), "trailing_stop_positive", 11
    ),
    "an older interface": (GOOD["RoiTable"].replace("INTERFACE_VERSION = 3", "INTERFACE_VERSION = 2"), "INTERFACE_VERSION", 7),
    "another pair": (
        GOOD["HigherFilter"].replace('@informative("4h")', '@informative("4h", "ETH/{stake}")'), "informative pair ETH/{stake}", 28
    ),
    "the order book": (written("Bad", "", STOP, "self.dp.orderbook(metadata['pair'], 1)"), "self.dp.orderbook", 12),
    "the account": (written("Bad", "", STOP, "self.wallets.get_total('USDT')"), "self.wallets", 12),
    "its trades": (written("Bad", "", STOP, "Trade.get_open_trades()", imports="IStrategy, Trade"), "Trade.get_open_trades", 12),
    "FreqAI": (written("Bad", "", STOP, "dataframe = self.freqai.start(dataframe, metadata, self)"), "self.freqai", 12),
    "a pair lock": (written("Bad", "", STOP, "self.lock_pair(metadata['pair'], None)"), "self.lock_pair", 12),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_not_mapped_is_refused_by_name_with_its_line_before_anything_runs(name: str, tmp_path: Path) -> None:
    text, feature, line = REFUSED[name]
    file = tmp_path / "bad.py"
    file.write_text(f"{text}\n\nopen({str(tmp_path / 'ran')!r}, 'w')\n")
    with pytest.raises(StrategyFailed, match=r"^bad\.py:\d+: freqtrade's .* is not mapped") as refused, strategies_in(file):
        pass
    assert f"freqtrade's {feature} is not mapped: " in refused.value.words
    assert (refused.value.file, refused.value.line) == ("bad.py", line)
    assert not (tmp_path / "ran").exists()


def test_all_that_is_refused_of_a_file_is_named_at_once(tmp_path: Path) -> None:
    file = tmp_path / "bad.py"
    file.write_text(written("Bad", "", STOP, more=method("leverage") + "\n\n" + method("custom_exit")))
    with (
        pytest.raises(StrategyFailed, match=r"leverage is not mapped: exposure is at most 1; nor custom_exit \(line 30\)"),
        strategies_in(file),
    ):
        pass


@pytest.mark.parametrize("name", GOOD)
def test_what_is_mapped_is_not_refused(name: str) -> None:
    """Negative control."""
    asked = asked_of({"good.py": GOOD[name].encode()})
    assert asked is not None
    assert (asked.file, asked.line, asked.refusals) == ("good.py", 1, ())


def test_a_helper_beside_the_file_is_read_too_and_other_files_are_left_alone() -> None:
    asked = asked_of({"a.py": b"from b import Base\nclass A(Base): pass", "b.py": REFUSED["leverage"][0].encode()})
    assert asked is not None
    assert [(refusal.file, refusal.name) for refusal in asked.refusals] == [("b.py", "leverage")]
    assert asked_of({"a.py": b"import numpy"}) is None
    assert asked_of({"a.py": b"import freqtrade\nfrom autonomy.adapters.freqtrade import adapted"}) is None


@without_freqtrade
def test_where_freqtrade_is_not_installed_the_file_says_what_to_install(tmp_path: Path) -> None:
    folder = tmp_path / "strategies"
    folder.mkdir()
    (folder / "roi.py").write_text(GOOD["RoiTable"])
    looked = StrategyFolders((folder,), tmp_path / "copies")
    looked.look()
    looked.look()
    (fault,) = [each for each in looked.found.faults if each.file == "roi.py"]
    assert (fault.line, fault.reason) == (1, TO_INSTALL)
    assert "pip install freqtrade" in fault.reason
    done = CliRunner().invoke(build_app(), ["strategy", "check", str(folder / "roi.py")])
    assert done.exit_code == 1
    assert f"roi.py:1: {TO_INSTALL}" in " ".join(done.output.split())


def test_stops_targets_and_trailing_become_exit_rules() -> None:
    rules = exits_of({"stoploss": -0.1, "minimal_roi": {"0": 0.04, 30: 0.02}})
    assert (rules.stop_loss, rules.take_profit_after, rules.trailing, rules.trailing_offset) == (0.1, {0.0: 0.04, 30.0: 0.02}, None, 0.0)
    plain = exits_of({"stoploss": -0.03, "trailing_stop": True, "trailing_stop_positive_offset": 0.5})
    assert (plain.trailing, plain.trailing_offset) == (0.03, 0.0)
    later = exits_of({
        "stoploss": -0.03, "trailing_stop": True, "trailing_stop_positive": 0.01, "trailing_stop_positive_offset": 0.02,
        "trailing_only_offset_is_reached": True,
    })  # fmt: skip
    assert (later.stop_loss, later.trailing, later.trailing_offset) == (0.03, 0.01, 0.02)
    with pytest.raises(NotMapped, match="stoploss is missing"):
        exits_of({})
    with pytest.raises(NotMapped, match="use_custom_stoploss is not mapped"):
        exits_of({"stoploss": -0.1, "use_custom_stoploss": True})
    assert not [
        *refused_values({"stoploss": -0.99, "order_types": {"entry": "limit", "stoploss": "market", "stoploss_on_exchange": False}})
    ]


def next_of(state: int, signals: dict[str, bool], *, can_short: bool, use_exit: bool) -> int:
    """What freqtrade holds after the next open, from its documentation: -1, 0 or 1, by what it holds now."""
    short_side = {name: value and can_short for name, value in signals.items() if name.endswith("short")}
    enter = 0
    if signals["enter_long"] and not signals["exit_long"] and not short_side["enter_short"]:
        enter = 1
    elif short_side["enter_short"] and not short_side["exit_short"] and not signals["enter_long"]:
        enter = -1
    if state == 0:
        return enter
    leave, again = (signals["exit_long"], signals["enter_long"]) if state > 0 else (short_side["exit_short"], short_side["enter_short"])
    if not (use_exit and leave and not again):
        return state
    return enter if enter == -state else 0


@pytest.mark.parametrize("can_short", [True, False])
@pytest.mark.parametrize("use_exit", [True, False])
def test_every_combination_of_signals_in_every_position_is_as_documented(can_short: bool, use_exit: bool) -> None:
    for values in itertools.product([False, True], repeat=4):
        signals = dict(zip(SIGNALS, values, strict=True))
        columns = {name: np.array([value]) for name, value in signals.items()}
        plan = plan_of(columns, can_short=can_short, use_exit_signal=use_exit, startup=0)
        wanted, stays = float(np.asarray(plan.exposure)[0]), int(np.asarray(plan.stays)[0])
        for state in (-1, 0, 1) if can_short else (0, 1):
            kept = (state > 0 and stays & 1) or (state < 0 and stays & 2)
            assert (state if kept else wanted) == next_of(state, signals, can_short=can_short, use_exit=use_exit), (signals, state)


def test_signals_over_bars_give_the_positions_of_a_plain_loop() -> None:
    """By the engine: without stops nothing but signals moves a position."""
    numbers = np.random.default_rng(5)
    columns = {name: numbers.random(3000) < 0.1 for name in SIGNALS}
    given = plan_of(columns, can_short=True, use_exit_signal=True, startup=100)
    plan = Plan(np.asarray(given.exposure), stays=np.asarray(given.stays, dtype=np.float64))
    rows = np.full((3000, 5), 100.0)
    found = simulate_plan(plan, ExitRules(reentry="at_once"), Terms(), rows, 1000.0)
    state, expected = 0, []
    for bar in range(3000):
        signals = {name: bool(column[bar]) and bar >= 100 for name, column in columns.items()}
        state = next_of(state, signals, can_short=True, use_exit=True)
        expected.append(float(state))
    assert found.wanted.tolist() == expected
    assert set(expected) == {-1.0, 0.0, 1.0}


def of_kind(kind: str, **values: Any) -> Any:
    """What has the name and the values of a parameter of freqtrade."""
    return type(kind, (), {"space": "buy", "optimize": True, **values})()


@dataclass
class Held:
    value: Any
    opt_range: tuple[Any, ...] = ()


def test_parameters_that_may_be_varied_are_offered_and_set() -> None:
    assert parameter_of("a", of_kind("IntParameter", value=5, low=1, high=9)) == Int(5, 1, 9, "", "of the space buy")
    assert parameter_of("a", of_kind("DecimalParameter", value=0.5, low=0.1, high=0.9)) == Float(0.5, 0.1, 0.9, "", "of the space buy")
    assert parameter_of("a", of_kind("BooleanParameter", value=True, opt_range=[True, False])) == Choice(
        "true", ("true", "false"), "of the space buy"
    )
    assert parameter_of("a", of_kind("IntParameter", value=5, low=1, high=9, optimize=False)) is None
    for bad in (of_kind("CategoricalParameter", value=0, opt_range=range(21)), of_kind("SomethingElse", value=0)):
        with pytest.raises(NotMapped, match=r"^length is not mapped: "):
            parameter_of("length", bad)
    yes = Held(False, (True, False))
    set_value(yes, "true")
    few = Held(3, (3, 5))
    set_value(few, "5")
    number = Held(0)
    set_value(number, 0.25)
    assert (yes.value, few.value, number.value) == (True, 5, 0.25)


def hours(count: int) -> Bars:
    price = np.linspace(100.0, 200.0, count)
    return Bars("BTC/USDT", "1h", np.arange(count, dtype=np.int64) * 3_600_000, price, price + 1, price - 1, price, np.ones(count))


def test_its_data_provider_hands_out_ended_bars_of_the_own_pair_alone() -> None:
    provider = OwnPair(hours(10))
    frame = provider.get_pair_dataframe("BTC/USDT", "4h")
    assert list(frame.columns) == ["date", "open", "high", "low", "close", "volume"]
    assert str(frame["date"].dtype) == "datetime64[ms, UTC]"
    assert frame["close"].tolist() == [hours(10).close[3], hours(10).close[7]]  # the third four hours have not ended
    assert len(frame_of(hours(10))) == len(provider.ohlcv("BTC/USDT", "1h")) == 10
    assert provider.market("BTC/USDT:USDT") == {"symbol": "BTC/USDT:USDT", "base": "BTC", "quote": "USDT"}
    asked: tuple[tuple[Callable[[], Any], str], ...] = (
        (lambda: provider.get_pair_dataframe("ETH/USDT", "4h"), "informative pair ETH/USDT is not mapped"),
        (lambda: provider.get_pair_dataframe("BTC/USDT", "5m"), "informative timeframe 5m is not mapped"),
        (lambda: provider.get_pair_dataframe("BTC/USDT", "4h", "mark"), "candle_type mark is not mapped"),
        (lambda: provider.ticker("BTC/USDT"), "dp.ticker is not mapped"),
    )
    for ask, words in asked:
        with pytest.raises(NotMapped, match=words):
            ask()


def test_its_evidence_hangs_on_the_adapter_and_on_the_versions_of_freqtrade_and_pandas(tmp_path: Path) -> None:
    (tmp_path / "good.py").write_text(GOOD["RoiTable"])
    (tmp_path / "good_adapted.py").write_text(ADAPTER.format(module="good"))
    found = _path_of(tmp_path / "good_adapted.py")
    assert {"autonomy.adapters.freqtrade", "autonomy.adapters.freqtrade_source"} <= {name for name, _ in found.sources}
    assert {"freqtrade", "pandas"} <= {name for name, _ in found.packages}
    (tmp_path / "other.py").write_text("import numpy")
    other = _path_of(tmp_path / "other.py")
    assert not {"freqtrade", "pandas"} & {name for name, _ in other.packages}  # negative control: nobody else's does
    assert "autonomy.adapters.freqtrade" not in {name for name, _ in other.sources}


def test_a_turn_inside_the_bar_of_a_stop_is_told_since_freqtrade_would_make_it() -> None:
    """A long is stopped in the bar whose order, by the close before, is a short that the held long had kept from being made."""
    rows = np.array([[100.0, 101.0, 99.0, 100.0, 1.0]] * 3 + [[100.0, 101.0, 90.0, 95.0, 1.0]] * 2)
    decided = np.full((5, 5), np.nan)
    decided[:, 0], decided[:, 4] = [0.0, 1.0, -1.0, 0.0, 0.0], 3.0
    found = simulate_plan(
        Plan(decided[:, 0].copy(), stays=decided[:, 4].copy()), ExitRules(stop_loss=0.05), Terms(), rows, 1000.0, switches=FREQTRADE
    )
    axis = Axis("BTC/USDT", "1h", np.array([0, 1, 2, 3, 5], dtype=np.int64) * 3_600_000)
    missing, turned = notes_of(found, decided, axis)
    assert missing.startswith("1 bars are missing")
    assert turned.startswith("1 stops or targets in a bar whose order was an entry of the other side")
    decided[2, 0] = 0.0
    assert not notes_of(found, decided, Axis("BTC/USDT", "1h", np.arange(5, dtype=np.int64) * 3_600_000))


def test_names_and_steps() -> None:
    names = [name_of(each) for each in ("EmaCross", "RSIStrategy", "Strategy001", "my_Own_v2")]
    assert names == ["ema-cross", "rsi-strategy", "strategy001", "my-own-v2"]
    assert tick_of(np.array([[100.25, 101.5, 99.0, 100.0, 7.123]])) == pytest.approx(0.01)
    assert tick_of(np.array([[100.0, 101.0, 99.0, 100.0, 7.123]])) == 1.0


def test_a_switch_left_out_gives_other_trades() -> None:
    """Negative control: each habit of freqtrade that the comparison names changes what comes out."""
    numbers = np.random.default_rng(3)
    close = np.round(100.0 * np.exp(np.cumsum(numbers.normal(0.0, 0.01, 2000))), 2)
    open_ = np.round(np.concatenate([[100.0], close[:-1]]) * np.exp(numbers.normal(0.0, 0.01, 2000)), 2)
    high, low = np.round(np.maximum(open_, close) * 1.005, 2), np.round(np.minimum(open_, close) * 0.995, 2)
    rows = np.ascontiguousarray(np.stack([open_, high, low, close, np.ones(2000)], axis=1))
    rules = ExitRules(stop_loss=0.03, take_profit_after={0: 0.03, 240: 0.01}, trailing=0.02, reentry="at_once")
    times = np.arange(2000, dtype=np.int64) * 3_600_000

    def trades(switches: Switches, rules: ExitRules = rules) -> list[list[float]]:
        found: list[list[float]] = simulate_plan(
            Plan(np.ones(2000)), rules, Terms(taker_bps=10.0, tick=0.01), rows, 10_000.0, times_ms=times, switches=switches
        ).trades.tolist()
        return found

    whole, plain = trades(FREQTRADE), Switches()
    for name in ("gap_stop", "gap_target", "target_net_of_fees", "trail_own_bar", "fee_reserved"):
        assert trades(replace(FREQTRADE, **{name: getattr(plain, name)})) != whole, name
    held = [len(trades(switches, ExitRules())) for switches in (FREQTRADE, replace(FREQTRADE, end="mark"))]
    assert held == [1, 0]
