"""`autonomy doctor`: is what everything stands on as it must be: Kafka, PostgreSQL, clocks, disk, versions.

Place in the flow: by hand, and by `make up` at its end. Each check says what it saw itself, what is needed and what helps; a check that
cannot look says so and is no success.
"""

import asyncio
import json
import os
import platform
import shutil
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from enum import StrEnum
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Annotated, Any, Final, LiteralString

import psycopg
import typer
from aiokafka.errors import KafkaError
from pydantic import ValidationError

from autonomy import clock
from autonomy.client import NO_JSON, Found, ProofApi, Refused, Unreachable
from autonomy.cluster import ClusterSeen, check_identity, faults_of, look
from autonomy.errors import AutonomyError, Broken
from autonomy.kafka_access import KafkaAccess, replication_of
from autonomy.log_reader import LogReader
from autonomy.read_model import schema_version, version_in
from autonomy.topics import PULSE, TOPICS
from autonomy_cli import options as o
from autonomy_cli.exits import Exit
from autonomy_cli.show import GREEN, RED, YELLOW, painted, print_json, safe

TIMEOUT_S: Final = 5.0
KAFKA_TIMEOUT_S: Final = 15.0
LIVE_WAIT_S: Final = 4.0
"""A planner says a sign of life each second."""
CLOCK_LIMIT_MS: Final = 2_000
MIN_FREE_MIB: Final = 1_024
ROLES: Final = ("autonomy_owner", "autonomy_projection", "autonomy_reader")
PACKAGES: Final = ("aiokafka", "faststream", "pydantic", "fastapi", "sqlalchemy", "psycopg")


class Status(StrEnum):
    """What a check found."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"
    UNREACHABLE = "unreachable"


@dataclass(frozen=True, slots=True)
class Check:
    """One finding; `hint` says what helps, or is empty."""

    name: str
    status: Status
    found: str
    hint: str = ""


Database = Annotated[
    str | None, typer.Option("--database", envvar="DATABASE_URL", help="PostgreSQL as role autonomy_reader; default: the local stack's.")
]


def doctor(
    bootstrap: o.Bootstrap = o.DEFAULT_KAFKA, database: Database = None, api: o.Api = o.DEFAULT_API, as_json: o.Json = False
) -> None:
    """Check reach, credentials, topics, copies, identity, clocks, versions, disk, tables, roles and the notifier. Exit 0: all well
    (warnings are shown); 1: something is not as it must be; 2: Kafka or PostgreSQL does not answer."""  # noqa: D205, D209 (one paragraph)
    found = [
        *asyncio.run(kafka_checks(bootstrap)),
        *postgres_checks(database or local_database()),
        api_check(api),
        notifier_check(),
        disk(),
        versions(),
    ]
    if as_json:
        print_json({"status": worst(found).value, "checks": [asdict(check) for check in found]})
    else:
        for check in found:
            print(line_of(check))
    statuses = {check.status for check in found}
    code = Exit.CANNOT_RUN if Status.UNREACHABLE in statuses else Exit.REFUSED if Status.FAILED in statuses else Exit.OK
    raise typer.Exit(int(code))


def worst(checks: list[Check]) -> Status:
    """The gravest finding."""
    order = list(Status)
    return max((check.status for check in checks), key=order.index, default=Status.OK)


def line_of(check: Check) -> str:
    """A finding for people."""
    colour = {Status.OK: GREEN, Status.WARNING: YELLOW}.get(check.status, RED)
    hint = f"\n{'':24}{safe(check.hint)}" if check.hint else ""
    return f"{painted(f'{check.status.value:11}', colour)} {check.name:11} {safe(check.found)}{hint}"


# ── Kafka ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


async def kafka_checks(bootstrap: str) -> list[Check]:
    """Reach, credentials, identity, topics, copies and the broker's clock."""
    try:
        access = KafkaAccess.of(bootstrap)
    except ValidationError as refusal:
        return [Check("kafka", Status.FAILED, "; ".join(str(fault["msg"]) for fault in refusal.errors()))]
    dead = [address for address in access.addresses() if not await _answers(address)]
    if len(dead) == len(access.addresses()):
        return [
            Check(
                "kafka", Status.UNREACHABLE, f"nothing listens at {access.servers}", "is it running? KAFKA_BOOTSTRAP_SERVERS, --bootstrap"
            )
        ]
    reach = Check("kafka", Status.OK, f"{access.servers} listens")
    if dead:
        reach = Check("kafka", Status.WARNING, f"nothing listens at {', '.join(dead)}", "the others do; a start needs one")
    try:
        async with asyncio.timeout(KAFKA_TIMEOUT_S):
            seen = await look(access)
    except (KafkaError, OSError, TimeoutError, AutonomyError) as refusal:
        how = access.protocol.value + (f" as {access.username}" if access.username else "")
        hint = "protocol, certificate, user and password: KAFKA_SECURITY_PROTOCOL, KAFKA_SSL_*, KAFKA_SASL_*"
        return [reach, Check("credentials", Status.UNREACHABLE, f"no answer by {how}: {refusal!r}", hint)]
    return [
        reach,
        Check("credentials", Status.OK, access.protocol.value),
        identity(access, seen),
        *topics(access, seen),
        await clock_check(access, seen),
    ]


