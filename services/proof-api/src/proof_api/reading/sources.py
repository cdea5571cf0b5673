"""Which bars and strategies there are, in the words of who offers them: what live runners announced, put together.

Place in the flow: `bot_runners` → **sources** → `/api/market-data`, `/api/strategies` → page. Pure. Nothing here knows a source or a
strategy; a reader that wants to say "daily" or "to 2013" says what was announced, or nothing.
"""

from collections.abc import Iterable, Mapping


def sources_of(runners: Iterable[Mapping[str, object]]) -> list[dict[str, object]]:
    """One entry per source and timeframe, by source.

    Args:
        runners: rows of `bot_runners`; one that stops offers nothing.

    Returns:
        `sourceId`, `timeframe`, `synthetic`, `symbols` (sorted), `firstBar`, `lastBar`, `bars` (of all symbols), `runners` (how many).
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
            "firstBar": min(str(one["first"]) for one in by_symbol.values()),
            "lastBar": max(str(one["last"]) for one in by_symbol.values()),
            "bars": sum(int(str(one["bars"])) for one in by_symbol.values()), "runners": len(offered[source, timeframe, synthetic]),
        }
        for (source, timeframe, synthetic), by_symbol in sorted(found.items())
    ]  # fmt: skip


def strategies_of(runners: Iterable[Mapping[str, object]]) -> dict[str, object]:
    """The strategies by name, and the files that cannot be used.

    Args:
        runners: rows of `bot_runners`; one that stops offers nothing.
    """
    offers: dict[str, dict[str, list[Mapping[str, object]]]] = {}
    faults: dict[tuple[str, str], list[Mapping[str, object]]] = {}
    for runner in runners:
        if runner.get("stopping"):
            continue
        for offer in _documents(runner.get("strategies")):
            offers.setdefault(str(offer["name"]), {}).setdefault(str(offer["codeHash"]), []).append(offer)
        for fault in _documents(runner.get("strategy_faults")):
            faults.setdefault((str(fault["file"]), str(fault["reason"])), []).append(fault)
    return {
        "items": [
            {
                "offer": max(by_code.values(), key=len)[0], "runners": sum(len(said) for said in by_code.values()),
                "codeHashes": sorted(by_code),
            }
            for _, by_code in sorted(offers.items())
        ],
        "faults": [{**said[0], "runners": len(said)} for _, said in sorted(faults.items())],
    }  # fmt: skip


def _documents(value: object) -> list[Mapping[str, object]]:
    return value if isinstance(value, list) else []
