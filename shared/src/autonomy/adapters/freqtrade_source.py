"""What a file for freqtrade asks for that is not mapped, told from its text alone: before anything of it runs, with file and line.

Role: read by the runner, which never runs such a file itself, and again by the adapter on the classes as they are, since a base class or a
computed value shows only there. Needs neither freqtrade nor pandas.

Source: docs/own-bots.md, "From freqtrade".
"""

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

CALLBACKS: Final[Mapping[str, str]] = {
    "custom_stoploss": "a stop that is asked for in each bar; stoploss and trailing_stop are mapped",
    "custom_roi": "a target that is asked for in each bar; minimal_roi is mapped",
    "custom_exit": "an exit that is asked for in each bar; exit_long and exit_short are mapped",
    "custom_sell": "an exit that is asked for in each bar; exit_long and exit_short are mapped",
    "custom_stake_amount": "sizes are the platform's",
    "custom_entry_price": "entries are at the open",
    "custom_exit_price": "exits by a signal are at the open",
    "adjust_trade_position": "a position is entered once and left once",
    "adjust_entry_price": "an entry is filled at the open or not at all",
    "adjust_exit_price": "an exit is filled at the open",
    "adjust_order_price": "an order is filled at the open or not at all",
    "leverage": "exposure is at most 1",
    "confirm_trade_entry": "decisions are made at a close, not when an order is sent",
    "confirm_trade_exit": "decisions are made at a close, not when an order is sent",
    "check_entry_timeout": "no order waits",
    "check_exit_timeout": "no order waits",
    "check_buy_timeout": "no order waits",
    "check_sell_timeout": "no order waits",
    "order_filled": "a strategy does not see its fills",
    "bot_loop_start": "a decision is made from bars alone",
    "populate_buy_trend": "the interface before version 3; write populate_entry_trend",
    "populate_sell_trend": "the interface before version 3; write populate_exit_trend",
    "populate_any_indicators": "FreqAI",
    "feature_engineering_expand_all": "FreqAI",
    "feature_engineering_expand_basic": "FreqAI",
    "feature_engineering_standard": "FreqAI",
    "set_freqai_targets": "FreqAI",
    "protections": "entries that are forbidden after losses",
}
"""Methods that freqtrade calls while a position or an order is open, or that need what no bar holds."""

OWN_WORDS: Final[Mapping[str, str]] = {
    "wallets": "the account, which a strategy does not see",
    "freqai": "FreqAI",
    "lock_pair": "entries that are forbidden for a time",
    "unlock_pair": "entries that are forbidden for a time",
    "unlock_reason": "entries that are forbidden for a time",
    "is_pair_locked": "entries that are forbidden for a time",
}
"""What is read of `self`."""

PROVIDED: Final = frozenset(
    {"get_pair_dataframe", "historic_ohlcv", "ohlcv", "current_whitelist", "available_pairs", "market", "runmode", "send_msg"}
)
"""What is read of `self.dp`, with the bot's own pair."""

STORED: Final = ("Trade", "Order", "PairLocks", "LocalTrade")
"""Classes of freqtrade's database."""

DEFAULTS: Final[Mapping[str, Any]] = {
    "minimal_roi": {}, "stoploss": None, "trailing_stop": False, "trailing_stop_positive": None, "trailing_stop_positive_offset": 0.0,
    "trailing_only_offset_is_reached": False, "use_custom_stoploss": False, "use_custom_roi": False, "position_adjustment_enable": False,
    "can_short": False, "use_exit_signal": True, "exit_profit_only": False, "ignore_roi_if_entry_signal": False,
    "ignore_buying_expired_candle_after": 0, "startup_candle_count": 0, "order_types": {}, "order_time_in_force": {}, "protections": [],
    "INTERFACE_VERSION": 3,
}  # fmt: skip
"""Values that decide whether a class can be mapped, and what freqtrade takes where a class says nothing."""

MUST_BE_FALSE: Final[Mapping[str, str]] = {
    "use_custom_stoploss": CALLBACKS["custom_stoploss"],
    "use_custom_roi": CALLBACKS["custom_roi"],
    "position_adjustment_enable": CALLBACKS["adjust_trade_position"],
    "exit_profit_only": "a decision does not know its fill",
    "ignore_roi_if_entry_signal": "a decision does not know its fill",
    "ignore_buying_expired_candle_after": "decisions are made at a close",
    "protections": CALLBACKS["protections"],
}


class NotMapped(Exception):
    """A feature of freqtrade that this platform does not have; the words name it."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a file is not used.

    Args:
        name: of the feature, as freqtrade calls it.
        words: why it is not mapped.
        file: its own, by its place beside the others.
        line: where it stands.
    """

    name: str
    words: str
    file: str
    line: int


@dataclass(frozen=True, slots=True)
class Asked:
    """What a strategy's files ask for.

    Args:
        file, line: of the first import of freqtrade.
        refusals: in the order in which they stand, file by file.
    """

    file: str
    line: int
    refusals: tuple[Refusal, ...]