async def _answers(address: str) -> bool:
    host, _, port = address.rpartition(":")
    try:
        async with asyncio.timeout(TIMEOUT_S):
            _, writer = await asyncio.open_connection(host.strip("[]"), int(port))
    except (OSError, TimeoutError):
        return False
    writer.close()
    return True


def identity(access: KafkaAccess, seen: ClusterSeen) -> Check:
    """Whether it is the cluster that was meant, where one was named."""
    try:
        check_identity(seen, access.cluster_id)
    except Broken as fault:
        return Check("identity", Status.FAILED, str(fault))
    compared = "as KAFKA_CLUSTER_ID says" if access.cluster_id else "KAFKA_CLUSTER_ID names none to compare with"
    return Check("identity", Status.OK, f"cluster {seen.cluster_id} ({compared})")


def topics(access: KafkaAccess, seen: ClusterSeen) -> Iterator[Check]:
    """How the topics are made, and how many copies there are."""
    if faults := faults_of(seen, TOPICS, access.replication):
        yield Check("topics", Status.FAILED, "; ".join(map(str, faults)))
    else:
        yield Check("topics", Status.OK, f"{len(seen.topics)} as the log needs them")
    copies = min((topic.replication for topic in seen.topics.values()), default=0)
    words = f"{copies} copies of each partition on {len(seen.brokers)} brokers"
    if replication_of(len(seen.brokers), access.replication) == 1:
        yield Check("copies", Status.OK, words + ": a lost disk loses the log")
    else:
        yield Check("copies", Status.OK if copies > 1 else Status.FAILED, words)


async def clock_check(access: KafkaAccess, seen: ClusterSeen) -> Check:
    """This machine's clock against the broker's, by the time at which it appends the next sign of life."""
    if PULSE not in seen.topics:
        return Check("clock", Status.WARNING, "not compared: there is no topic of signs of life")
    try:
        async with asyncio.timeout(KAFKA_TIMEOUT_S), _pulses(access) as reader:
            until_ms = clock.monotonic_ms() + LIVE_WAIT_S * 1000
            while clock.monotonic_ms() < until_ms:
                if records := await reader.poll(200):
                    return judged(clock.now_ms() - records[-1].timestamp)
    except (KafkaError, OSError, TimeoutError, AutonomyError) as refusal:
        return Check("clock", Status.WARNING, f"not compared: {refusal!r}")
    return Check("clock", Status.WARNING, f"not compared: no sign of life within {LIVE_WAIT_S:.0f} s", "is a planner running?")


@asynccontextmanager
async def _pulses(access: KafkaAccess) -> AsyncIterator[LogReader]:
    """A reader at the end of the signs of life."""
    async with await LogReader.open(access, {PULSE: [0]}, near_end={PULSE: 0}) as reader:
        yield reader


