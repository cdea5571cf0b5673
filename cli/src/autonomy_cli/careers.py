"""Commands about a bot's career: revert to LAB, promotions, pins, gates.

Place in the flow: words → proof-api. A revert is a dry run unless `--apply` is said, and then it applies exactly the plan that was
shown: its hash and its count go with the command.
"""

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Annotated, Literal

import typer

from autonomy.client import bot_path
from autonomy.documents import keys
from autonomy.read_model.parts import PromotionStatus
from autonomy_cli import options as o
from autonomy_cli.acting import say
from autonomy_cli.api import ProofApi, operator, reader
from autonomy_cli.exits import Exit, fail
from autonomy_cli.show import GREEN, RED, YELLOW, Columns, counted, listed, painted, part, print_json, print_table, safe

PROMOTION_COLUMNS: Columns[keys.PromotionKey] = (
    ("recommendation", "id"), ("bot", "botId"), ("from", "fromStage"), ("to", "toStage"), ("status", "status"),
    ("recommended", "recommendedAt"), ("requested by", "requestedBy"), ("closed", "closedAt"), ("cause", "cause"), ("by", "actor"),
)  # fmt: skip
OUTCOME_COLUMNS: Columns[keys.OutcomeCountedKey] = (
    ("bars", "bars"), ("outcome", "outcome"), ("is", "words"), ("what would change it", "changes"),
)  # fmt: skip
BAR_COLUMNS: Columns[keys.EquityPointKey] = (
    ("bar", "barStart"), ("outcome", "outcome"), ("why", "why"), ("wanted next", "wanted"), ("units", "units"), ("close", "close"),
    ("equity", "equity"),
)  # fmt: skip
COLOURS = {"PASS": GREEN, "FAIL": RED, "INCONCLUSIVE": YELLOW}

Bots = Annotated[list[str] | None, typer.Option("--bot", help="One bot; may be repeated. One alone counts also when it is pinned.")]
Strategies = Annotated[list[str] | None, typer.Option("--strategy", help="May be repeated.")]
Symbols = Annotated[list[str] | None, typer.Option("--symbol", help="May be repeated.")]
Apply = Annotated[bool, typer.Option("--apply", help="Do it; without this nothing changes.")]
Yes = Annotated[int | None, typer.Option("--yes", min=0, help="Do not ask: this many bots are expected to move.")]
Statuses = Annotated[list[PromotionStatus] | None, typer.Option("--status", help="May be repeated.")]
Recommendation = Annotated[str | None, typer.Option("--recommendation", help="Its id; default: the bot's open one.")]
Until = Annotated[str | None, typer.Option("--until", help="When the pin ends, ISO with a zone; default: for good.")]
Mode = Annotated[Literal["MANUAL", "AUTO"], typer.Argument(help="MANUAL: an operator approves; AUTO: the planner, within its budget.")]


def revert(  # noqa: PLR0913 (one argument per filter)
    stage: o.Stages = None, bot: Bots = None, strategy: Strategies = None, symbol: Symbols = None, apply: Apply = False,
    yes: Yes = None, reason: o.Why = "", key: o.Key = None, api: o.Api = o.DEFAULT_API, as_json: o.Json = False,
) -> None:  # fmt: skip
    """Take bots back to LAB: a dry run that says what would happen; with --apply exactly that, or nothing."""
    filters = (("stage", [value.value for value in stage or ()]), ("bot", bot), ("strategy", strategy), ("symbol", symbol))
    params = [(name, value) for name, values in filters for value in values or ()]
    plan: Mapping[keys.RevertPlanKey, object] = reader(api).found("/api/revert/plan", params)
    if not apply:
        if as_json:
            print_json(plan)
        else:
            show_plan(plan)
            print("nothing was changed; --apply does it")
        return
    expected = plan.get("expectedCount")
    if not as_json:
        show_plan(plan)
    if yes is None:
        typer.confirm(f"Take {safe(expected)} bots back to LAB?", abort=True, err=True)
    elif yes != expected:
        fail(Exit.REFUSED, f"the plan moves {safe(expected)} bots, --yes says {yes}")
    say(operator(api), {**part(plan, "command"), "reason": reason}, key, as_json=as_json)


