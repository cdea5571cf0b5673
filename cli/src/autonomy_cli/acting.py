"""Commands that act: each says one imperative to proof-api and shows the planner's answer."""

import math
import re
import sys
from collections.abc import Mapping
from http import HTTPStatus
from pathlib import Path
from typing import Annotated, Literal

import typer
import yaml

from autonomy import clock
from autonomy.errors import BadInput
from autonomy.events import MAX_BOTS_PER_COMMAND
from autonomy_cli import options as o
from autonomy_cli.api import Answer, ProofApi, operator, reader
from autonomy_cli.exits import Exit, fail
from autonomy_cli.policy_change import changes_of
from autonomy_cli.show import listed, part, print_json, print_table, safe

Scope = Annotated[Literal["fleet", "stage", "bot"], typer.Option("--scope", help="How much of the fleet.")]
Target = Annotated[str, typer.Option("--target", help="Which stage or bot; empty for the fleet.")]
JobId = Annotated[str, typer.Argument(help="A job's id.")]
Tick = Annotated[int, typer.Option("--tick", min=1, help="The tick at which the planner halted.")]
Hash = Annotated[str, typer.Option(help="Hash; all three are taken from the proof's reason where they stand there.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only show what would change.")]
HALTED = re.compile(r"tick (\d+): folded state ([0-9a-f]{64}), sealed ([0-9a-f]{64}), inputs ([0-9a-f]{64})")
LOST = re.compile(r"ticks are lost \(state ([0-9a-f]{64}), gives up (\d+):([0-9a-f]{64})\): the (?:chain|log) ends at tick (\d+)")


def say(client: ProofApi, document: Mapping[str, object], key: str | None, *, as_json: bool) -> None:
    """Say a command, show what became of it, and end with the exit code of that."""
    drawn = key or clock.drawn_id()
    answer = client.command(document, drawn)
    if as_json:
        print_json(answer.document)
    else:
        _show_answer(answer, drawn)
    code = code_of(answer)
    if code is Exit.OK and any(outcome.get("outcome") == "REJECTED" for outcome in listed(answer.document, "outcomes")):
        code = Exit.REFUSED
    if code is not Exit.OK:
        if as_json and "title" in answer.document:
            fail(code, answer.words)
        raise typer.Exit(int(code))


def code_of(answer: Answer) -> Exit:
    """The exit code of an answer."""
    match answer.status:
        case HTTPStatus.OK:
            return Exit.OK
        case HTTPStatus.ACCEPTED | HTTPStatus.GATEWAY_TIMEOUT:
            return Exit.UNKNOWN
        case status if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            return Exit.CANNOT_RUN
        case _:
            return Exit.REFUSED


def _show_answer(answer: Answer, key: str) -> None:
    document = answer.document
    match code_of(answer):
        case Exit.OK:
            print(f"accepted in tick {safe(document.get('tick'))} (command {safe(document.get('commandId'))})")
            columns = (("bot", "botId"), ("outcome", "outcome"), ("field", "field"), ("limit", "limit"))
            if outcomes := listed(document, "outcomes"):
                print_table(outcomes, columns, "")
        case Exit.UNKNOWN if answer.status == HTTPStatus.ACCEPTED:
            print(f"still open: command {safe(document.get('commandId'))} is in the log; no tick has answered it yet")
        case Exit.UNKNOWN:
            fail(Exit.UNKNOWN, f"{answer.words}: send it again with --key {key}")
        case Exit.CANNOT_RUN | Exit.REFUSED if "title" in document:
            fail(code_of(answer), answer.words)
        case _:
            about = " ".join(safe(document[name]) for name in ("field", "limitText") if document.get(name))
            print(f"rejected in tick {safe(document.get('tick'))}: {safe(document.get('code'))}{', ' if about else ''}{about}")


def pause(
    scope: Scope = "fleet", target: Target = "", reason: o.Why = "", key: o.Key = None, api: o.Api = o.DEFAULT_API,
    as_json: o.Json = False,
) -> None:  # fmt: skip
    """Enqueue nothing for the fleet, a stage or a bot; ticks, cancels and repairs go on."""
    say(operator(api), {"type": "pause-loop", "scope": scope, "target": target, "reason": reason}, key, as_json=as_json)


def resume(
    scope: Scope = "fleet", target: Target = "", reason: o.Why = "", key: o.Key = None, api: o.Api = o.DEFAULT_API,
    as_json: o.Json = False,
) -> None:  # fmt: skip
    """Undo a pause of the same scope and target."""
    say(operator(api), {"type": "resume-loop", "scope": scope, "target": target, "reason": reason}, key, as_json=as_json)


def hold(bot: o.Bot, reason: o.Why = "", key: o.Key = None, api: o.Api = o.DEFAULT_API, as_json: o.Json = False) -> None:
    """Schedule nothing for a bot until it is released."""
    say(operator(api), {"type": "hold-bot", "botId": bot, "reason": reason}, key, as_json=as_json)


def release(bot: o.Bot, reason: o.Why = "", key: o.Key = None, api: o.Api = o.DEFAULT_API, as_json: o.Json = False) -> None:
    """End a hold, or the quarantine after repeated crashes."""
    say(operator(api), {"type": "release-hold", "botId": bot, "reason": reason}, key, as_json=as_json)