def judged(difference_ms: float) -> Check:
    """A difference of clocks; the way of a record is in it."""
    words = f"{difference_ms / 1000:+.2f} s against the broker's"
    if abs(difference_ms) > CLOCK_LIMIT_MS:
        return Check("clock", Status.FAILED, words, f"at most {CLOCK_LIMIT_MS / 1000:.0f} s: set one of the two by NTP")
    return Check("clock", Status.OK, words)


# ── PostgreSQL ────────────────────────────────────────────────────────────────────────────────────────────────────────


def local_database() -> str | None:
    """The local stack's database as its reader; None where there is none."""
    file = Path(os.environ.get("AUTONOMY_DATA_DIR", ".data")) / "postgres" / "passwords.json"
    try:
        password = json.loads(file.read_text())["autonomy_reader"]
    except (OSError, ValueError, KeyError):
        return None
    return f"postgresql://autonomy_reader:{password}@127.0.0.1:{os.environ.get('POSTGRES_PORT', '5632')}/autonomy"


def postgres_checks(url: str | None) -> Iterator[Check]:
    """Reach, encoding, clock, tables and roles."""
    if url is None:
        yield Check("postgres", Status.WARNING, "not looked at: no database is named", "DATABASE_URL, --database, or AUTONOMY_DATA_DIR")
        return
    try:
        with psycopg.connect(url, connect_timeout=int(TIMEOUT_S), autocommit=True) as connection:
            yield from _asked(connection)
    except psycopg.Error as refusal:
        yield Check("postgres", Status.UNREACHABLE, str(refusal).strip().splitlines()[0], "is it running, and are role and password right?")


def _asked(connection: "psycopg.Connection[tuple[Any, ...]]") -> Iterator[Check]:
    def one(statement: LiteralString) -> str:
        row = connection.execute(statement).fetchone()
        return "" if row is None or row[0] is None else str(row[0])

    encoding = one("SHOW server_encoding"), one("SHOW client_encoding")
    words = f"PostgreSQL {one('SHOW server_version')}, role {one('SELECT current_user')}, encoding {encoding[0]}, this role's {encoding[1]}"
    hint = "" if encoding == ("UTF8", "UTF8") else "both must be UTF8: ALTER ROLE … RESET client_encoding, or another database"
    yield Check("postgres", Status.FAILED if hint else Status.OK, words, hint)
    before_ms = clock.now_ms()
    at_ms = float(one("SELECT extract(epoch FROM clock_timestamp()) * 1000"))
    difference_ms = (before_ms + clock.now_ms()) / 2 - at_ms
    late = abs(difference_ms) > CLOCK_LIMIT_MS
    yield Check(
        "clock (db)", Status.FAILED if late else Status.OK, f"{difference_ms / 1000:+.2f} s against PostgreSQL's", "NTP" if late else ""
    )
    yield tables(one("SELECT obj_description(oid, 'pg_namespace') FROM pg_namespace WHERE nspname = 'autonomy'"))
    yield roles(dict(connection.execute(RIGHTS).fetchall()), one("SELECT current_user"))


def tables(found: str) -> Check:
    """Whether the tables are those of this release, by the comment of their schema."""
    version, needed = version_in(found) or "none", schema_version()
    if version != needed:
        words = f"of version {version}, this release needs {needed}"
        return Check("tables", Status.FAILED, words, "python -m projection.schema as the owner")
    return Check("tables", Status.OK, f"of version {needed}")


RIGHTS: Final = """
SELECT rolname, CASE WHEN rolsuper OR rolcreaterole OR rolbypassrls THEN 'more than it needs'
  WHEN rolname <> 'autonomy_owner' AND to_regnamespace('autonomy') IS NOT NULL
    AND has_schema_privilege(rolname, to_regnamespace('autonomy')::oid, 'CREATE') THEN 'may make tables'
  WHEN rolname = 'autonomy_reader' AND EXISTS (SELECT FROM pg_class
    WHERE relnamespace = to_regnamespace('autonomy') AND relkind IN ('r', 'p')
    AND has_table_privilege(rolname, pg_class.oid, 'INSERT, UPDATE, DELETE, TRUNCATE')) THEN 'may write'
  ELSE '' END
FROM pg_roles WHERE rolname LIKE 'autonomy\\_%'
"""