def show_plan(plan: Mapping[keys.RevertPlanKey, object]) -> None:
    """A dry run in words."""
    stops: Mapping[keys.StopsKey, object] = part(plan, "stops")
    pinned: Mapping[keys.PinnedBotsKey, object] = part(plan, "pinned")
    print(f"plan        {safe(plan.get('planHash'))}")
    print(f"moves       {safe(plan.get('expectedCount'))} bots ({counted(plan.get('byStage'))})")
    jobs = part(stops, "jobs")
    print(f"stops       {', '.join(f'{safe(name)}: {counted(by)}' for name, by in jobs.items()) or 'no job'}")
    print(f"sessions    {safe(stops.get('openSessions'))} open, {safe(stops.get('withPosition'))} with a position to flatten")
    positions: Sequence[Mapping[keys.OpenPositionKey, object]] = listed(stops, "positions")
    for position in positions:
        print(f"  flattens  {safe(position.get('botId'))}: {safe(position.get('units'))} units, equity {safe(position.get('equity'))} USD")
    bots: Sequence[Mapping[keys.PinnedBotKey, object]] = listed(pinned, "bots")
    for bot in bots:
        until = f" until {safe(bot.get('pinnedUntil'))}" if bot.get("pinnedUntil") else ""
        print(f"stays       {safe(bot.get('botId'))} ({safe(bot.get('stage'))}): pinned by {safe(bot.get('pinnedBy'))}{until}: "
              f"{safe(bot.get('pinReason'))}")  # fmt: skip
    when = "in the first tick after the loop is resumed" if plan.get("baselines") == "AFTER_RESUME" else "in the same tick"
    print(f"baselines   {when}")


def promotions(
    status: Statuses = None, bot: o.OneBot = None, limit: o.AllOrLimit = 50, api: o.Api = o.DEFAULT_API, as_json: o.Json = False
) -> None:
    """Recommendations with what became of them, newest first."""
    params = [("status", value.value) for value in status or ()] + ([("bot", bot)] if bot else [])
    rows = reader(api).items("/api/promotions", params, limit)
    if as_json:
        print_json(list(rows))
        return
    print_table(rows, PROMOTION_COLUMNS, "No recommendation matches.")


def open_recommendation(client: ProofApi, bot: str, given: str | None) -> str:
    """The id of a bot's open recommendation; none ends the command."""
    if given:
        return given
    items = client.found(
        "/api/promotions", [("bot", bot), ("status", PromotionStatus.OPEN.value), ("status", PromotionStatus.REQUESTED.value)]
    ).get("items")
    found = items[0] if isinstance(items, list) and items else None
    if not isinstance(found, Mapping):
        fail(Exit.REFUSED, f"{safe(bot)} has no open recommendation")
    return str(found.get("id"))


def answer(kind: str, client: ProofApi, bot: str, given: str | None, reason: str, key: str | None, *, as_json: bool) -> None:
    """Say approve or reject of a bot's open recommendation."""
    found = open_recommendation(client, bot, given)
    say(client, {"type": kind, "botId": bot, "recommendationId": found, "reason": reason}, key, as_json=as_json)


def approve(
    bot: o.Bot, recommendation: Recommendation = None, reason: o.Why = "", key: o.Key = None, api: o.Api = o.DEFAULT_API,
    as_json: o.Json = False,
) -> None:  # fmt: skip
    """Apply a bot's open recommendation; CANARY and LIVE need two approvers."""
    answer("approve-promotion", operator(api), bot, recommendation, reason, key, as_json=as_json)


def reject(
    bot: o.Bot, recommendation: Recommendation = None, reason: o.Why = "", key: o.Key = None, api: o.Api = o.DEFAULT_API,
    as_json: o.Json = False,
) -> None:  # fmt: skip
    """Close a bot's open recommendation; the same evidence is not recommended again."""
    answer("reject-promotion", operator(api), bot, recommendation, reason, key, as_json=as_json)


def waiting_search(client: ProofApi, bot: str) -> str:
    """The search whose winner waits for approval at a bot; none ends the command."""
    found = part(client.found(bot_path(bot)), "bot").get("proposalJob")
    if found is None:
        fail(Exit.REFUSED, f"no winner of a search waits at {safe(bot)}")
    return str(found)


def approve_challenger(bot: o.Bot, reason: o.Why = "", key: o.Key = None, api: o.Api = o.DEFAULT_API, as_json: o.Json = False) -> None:
    """Make the winner of a search a LAB bot's next version; `autonomy why BOT` and its evolutions show the evidence."""
    client = operator(api)
    say(client, {"type": "approve-challenger", "botId": bot, "jobId": waiting_search(client, bot), "reason": reason}, key, as_json=as_json)


def reject_challenger(bot: o.Bot, reason: o.Why = "", key: o.Key = None, api: o.Api = o.DEFAULT_API, as_json: o.Json = False) -> None:
    """Close the proposal of a search; the bot stays as it is."""
    client = operator(api)
    say(client, {"type": "reject-challenger", "botId": bot, "jobId": waiting_search(client, bot), "reason": reason}, key, as_json=as_json)