def asked_of(files: Mapping[str, bytes]) -> Asked | None:
    """What these files ask of freqtrade; None where they do not mention it, or come with an adapter of their own.

    Args:
        files: all files of a strategy, by their places.

    Raises:
        SyntaxError: one of them is no Python.
    """
    first: tuple[str, int] | None = None
    refusals: list[Refusal] = []
    for name, body in sorted(files.items()):
        if not name.endswith(".py"):
            continue
        tree = ast.parse(body, name)
        imports = [(module, line) for module, line in _imported(tree)]
        if any(module.split(".")[0] == "autonomy" for module, _ in imports):
            return None
        lines = [line for module, line in imports if module.split(".")[0] == "freqtrade"]
        if lines and first is None:
            first = (name, min(lines))
        refusals += sorted((Refusal(what, words, name, line) for what, words, line in _refused(tree)), key=lambda found: found.line)
    return None if first is None else Asked(*first, tuple(refusals))


def refused_values(values: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """What of a class's values is not mapped: its name and why.

    Args:
        values: by the names of `DEFAULTS`; what is left out has its default.
    """
    said = {**DEFAULTS, **values}
    for name, words in MUST_BE_FALSE.items():
        if said[name]:
            yield name, words
    if said["INTERFACE_VERSION"] not in (3, None):
        yield "INTERFACE_VERSION", "3 is"
    stop = said["stoploss"]
    if stop is not None and not -1.0 < stop < 0.0:
        yield "stoploss", f"a fraction between -1 and 0 is, not {stop}"
    yield from _refused_trailing(said)
    for gain in dict(said["minimal_roi"] or {}).values():
        if not -1.0 < gain < 1_000.0:
            yield "minimal_roi", f"gains above -1 are, not {gain}"
    orders = dict(said["order_types"] or {})
    if orders.get("stoploss_on_exchange"):
        yield "order_types", "stoploss_on_exchange: a stop is kept here"
    for name in ("entry", "exit", "stoploss"):
        if orders.get(name, "market") not in ("market", "limit"):
            yield "order_types", f"{name}: market and limit are, and both are filled at the open"
    if any(str(word).upper() != "GTC" for word in dict(said["order_time_in_force"] or {}).values()):
        yield "order_time_in_force", "GTC is"
    if not 0 <= said["startup_candle_count"] <= 1_000_000:
        yield "startup_candle_count", "a number of bars from 0 is"


def _refused_trailing(said: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    positive, offset = said["trailing_stop_positive"], said["trailing_stop_positive_offset"] or 0.0
    if not said["trailing_stop"]:
        return
    if positive is not None and not 0.0 < positive < 1.0:
        yield "trailing_stop_positive", f"a fraction between 0 and 1 is, not {positive}"
    if not 0.0 <= offset < 100.0:
        yield "trailing_stop_positive_offset", f"a fraction from 0 is, not {offset}"
    if positive is not None and not (said["trailing_only_offset_is_reached"] and offset > 0.0):
        words = (
            "with two distances (stoploss before the offset, trailing_stop_positive after it): trailing_only_offset_is_reached = True is"
        )
        yield "trailing_stop_positive", words


def _imported(tree: ast.AST) -> Iterator[tuple[str, int]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield str(node.module), node.lineno


def _refused(tree: ast.AST) -> Iterator[tuple[str, str, int]]:
    for node in ast.walk(tree):
        match node:
            case ast.ClassDef():
                yield from _refused_in_class(node)
            case ast.Attribute(value=ast.Name(id="self"), attr=name) if name in OWN_WORDS:
                yield f"self.{name}", OWN_WORDS[name], node.lineno
            case ast.Attribute(value=ast.Attribute(value=ast.Name(id="self"), attr="dp"), attr=name) if name not in PROVIDED:
                yield f"self.dp.{name}", "bars of the bot's own pair are", node.lineno
            case ast.Attribute(value=ast.Name(id=name)) if name in STORED:
                yield f"{name}.{node.attr}", "a strategy does not see its trades", node.lineno
            case _:
                pass


def _refused_in_class(node: ast.ClassDef) -> Iterator[tuple[str, str, int]]:
    values: dict[str, Any] = {}
    lines: dict[str, int] = {}
    for inner in node.body:
        if isinstance(inner, ast.FunctionDef | ast.AsyncFunctionDef):
            if inner.name in CALLBACKS:
                yield inner.name, CALLBACKS[inner.name], inner.lineno
            yield from _refused_decorators(inner)
        elif isinstance(inner, ast.Assign | ast.AnnAssign):
            targets = inner.targets if isinstance(inner, ast.Assign) else [inner.target]
            for target in targets:
                if isinstance(target, ast.Name) and target.id in DEFAULTS and inner.value is not None:
                    try:
                        values[target.id], lines[target.id] = ast.literal_eval(inner.value), inner.lineno
                    except ValueError:
                        continue  # computed: its value shows when the class is there
    try:
        for name, words in refused_values(values):
            yield name, words, lines.get(name, node.lineno)
    except TypeError:
        yield node.name, "a value of another kind than freqtrade's own", node.lineno


def _refused_decorators(method: ast.FunctionDef | ast.AsyncFunctionDef) -> Iterator[tuple[str, str, int]]:
    for mark in method.decorator_list:
        if not (isinstance(mark, ast.Call) and isinstance(mark.func, ast.Name | ast.Attribute)):
            continue
        name = mark.func.id if isinstance(mark.func, ast.Name) else mark.func.attr
        named = {keyword.arg: keyword.value for keyword in mark.keywords}
        asset = mark.args[1] if len(mark.args) > 1 else named.get("asset")
        if name == "informative" and isinstance(asset, ast.Constant) and isinstance(asset.value, str) and asset.value:
            yield f"informative pair {asset.value}", "the bot's own pair in a higher timeframe is", mark.lineno