def roles(found: Mapping[str, str], asked_as: str) -> Check:
    """Whether each role exists and has no right that it does not need; pure."""
    wrong = [f"{name} is missing" for name in ROLES if name not in found]
    wrong += [f"{name}: {words}" for name, words in sorted(found.items()) if words]
    if wrong:
        return Check("roles", Status.FAILED, "; ".join(wrong), "deploy/postgres/roles.sh has the rights of each")
    words = f"{', '.join(ROLES)}: each has only the rights it needs"
    return Check("roles", Status.OK, words + ("" if asked_as in ROLES else f"; asked as {asked_as}"))


# ── this machine ──────────────────────────────────────────────────────────────────────────────────────────────────────


def api_check(api: str) -> Check:
    """Whether the proof API answers, and what it says of itself."""
    match ProofApi(api, timeout_s=TIMEOUT_S).get("/readyz"):
        case Unreachable(kind=kind):
            return Check("proof-api", Status.FAILED, f"{api} does not answer ({kind})", "--api, AUTONOMY_API")
        case Refused(code=code) if code == NO_JSON:
            return Check("proof-api", Status.FAILED, f"{api} does not answer (no JSON)", "--api, AUTONOMY_API")
        case Refused(status=status, document=said):
            return Check("proof-api", Status.FAILED, f"{api}: {said.get('reason') or status}")
        case Found():
            return Check("proof-api", Status.OK, f"{api} is ready")


def notifier_check() -> Check:
    """Whether the notifier runs and every receiver takes what it is told; where none runs, that nobody is told."""
    address, asked = f"http://127.0.0.1:{os.environ.get('NOTIFIER_PORT', '5002')}", os.environ.get("NOTIFY_RULES", "")
    match ProofApi(address, timeout_s=TIMEOUT_S).get("/readyz"):
        case Found(document={"receivers": list(receivers)}):
            return told(receivers)
        case Refused(document=said) if "receivers" in said:
            return Check("notifier", Status.FAILED, f"{address}: {said.get('reason')}", "docs/runbooks/NotifierFailing.md")
        case _ if asked:
            return Check(
                "notifier", Status.FAILED, f"{address} does not answer, and NOTIFY_RULES is {asked}", "its log says why: make logs"
            )
        case _:
            return Check("notifier", Status.WARNING, "off: nobody is told what happens", "NOTIFY_RULES=file make up; docs/notifier.md")


def told(receivers: Sequence[Mapping[str, object]]) -> Check:
    """Whether each receiver takes what it is told; pure."""
    failing = [
        f"{one['name']} takes nothing since {one['failingSince']} ({one['problem']}), {one['waiting']} wait"
        for one in receivers
        if one.get("failingSince")
    ]
    if failing:
        return Check("notifier", Status.FAILED, "; ".join(failing), "autonomy notify test; docs/runbooks/NotifierFailing.md")
    return Check("notifier", Status.OK, f"{', '.join(str(one['name']) for one in receivers)}: each takes what it is told")


def disk() -> Check:
    """Room in the data folder: the log only grows."""
    folder = Path(os.environ.get("AUTONOMY_DATA_DIR", ".data")).absolute()
    while not folder.exists():
        folder = folder.parent
    free_mib = shutil.disk_usage(folder).free // (1024 * 1024)
    if free_mib < MIN_FREE_MIB:
        return Check("disk", Status.FAILED, f"{free_mib} MiB are free in {folder}", f"at least {MIN_FREE_MIB} MiB")
    return Check("disk", Status.OK, f"{free_mib} MiB are free in {folder}")


def versions() -> Check:
    """What runs here."""
    return Check("versions", Status.OK, ", ".join([f"Python {platform.python_version()}", *map(_version, PACKAGES)]))


def _version(name: str) -> str:
    try:
        return f"{name} {version(name)}"
    except PackageNotFoundError:
        return f"{name} is not installed"
