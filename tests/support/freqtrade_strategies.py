"""Strategies for freqtrade of our own, one feature of its documentation each: text, since only freqtrade's own environment can import them.

`GOOD` by class name: what the adapter maps. `PAIRS` names those that trade both sides, and so need a market of futures.
"""

from textwrap import indent

HEAD = '''from freqtrade.strategy import {imports}


class {name}(IStrategy):
    """{says}"""

    INTERFACE_VERSION = 3
    timeframe = "1h"
{values}

    def populate_indicators(self, dataframe, metadata):
{indicators}
        return dataframe

    def populate_entry_trend(self, dataframe, metadata):
{entries}
        return dataframe

    def populate_exit_trend(self, dataframe, metadata):
{exits}
        return dataframe
'''

MEANS = """dataframe["fast"] = dataframe["close"].rolling(20).mean()
dataframe["slow"] = dataframe["close"].rolling(50).mean()
above = dataframe["fast"] > dataframe["slow"]
dataframe["rises"] = above & ~above.shift(1, fill_value=False)
dataframe["falls"] = ~above & above.shift(1, fill_value=False)"""
DIPS = """mean = dataframe["close"].rolling(24).mean()
dataframe["dips"] = dataframe["close"] < 0.99 * mean
dataframe["peaks"] = dataframe["close"] > 1.01 * mean"""
NOTHING = "pass"


def marks(column: str, where: str) -> str:
    return f'dataframe.loc[dataframe["{where}"], "{column}"] = 1'


def written(
    name: str,
    says: str,
    values: str,
    indicators: str = MEANS,
    entries: str = "",
    exits: str = "",
    *,
    imports: str = "IStrategy",
    more: str = "",
) -> str:
    """The file of one class."""
    inner = {"indicators": indicators, "entries": entries or marks("enter_long", "rises"), "exits": exits or marks("exit_long", "falls")}
    body = {key: indent(text, " " * 8) for key, text in inner.items()}
    return HEAD.format(name=name, says=says, values=indent(values, " " * 4), imports=imports, **body) + (
        f"\n{indent(more, '    ')}\n" if more else ""
    )


GOOD: dict[str, str] = {
    "CrossStop": written(
        "CrossStop", "A stop of 2 %, parameters that a search may vary, bars to warm up.",
        'stoploss = -0.02\nstartup_candle_count = 50\nfast = IntParameter(5, 40, default=20, space="buy")\n'
        'width = DecimalParameter(0.0, 0.02, default=0.001, decimals=3, space="buy")\n'
        'sure = BooleanParameter(default=True, space="buy")\nkind = CategoricalParameter(["mean", "median"], default="mean", space="sell")',
        'rolling = dataframe["close"].rolling(self.fast.value)\n'
        'dataframe["fast"] = rolling.mean() if self.kind.value == "mean" else rolling.median()\n'
        'dataframe["slow"] = dataframe["close"].rolling(50).mean()\n'
        'above = dataframe["fast"] > dataframe["slow"] * (1.0 + self.width.value)\n'
        'dataframe["rises"] = above & ~above.shift(1, fill_value=False)\ndataframe["falls"] = ~above & above.shift(1, fill_value=False)',
        imports="BooleanParameter, CategoricalParameter, DecimalParameter, IntParameter, IStrategy",
    ),
    "RoiTable": written(
        "RoiTable", "A target that comes down with the age of the trade, and no exit signal.",
        'stoploss = -0.05\nminimal_roi = {"0": 0.04, "120": 0.02, "360": 0.004, "720": 0.0}', DIPS, marks("enter_long", "dips"), NOTHING,
    ),
    "TrailPlain": written(
        "TrailPlain", "A stop that follows the price from the entry on.", "stoploss = -0.03\ntrailing_stop = True",
        DIPS, marks("enter_long", "peaks"), NOTHING,
    ),
    "TrailOffset": written(
        "TrailOffset", "A stop that follows once there is a gain, beside a target.",
        'stoploss = -0.04\nminimal_roi = {"0": 0.05, "480": 0.03}\ntrailing_stop = True\ntrailing_stop_positive = 0.01\n'
        "trailing_stop_positive_offset = 0.02\ntrailing_only_offset_is_reached = True",
        DIPS, marks("enter_long", "dips"), NOTHING,
    ),
    "HigherFilter": written(
        "HigherFilter", "The bot's own pair in a higher timeframe, by the decorator.", "stoploss = -0.05",
        MEANS + '\ndataframe["rises"] &= dataframe["close"] > dataframe["mean_4h"]', imports="IStrategy, informative",
        more='@informative("4h")\ndef populate_indicators_4h(self, dataframe, metadata):\n'
        '    dataframe["mean"] = dataframe["close"].rolling(10).mean()\n    return dataframe',
    ),
    "HigherMerged": written(
        "HigherMerged", "The same by hand, in days.", "stoploss = -0.1\nuse_exit_signal = True",
        MEANS + '\nday = self.dp.get_pair_dataframe(metadata["pair"], "1d")\nday["mean"] = day["close"].rolling(5).mean()\n'
        'dataframe = merge_informative_pair(dataframe, day, self.timeframe, "1d", ffill=True)\n'
        'dataframe["rises"] &= dataframe["close"] > dataframe["mean_1d"]',
        imports="IStrategy, merge_informative_pair",
        more='def informative_pairs(self):\n    return [(pair, "1d") for pair in self.dp.current_whitelist()]',
    ),
    "BothSides": written(
        "BothSides", "Long and short, from one to the other at the same open, with a stop and a target.",
        'can_short = True\nstoploss = -0.02\nminimal_roi = {"0": 0.03, "240": 0.015}',
        entries=marks("enter_long", "rises") + "\n" + marks("enter_short", "falls"),
        exits=marks("exit_long", "falls") + "\n" + marks("exit_short", "rises"),
    ),
    "ShortTrail": written(
        "ShortTrail", "Short only, with a stop that follows the price down, and exit signals that are not to count.",
        "can_short = True\nstoploss = -0.04\ntrailing_stop = True\ntrailing_stop_positive = 0.01\ntrailing_stop_positive_offset = 0.015\n"
        "trailing_only_offset_is_reached = True\nuse_exit_signal = False",
        DIPS, marks("enter_short", "peaks"), marks("exit_short", "dips"),
    ),
}  # fmt: skip
PAIRS = ("BothSides", "ShortTrail")