def pin(bot: o.Bot, reason: o.Why, until: Until = None, key: o.Key = None, api: o.Api = o.DEFAULT_API, as_json: o.Json = False) -> None:
    """Exempt a bot from bulk reverts; says why, and until when."""
    if not reason.strip():
        fail(Exit.CANNOT_RUN, "--reason must say why the bot is pinned")
    say(operator(api), {"type": "pin-bot", "botId": bot, "until": until, "reason": reason}, key, as_json=as_json)


def unpin(bot: o.Bot, reason: o.Why = "", key: o.Key = None, api: o.Api = o.DEFAULT_API, as_json: o.Json = False) -> None:
    """End a pin."""
    say(operator(api), {"type": "unpin-bot", "botId": bot, "reason": reason}, key, as_json=as_json)


def promotion_mode(mode: Mode, reason: o.Why = "", key: o.Key = None, api: o.Api = o.DEFAULT_API, as_json: o.Json = False) -> None:
    """Who applies promotions of the fleet; needs an approver."""
    say(operator(api), {"type": "set-promotion-mode", "mode": mode, "reason": reason}, key, as_json=as_json)


def gates(bot: o.Bot, api: o.Api = o.DEFAULT_API, as_json: o.Json = False) -> None:
    """Every promotion gate of a bot as recorded, and what blocks its scheduling."""
    document: Mapping[keys.GatesKey, object] = reader(api).found(bot_path(bot, "/gates"))
    if as_json:
        print_json(document)
        return
    show_gates(listed(document, "items"), document.get("promotionTo"))
    for blocker in listed(document, "blockers"):
        print(f"scheduling  {_line(blocker)}")


def gates_of(client: ProofApi, bot: str) -> Mapping[keys.GatesKey, object]:
    """A bot's gates; nothing where proof-api does not tell."""
    answer = client.get(bot_path(bot, "/gates"))
    return answer.document if answer.status == HTTPStatus.OK else {}


def show_gates(tree: Sequence[Mapping[keys.GateOfBotKey, object]], promotion_to: object) -> None:
    """The whole tree, passes too."""
    if not tree:
        print("promotion   no gates recorded")
        return
    passed = sum(1 for gate in tree if gate.get("verdict") == "PASS")
    print(f"promotion   to {safe(promotion_to)}: {passed} of {len(tree)} gates pass, said in tick {safe(tree[0].get('sinceTick'))}")
    for gate in tree:
        print(f"  {_line(gate)}")


def _line(gate: Mapping[keys.GateOfBotKey, object]) -> str:
    verdict = str(gate.get("verdict"))
    age = f", {safe(gate.get('evidenceAgeBars'))} bars old" if gate.get("evidenceAgeBars") is not None else ""
    shadow = " (shadow: no say)" if gate.get("deciding") is False else ""
    clears = "" if verdict == "PASS" else f"; clears: {safe(gate.get('clearsWhen'))}"
    evidence = f"; evidence {safe(gate.get('evidenceJob'))}{age}" if gate.get("evidenceJob") else ""
    words = f"measured {safe(gate.get('measured'))}, required {safe(gate.get('required'))}"
    return f"{painted(verdict.ljust(12), COLOURS.get(verdict, YELLOW))} {safe(gate.get('code'))}{shadow}: {words}{clears}{evidence}"


def why_no_trade(bot: o.Bot, limit: o.Limit = 10, api: o.Api = o.DEFAULT_API, as_json: o.Json = False) -> None:
    """Why a bot has not traded on paper: what became of each bar of its session, and of its newest backtest, as recorded."""
    found = reader(api).found(bot_path(bot, "/bars"), [("limit", str(limit))])
    if as_json:
        print_json(found)
        return
    document: Mapping[keys.BarPageKey, object] = found
    print(
        f"{painted(safe(document.get('trading')), GREEN if document.get('trading') == 'TRADED' else YELLOW)}  {safe(document.get('why'))}"
    )
    session: Mapping[keys.SessionKey, object] = part(document, "session")
    if session:
        print(f"\nsession {safe(session.get('id'))}: {safe(session.get('tradedBars') or 0)} bars")
        print_table(listed(document, "counts"), OUTCOME_COLUMNS, "No bar yet.")
        print()
        print_table(listed(document, "items"), BAR_COLUMNS, "No bar yet.")
    backtest: Mapping[keys.BacktestKey, object] = part(document, "backtest")
    if backtest:
        print(f"\nbacktest {safe(backtest.get('jobId'))}: {safe(backtest.get('bars'))} bars")
        print_table(listed(document, "backtestCounts"), OUTCOME_COLUMNS, "Not counted.")
