"""`autonomy notify`: look at the notifier's rules, and try each receiver.

Place in the flow: by hand → **notify** → the notifier's own reading of rules and its own sending. Needs the extra `notify`, and no running
platform. What it prints of a receiver is its name and its service, never its address.
"""

import asyncio
import importlib
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from autonomy import clock
from autonomy.errors import BadInput
from autonomy_cli import options as o
from autonomy_cli.exits import Exit, fail
from autonomy_cli.show import GREEN, RED, painted, print_json, safe

RulesFile = Annotated[Path | None, typer.Option("--rules", envvar="NOTIFY_RULES", help="The notifier's rules.")]
WORDS: Final = ("This is a test of the notifier: nothing has happened.", "Why: somebody ran autonomy notify test", "To do: nothing")


def check(rules: RulesFile = None, as_json: o.Json = False) -> None:
    """Read the rules, and say who would be told what. Exit 1: they are refused, with file, line, field and limit."""
    found = _rules(rules)
    listeners = [
        {"name": each.receiver.name, "service": each.receiver.service, "kinds": sorted(each.kinds), "spacingS": each.spacing_s}
        for each in found.listeners
    ]
    if as_json:
        print_json({"page": found.page, "receivers": listeners, "advice": list(found.advice)})
        return
    for each in listeners:
        print(f"{painted('ok', GREEN)} {each['name']} ({safe(str(each['service']))}) is told: {', '.join(each['kinds'])}")
    for words in found.advice:
        print(f"advice: {safe(words)}")


def send(rules: RulesFile = None, as_json: o.Json = False) -> None:
    """Send a test message to each receiver, and say what came of each. Exit 1: one did not take it."""
    found = _rules(rules)
    outcomes = asyncio.run(_try_all(found))
    if as_json:
        print_json({"receivers": outcomes})
    else:
        for each in outcomes:
            word = painted("FAILED", RED) if each["problem"] else painted("ok", GREEN)
            print(f"{word} {each['name']} ({safe(str(each['service']))}): {each['problem'] or 'took it'}, in {each['seconds']} s")
    raise typer.Exit(int(Exit.REFUSED if any(each["problem"] for each in outcomes) else Exit.OK))


async def _try_all(rules: Any) -> list[dict[str, Any]]:  # noqa: ANN401 (of the extra `notify`)
    return list(await asyncio.gather(*(_try(listener.receiver, rules.page) for listener in rules.listeners)))


async def _try(receiver: Any, page: str) -> dict[str, Any]:  # noqa: ANN401 (as above)
    messages = _part("messages")
    began_ms = clock.monotonic_ms()
    message = messages.plain("Autonomy: a test message", [*WORDS, f"Look: {page}/attention"], clock.drawn_id(), "info")
    problem = await receiver.send(message)
    seconds = round((clock.monotonic_ms() - began_ms) / 1000, 2)
    return {"name": receiver.name, "service": receiver.service, "problem": problem or None, "seconds": seconds}


def _rules(file: Path | None) -> Any:  # noqa: ANN401 (as above)
    if file is None:
        fail(Exit.CANNOT_RUN, "no rules are named: --rules FILE, or NOTIFY_RULES")
    try:
        return _part("rules").load_rules(file)
    except BadInput as refusal:
        fail(Exit.REFUSED, str(refusal))


def _part(name: str) -> Any:  # noqa: ANN401 (a module of the extra `notify`, which the command is installed without)
    try:
        return importlib.import_module(f".{name}", importlib.import_module("notifier").__name__)
    except ModuleNotFoundError as missing:
        fail(Exit.CANNOT_RUN, f"this command sends as the notifier does: install the extra `notify` ({missing.name} is missing)")
