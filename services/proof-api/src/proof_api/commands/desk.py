"""Take operators' commands: validate, append to the log, and wait for the planner's answer.

Place in the flow: route → **desk** → `autonomy.commands` → planner → projection → answer. The actor comes from the
credential. The same idempotency key gives the same command id, and a command said twice acts once.
"""

import asyncio
import contextlib
import hashlib
import logging
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final
from weakref import WeakValueDictionary

import orjson
from pydantic import ValidationError

from autonomy import clock
from autonomy.documents import tables
from autonomy.envelope import NUL, data_bytes, encode
from autonomy.errors import BadInput
from autonomy.events import CATALOGUE, AcceptDivergence, AttemptRefused, Command, PinBot, RegisterBots, SetPolicy, SetPromotionMode
from autonomy.fleet import read_bot
from autonomy.policy import read_policy
from autonomy.postgres import GONE
from autonomy.producer import LOST
from autonomy.throttle import Throttle
from autonomy.topics import COMMANDS
from autonomy.values import derived_id
from proof_api.commands.revert import with_moved
from proof_api.http.auth import Operator, Role
from proof_api.http.problems import Problem
from proof_api.reading.pool import Pool
from proof_api.voice import Voice

log = logging.getLogger(__name__)
ANSWER_WITHIN_S: Final = 5.0
ASK_EVERY_S: Final = 0.1
APPEND_TIMEOUT_S: Final = 8.0
REFUSALS_PER_MINUTE: Final = 60
"""Refused attempts of one operator are recorded up to this rate; a flood is counted, not written."""
KEYS_KEPT: Final = 10_000
"""Commands with an idempotency key that this process remembers; the read models remember the older ones."""
KINDS: Final[dict[str, type[Command]]] = {kind.wire: kind for kind in CATALOGUE if issubclass(kind, Command)}
MAX_COMMAND_BYTES: Final = 800_000
"""The planner's answer repeats what it refuses of up to 500 bots, and must fit into one record too."""
APPROVERS_ONLY: Final = frozenset({AcceptDivergence.wire, SetPolicy.wire, SetPromotionMode.wire})
"""The two approvers of a promotion to CANARY or LIVE are the planner's to check: only it knows where a recommendation leads."""


@dataclass(slots=True)
class Desk:
    """Where commands go in."""

    voice: Voice
    acknowledged: OrderedDict[str, str] = field(default_factory=OrderedDict)
    turns: "WeakValueDictionary[str, asyncio.Lock]" = field(default_factory=WeakValueDictionary)
    refusals: Throttle = field(default_factory=lambda: Throttle(REFUSALS_PER_MINUTE))
    strangers_refused: int = 0

    def read(self, document: Mapping[str, object], operator: Operator, key: str | None) -> Command:
        """The command of a request body.

        Raises:
            Problem: 403 without the role, 413 when the answer might make no record, 422 with the field and the limit.
        """
        named = document.get("type", "")
        wire = named if isinstance(named, str) else ""
        kind = KINDS.get(wire) or KINDS.get(f"{wire}.v1")
        if kind is None:
            raise Problem(422, "BAD_INPUT", "Unknown command", f"type: must be one of {', '.join(sorted(KINDS))}", field="type")
        needed: Role = "approver" if kind.wire in APPROVERS_ONLY else "operator"
        check_role(operator, needed, kind.wire)
        forged = {"commandId", "actor", "role", "command_id"} & set(document)
        if forged:
            raise Problem(422, "BAD_INPUT", "A value is refused", f"{min(forged)}: comes from the credential", field=min(forged))
        body = {name: value for name, value in document.items() if name != "type"}
        command_id = derived_id("command", operator.name, key) if key else clock.drawn_id()
        try:
            command = kind.model_validate({**body, "commandId": command_id, "actor": operator.name, "role": operator.role})
            check_content(command)
            content = data_bytes(command)
            if NUL in content:
                raise BadInput("body", "no text may hold a NUL character")
            if len(content) > MAX_COMMAND_BYTES:
                raise Problem(413, "TOO_LARGE", "The body is too large", f"a command has at most {MAX_COMMAND_BYTES} bytes")
        except ValidationError as refusal:
            fault = refusal.errors(include_url=False, include_context=False, include_input=False)[0]
            path = ".".join(str(part) for part in fault["loc"])
            raise Problem(422, "BAD_INPUT", "A value is refused", f"{path}: {fault['msg']}", field=path, limit=fault["msg"]) from refusal
        except BadInput as refusal:
            raise Problem(422, "BAD_INPUT", "A value is refused", str(refusal), field=refusal.field, limit=refusal.limit) from refusal
        return command

    async def say_once(self, command: Command, pool: Pool | None) -> None:
        """Append a command with an idempotency key, unless that was done before.

        Raises:
            Problem: 422 when the key came with another body before; else as `append`.
        """
        digest = digest_of(command.model_dump(mode="json", by_alias=True))
        # One key waits for itself alone: a log that is slow to take one command holds up no other.
        turn = self.turns.setdefault(command.command_id, asyncio.Lock())
        async with turn:
            before = self.acknowledged.get(command.command_id) or await digest_said(pool, command.command_id)
            if before is None:
                await self.append(command, command.command_id, command.actor)
                self.acknowledged[command.command_id] = digest
                while len(self.acknowledged) > KEYS_KEPT:
                    self.acknowledged.popitem(last=False)
            elif before != digest:
                limit = "one key is for one command"
                raise Problem(422, "KEY_REUSED", "A value is refused", f"Idempotency-Key: {limit}", field="Idempotency-Key", limit=limit)

    async def append(self, event: Command | AttemptRefused, event_id: str, actor: str) -> None:
        """Append to the log.

        Raises:
            Problem: 503 when Kafka does not answer, 504 when it is unknown whether the command landed.
        """
        value = encode(event, source="autonomy/proof-api", subject=actor, time=clock.now(), event_id=event_id, actor=actor)
        try:
            await self.voice.ready()
        except LOST as refusal:
            raise Problem(503, "KAFKA_DOWN", "Kafka does not answer: the command was not sent") from refusal
        try:
            await self.voice.say(COMMANDS, actor.encode(), value, APPEND_TIMEOUT_S)
        except LOST as refusal:
            title, hint = "It is unknown whether the command landed", "retry with the same Idempotency-Key"
            raise Problem(504, "OUTCOME_UNKNOWN", title, hint) from refusal

    async def refused(self, document: Mapping[str, object], operator: Operator | None, problem: Problem) -> None:
        """Record a refused attempt of an operator, within an own rate: nobody's flood hides another's attempt.

        The attempts of strangers are counted and never recorded: the log keeps its records for ever, and would be theirs to fill.
        """
        if operator is None:
            self.strangers_refused += 1
            return
        if self.refusals.failed(operator.name, clock.monotonic_ms() / 1000):
            return
        event = AttemptRefused(
            attempt_id=clock.drawn_id(), command=_printable(str(document.get("type", ""))[:80]), code=problem.code,
            actor=operator.name, role=operator.role,
            field=_printable(str(problem.more.get("field", "")))[:200], limit=_printable(problem.detail or problem.title)[:500],
        )  # fmt: skip
        try:
            await self.append(event, event.attempt_id, event.actor)
        except Problem as lost:
            log.warning("a refused attempt could not be recorded: %s", lost.title)


