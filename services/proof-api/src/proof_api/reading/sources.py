"""Which bars there are, in the words of who offers them: what live runners announced, put together by source.

Place in the flow: `bot_runners` in the newest snapshot → **sources** → `/api/market-data` → page. Pure. Nothing here knows a source;
a reader that wants to say "daily" or "to 2013" says what was announced, or nothing.
"""

from collections.abc import Iterable, Mapping


def sources_of(runners: Iterable[Mapping[str, object]]) -> list[dict[str, object]]:
    """One entry per source and timeframe, by source.

    Args:
        runners: rows of `bot_runners`; one that stops offers nothing.

    Returns:
        `sourceId`, `timeframe`, `synthetic`, `symbols` (sorted), `firstDay`, `lastDay`, `bars` (of all symbols), `runners` (how many).
    """
    found: dict[tuple[str, str, bool], dict[str, Mapping[str, object]]] = {}
    offered: dict[tuple[str, str, bool], set[object]] = {}
    for runner in runners:
        symbols = runner.get("symbols")
        for one in symbols if isinstance(symbols, list) and not runner.get("stopping") else []:
            key = (str(one["sourceId"]), str(one["timeframe"]), bool(one["synthetic"]))
            found.setdefault(key, {})[str(one["symbol"])] = one
            offered.setdefault(key, set()).add(runner["process_id"])
    return [
        {
            "sourceId": source, "timeframe": timeframe, "synthetic": synthetic, "symbols": sorted(by_symbol),
            "firstDay": min(str(one["first"]) for one in by_symbol.values()),
            "lastDay": max(str(one["last"]) for one in by_symbol.values()),
            "bars": sum(int(str(one["bars"])) for one in by_symbol.values()), "runners": len(offered[source, timeframe, synthetic]),
        }
        for (source, timeframe, synthetic), by_symbol in sorted(found.items())
    ]  # fmt: skip