def change(bot: o.Bot, file: o.File, reason: o.Why = "", key: o.Key = None, api: o.Api = o.DEFAULT_API, as_json: o.Json = False) -> None:
    """Give a LAB bot another strategy, parameters or symbol, by a file that names any of them: its next version, without evidence."""
    say(operator(api), {**read_document(file), "type": "change-bot", "botId": bot, "reason": reason}, key, as_json=as_json)


def retire(bot: o.Bot, reason: o.Why = "", key: o.Key = None, api: o.Api = o.DEFAULT_API, as_json: o.Json = False) -> None:
    """Take a bot out of the fleet for good; its id is never used again."""
    say(operator(api), {"type": "retire-bot", "botId": bot, "reason": reason}, key, as_json=as_json)


def cancel_job(job: JobId, reason: o.Why = "", key: o.Key = None, api: o.Api = o.DEFAULT_API, as_json: o.Json = False) -> None:
    """End a live job."""
    say(operator(api), {"type": "cancel-job", "jobId": job, "reason": reason}, key, as_json=as_json)


def register(file: o.File, reason: o.Why = "", key: o.Key = None, api: o.Api = o.DEFAULT_API, as_json: o.Json = False) -> None:
    """Take the bots of a file into the fleet; each has its own outcome, so the same file may be said again."""
    document = read_document(file)
    bots = document.get("bots")
    if not isinstance(bots, list) or not 1 <= len(bots) <= MAX_BOTS_PER_COMMAND:
        fail(Exit.CANNOT_RUN, f"{file}: needs a list `bots` of 1 to {MAX_BOTS_PER_COMMAND} bots; split a larger fleet into more files")
    say(operator(api), {"type": "register-bots", "bots": bots, "reason": reason}, key, as_json=as_json)


def set_policy(
    file: o.File, dry_run: DryRun = False, reason: o.Why = "", key: o.Key = None, api: o.Api = o.DEFAULT_API, as_json: o.Json = False
) -> None:  # fmt: skip
    """Put the policy of a file in force, whole: what the file leaves out goes back to the default. Needs an approver.

    What changes is said first, on standard error. Another `market` section moves the replayed day at once, also backwards.
    """
    document = read_document(file)
    answer = reader(api).get("/api/policy")
    try:
        changes = changes_of(part(answer.document, "document"), document) if answer.status == HTTPStatus.OK else None
    except BadInput as refusal:
        fail(Exit.REFUSED, str(refusal))
    if changes is None and dry_run:
        fail(Exit.CANNOT_RUN, answer.words)
    for line in ["nothing changes"] if changes == [] else [change.words for change in changes or ()]:
        print(safe(line), file=sys.stdout if dry_run and not as_json else sys.stderr)
    if not dry_run:
        say(operator(api), {"type": "set-policy", "document": document, "reason": reason}, key, as_json=as_json)
    elif as_json:
        print_json({"changes": [change._asdict() for change in changes or ()]})


def read_document(file: Path) -> dict[str, object]:
    """A YAML or JSON object of a file; anything else ends the command."""
    try:
        found = yaml.safe_load(file.read_text())
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as refusal:
        fail(Exit.CANNOT_RUN, f"{file} is not valid YAML or JSON: {str(refusal).splitlines()[0]}")
    if not isinstance(found, dict):
        fail(Exit.CANNOT_RUN, f"{file} must hold one object")
    if (place := _not_finite(found)) is not None:
        fail(Exit.CANNOT_RUN, f"{file}: {place} must be a finite number")
    return {str(name): value for name, value in found.items()}


def _not_finite(value: object, place: str = "") -> str | None:
    """Where in a document a number is that JSON does not have."""
    if isinstance(value, float) and not math.isfinite(value):
        return place
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    found = (_not_finite(part_of, f"{place}.{name}".lstrip(".")) for name, part_of in inner)
    return next((one for one in found if one is not None), None)


def accept_divergence(
    tick: Tick, reason: o.Why, sealed: Hash = "", folded: Hash = "", inputs: Hash = "", key: o.Key = None, api: o.Api = o.DEFAULT_API,
    as_json: o.Json = False,
) -> None:  # fmt: skip
    """Let a halted planner go on: its fold differs from an accepted seal, or the log lost ticks. It is shown for ever.

    Takes two approvers, unless the policy says that one is enough: each says it by this command.
    """
    if not reason.strip():
        fail(Exit.CANNOT_RUN, "--reason must say why the difference is accepted")
    named: dict[str, object] = {"sealedStateHash": sealed, "foldedStateHash": folded, "inputRoot": inputs}
    if not all(named.values()):
        named = _halted_at(api, tick)
    say(operator(api), {"type": "accept-divergence", "tick": tick, **named, "reason": reason}, key, as_json=as_json)


def _halted_at(api: str, tick: int) -> dict[str, object]:
    """What the proof says that a planner halted for."""
    reason = str(part(reader(api).get("/api/_proof/autonomy").document, "proof").get("reason") or "")
    found, lost = HALTED.search(reason), LOST.search(reason)
    if found is not None and int(found[1]) == tick:
        return {"sealedStateHash": found[3], "foldedStateHash": found[2], "inputRoot": found[4]}
    if lost is None or int(lost[4]) != tick:
        fail(
            Exit.REFUSED,
            f"the proof does not report a halt at tick {tick} ({safe(reason)}); --sealed, --folded and --inputs say the hashes",
        )
    given_up = {"tick": int(lost[2]), "offset": -1, "hash": lost[3]}
    return {"sealedStateHash": lost[1], "foldedStateHash": lost[1], "abandoned": given_up}
