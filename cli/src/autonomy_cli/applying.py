"""A fleet from files: what would change, as a diff, and the commands that make it so.

Place in the flow: files → dry run of proof-api, part by part → words → `apply-fleet` with each part's plan hash. A part is what one record
of the log holds; each is accepted or refused whole, and every bot of it has its outcome.
"""

import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Annotated, Final

import typer

from autonomy import clock
from autonomy.documents import keys
from autonomy.errors import BadInput
from autonomy_cli import options as o
from autonomy_cli.acting import code_of
from autonomy_cli.api import ProofApi, found_in, operator
from autonomy_cli.exits import Exit, fail
from autonomy_cli.fleet_files import FleetFiles, Place, Refusal, parts_of, read_files
from autonomy_cli.show import GREEN, RED, YELLOW, listed, painted, print_json, safe, warn

Files = Annotated[Path, typer.Option("--file", "-f", exists=True, readable=True, help="A file of bots, or a folder of such files.")]
Fleet = Annotated[str, typer.Option("--fleet", help="The fleet's name, where the files do not say `fleet:`.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only show what would change.")]
Prune = Annotated[bool, typer.Option("--prune", help="Retire the fleet's bots that no file names.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]
SHOWN: Final = 200
"""Bots that the words name; --json names all."""
SIGNS: Final = {"REGISTERED": ("+", "new", GREEN), "CHANGED": ("~", "changed", YELLOW), "AMENDED": ("~", "amended", YELLOW),
                "RETIRED": ("-", "retired", RED), "REJECTED": ("!", "refused", RED), "UNCHANGED": ("=", "unchanged", GREEN)}  # fmt: skip
ANSWER_WITHIN_S: Final = 120.0


@dataclass(slots=True)
class Whole:
    """The diff of all parts.

    Attributes:
        commands: by part, the command's body without its reason.
        items: every bot that does not stay as it is.
        counts: bots by outcome.
        refused: what the files or the dry run refuse, with its places.
    """

    commands: list[dict[str, object]] = field(default_factory=list)
    items: list[Mapping[keys.BotStepKey, object]] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    refused: list[Refusal] = field(default_factory=list)

    @property
    def acts(self) -> int:
        """How many bots would become something else."""
        return sum(count for outcome, count in self.counts.items() if outcome not in {"UNCHANGED", "REJECTED"})


def apply(  # noqa: PLR0913 (one argument per option)
    file: Files, fleet: Fleet = "", dry_run: DryRun = False, prune: Prune = False, yes: Yes = False, reason: o.Why = "",
    key: o.Key = None, api: o.Api = o.DEFAULT_API, as_json: o.Json = False,
) -> None:  # fmt: skip
    """Make a fleet what its files say: new bots, changed ones (a new version), and with --prune those that left. Asks before it acts.

    The dry run decides as the planner will; where a bot changed until then, its part is refused (PLAN_CHANGED) and nothing of it is done.
    """
    try:
        files = read_files(file, fleet)
    except BadInput as refusal:
        fail(Exit.CANNOT_RUN, str(refusal))
    if prune and not files.fleet:
        fail(Exit.CANNOT_RUN, "--prune needs the fleet's name: `fleet:` in a file, or --fleet; nobody's bots are never retired")
    client = operator(api)
    whole = diff_of(client, files, prune=prune)
    if not as_json:
        show(whole, files)
    sent: list[Mapping[str, object]] = []
    code = Exit.REFUSED if whole.refused else Exit.OK
    if dry_run and not as_json:
        print("nothing was changed")
    elif not dry_run and whole.acts:
        if not yes:
            typer.confirm(f"Apply this to {whole.acts} bots?", abort=True, err=True)
        for part in whole.commands:
            answer, ended = _said(client, {**part, "reason": reason}, f"{key}-{len(sent)}" if key else clock.drawn_id())
            sent.append(answer)
            code = max(code, ended)
            if not as_json:
                _tell(answer, len(sent), len(whole.commands))
            if ended not in {Exit.OK, Exit.REFUSED}:
                break  # nothing more is said into a log that nobody answers from
    if as_json:
        print_json(_document(whole, files, sent))
    if code is not Exit.OK:
        raise typer.Exit(int(code))


def diff_of(client: ProofApi, files: FleetFiles, *, prune: bool) -> Whole:
    """What the files would do, asked part by part; parts in which nothing changes are left out."""
    whole = Whole(refused=list(files.refused))
    whole.counts["REJECTED"] += len(files.refused)
    leaving = [bot_id for bot_id in members(client, files.fleet) if not files.names(bot_id)] if prune else []
    try:
        parts = list(parts_of(files.fleet, list(files.bots.values()), leaving))
    except BadInput as refusal:
        fail(Exit.REFUSED, str(refusal))
    for part in parts:
        plan: Mapping[keys.ApplyPlannedKey, object] = found_in(client.post("/api/apply/plan", part))
        counts = plan.get("counts")
        found = Counter({str(name): int(str(count)) for name, count in counts.items()} if isinstance(counts, Mapping) else {})
        whole.counts += found
        items: Sequence[Mapping[keys.BotStepKey, object]] = listed(plan, "items")
        whole.items += items
        whole.refused += [_refusal(item, files) for item in items if item.get("outcome") == "REJECTED"]
        if set(found) - {"UNCHANGED", "REJECTED"}:
            whole.commands.append({"type": "apply-fleet", **part, "planHash": plan.get("planHash")})
    return whole


def members(client: ProofApi, fleet: str) -> list[str]:
    """Ids of the bots that a fleet owns now."""
    found: list[str] = []
    after: object = ""
    while after is not None:
        page: Mapping[keys.FleetMembersKey, object] = client.found(f"/api/fleets/{fleet}/bots", [("after", str(after))])
        ids = page.get("items")
        found += [str(one) for one in ids] if isinstance(ids, list) else []
        after = page.get("next")
    return found


def _refusal(item: Mapping[keys.BotStepKey, object], files: FleetFiles) -> Refusal:
    bot_id, name = str(item.get("botId")), str(item.get("field") or "")
    placed = files.bots.get(bot_id)
    return Refusal(bot_id, name, str(item.get("limit") or ""), () if placed is None else (placed.place(name),))


def show(whole: Whole, files: FleetFiles) -> None:
    """The diff in words: bots that change, field by field, then who is refused, then the counts."""
    acting = [item for item in whole.items if item.get("outcome") != "REJECTED"]
    for item in acting[:SHOWN]:
        sign, word, colour = SIGNS[str(item.get("outcome"))]
        version = int(str(item.get("version")))
        after = f" (version {version} -> {version + 1})" if item.get("outcome") == "CHANGED" else ""
        print(painted(f"{sign} {safe(item.get('botId'))}  {word}{after}", colour))
        changes: Sequence[Mapping[keys.FieldChangedKey, object]] = listed(item, "changes")
        for change in changes:
            print(f"    {safe(change.get('field'))}: {_value(change.get('before'))} -> {_value(change.get('after'))}")
    if len(acting) > SHOWN:
        print(f"  and {len(acting) - SHOWN} more (--json names all)")
    for refusal in whole.refused:
        print(painted(f"! {safe(refusal.bot_id)}  refused  {safe(refusal.field)}: {safe(refusal.limit)}{_at(refusal.places)}", RED))
    named = ", ".join(f"{whole.counts[outcome]} {word}" for outcome, (_, word, _) in SIGNS.items() if whole.counts[outcome])
    print(f"{'fleet ' + files.fleet + ': ' if files.fleet else ''}{named or 'no bot'}")


def _value(value: object) -> str:
    return '""' if value == "" else safe(value)


def _at(places: Iterable[Place]) -> str:
    named = ", ".join(place.words for place in places)
    return f"  ({named})" if named else ""


def _said(client: ProofApi, command: Mapping[str, object], key: str) -> tuple[Mapping[str, object], Exit]:
    """Say one part, and wait for the planner's answer; returns it with the exit code of it."""
    answer = client.command(command, key)
    until = time.monotonic() + ANSWER_WITHIN_S
    while answer.status == HTTPStatus.ACCEPTED and time.monotonic() < until:
        time.sleep(0.5)
        found = client.get(f"/api/commands/{answer.document.get('commandId')}")
        if found.status == HTTPStatus.OK and found.document.get("status") != "OPEN":
            ended = Exit.OK if found.document.get("status") == "ACCEPTED" else Exit.REFUSED
            return found.document, ended
    code = code_of(answer)
    if "title" in answer.document:
        warn(answer.words)
    return answer.document, code


def _tell(answer: Mapping[str, object], number: int, parts: int) -> None:
    where = f"part {number} of {parts}: " if parts > 1 else ""
    status = answer.get("status")
    match status:
        case "ACCEPTED":
            counts = answer.get("counts")
            said = ", ".join(f"{safe(count)} {safe(name).lower()}" for name, count in counts.items()) if isinstance(counts, Mapping) else ""
            print(f"{where}accepted in tick {safe(answer.get('tick'))}: {said} (command {safe(answer.get('commandId'))})")
        case "REJECTED":
            print(f"{where}rejected in tick {safe(answer.get('tick'))}: {safe(answer.get('code'))}, {safe(answer.get('limitText'))}")
        case "OPEN":
            print(f"{where}still open: command {safe(answer.get('commandId'))} is in the log; no tick has answered it yet")
        case _:
            print(f"{where}not sent, or unknown whether it arrived")


def _document(whole: Whole, files: FleetFiles, sent: Sequence[Mapping[str, object]]) -> dict[str, object]:
    return {
        "fleet": files.fleet, "counts": dict(whole.counts), "planHashes": [command["planHash"] for command in whole.commands],
        "items": [item for item in whole.items if item.get("outcome") != "REJECTED"],
        "refused": [
            {"botId": one.bot_id, "field": one.field, "limit": one.limit, "places": [place.words for place in one.places]}
            for one in whole.refused
        ],
        "commands": [
            {name: answer.get(name) for name in ("commandId", "status", "tick", "counts", "code", "limitText", "outcomes")}
            for answer in sent
        ],
    }  # fmt: skip