def check_role(operator: Operator, needed: Role, what: str) -> None:
    """Refuse what an operator's role does not allow.

    Raises:
        Problem: 403.
    """
    if not operator.may(needed):
        raise Problem(403, "FORBIDDEN", "Not allowed", f"{what} needs the role {needed}, {operator.name} is {operator.role}")


def _printable(text: str) -> str:
    return "".join(letter if letter.isprintable() else "\ufffd" for letter in text)


def digest_of(body: Mapping[str, object]) -> str:
    """What tells two commands apart."""
    return hashlib.sha256(orjson.dumps(body, option=orjson.OPT_SORT_KEYS)).hexdigest()


async def digest_said(pool: Pool | None, command_id: str) -> str | None:
    """The digest of a command that the projection has seen; None also when the database does not answer: said twice, it acts once."""
    if pool is None:
        return None
    try:
        async with pool.connection() as connection:
            body = await connection.fetchval("SELECT body FROM commands WHERE id = $1", command_id, timeout=2)
    except GONE:
        return None
    return None if body is None else digest_of(body)


def check_content(command: Command) -> None:
    """What can be told without the planner's state.

    Raises:
        BadInput: names the field and the limit.
    """
    match command:
        case SetPolicy():
            read_policy(command.document)
        case RegisterBots() if len(command.bots) == 1:
            # One bot: what needs no catalogue can be told at the door. Of many, each has its own outcome.
            read_bot(command.bots[0], {})
        case PinBot() if not command.reason.strip():
            raise BadInput("reason", "must say why the bot is pinned")
        case _:
            pass


async def answer_of(pool: Pool, command_id: str, within_s: float = ANSWER_WITHIN_S) -> Mapping[str, object] | None:
    """The planner's answer as the projection shows it, or None when it is still open after `within_s`; of a revert with all it moved."""
    deadline = clock.monotonic_ms() + within_s * 1000
    while True:
        with contextlib.suppress(TimeoutError):  # a busy database is no answer yet
            async with pool.connection() as connection:
                row = await connection.fetchrow(f"{tables.COMMAND_WHOLE.select} WHERE id = $1", command_id, timeout=2)
                if row is not None and row["status"] != "OPEN":
                    return await with_moved(connection, dict(row))
        if clock.monotonic_ms() > deadline:
            return None
        await asyncio.sleep(ASK_EVERY_S)
