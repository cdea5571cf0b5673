"""The whole local stack: what is in it, and how it comes up and goes down."""

import asyncio
import hashlib
import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from http.client import HTTPException
from pathlib import Path

import yaml
from aiokafka.errors import KafkaError

from autonomy.cluster import check_identity, check_log, look
from autonomy.errors import AutonomyError, Broken
from autonomy.kafka import ensure_topics
from autonomy.kafka_access import KafkaAccess
from autonomy.topics import TOPICS
from local_stack.database import create_database
from local_stack.jars import ensure_jars
from local_stack.kafka_server import KafkaServer
from local_stack.postgres_server import PostgresServer
from local_stack.settings import ROOT, StackSettings
from local_stack.supervise import Program, Supervisor
from local_stack.waiting import Waiting

MIN_FREE_MIB = 1024
HTTP_TIMEOUT_S = 10
SAY_TIMEOUT_S = 120
SERVER_START_S = 5
SERVICE_START_S = 2
"""A process that ends sooner is started again more and more slowly; it is never called running."""
PRIVATE = ("kafka", "logs", "artifacts")
SERVICES = ("planner", "job-runner", "projection", "proof-api", "bots-ui")


class Stack:
    """One stack of one data folder."""

    def __init__(self, settings: StackSettings) -> None:
        self.settings = settings
        self.folder = settings.data_dir.resolve()
        self.supervisor = Supervisor(self.folder)
        self.postgres = PostgresServer(self.folder / "postgres", settings.postgres_port)

    def kafka(self) -> KafkaServer:
        """The broker; resolves its jars the first time."""
        jars = ensure_jars(self.settings.cache_dir.resolve())
        return KafkaServer(self.folder / "kafka", jars, self.settings.kafka_port, self.settings.kafka_controller_port)

    def check_ports(self) -> None:
        """Every port must be free.

        Raises:
            Broken: names the setting and the port.
        """
        ports = self.settings.ports()
        for port in ports.values():
            if len(names := [name for name, other in ports.items() if other == port]) > 1:
                raise Broken(f"{' and '.join(names)} are both {port}: each needs a port of its own")
        for name, port in ports.items():
            with socket.socket() as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                try:
                    probe.bind(("127.0.0.1", port))
                except OSError as taken:
                    raise Broken(f"port {port} is taken: stop what uses it, or set {name} to another port") from taken

    def check_running(self) -> None:
        """Whatever reads a stack needs one that is up.

        Raises:
            Broken: it is not.
        """
        if self.settings.external_kafka is None and self.supervisor.pid() is None:
            raise Broken("not running: `make up` starts it")

    def check_disk(self) -> None:
        """The log only grows: starting on a full disk would lose the next record.

        Raises:
            Broken: names the folder and what is needed.
        """
        try:
            # The log, passwords and tokens are nobody else's business; PostgreSQL's own user, where there is one, only passes through.
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.folder.chmod(0o700 if self.postgres.system_user is None else 0o711)
            for name in PRIVATE:
                (self.folder / name).mkdir(mode=0o700, exist_ok=True)
                (self.folder / name).chmod(0o700)
        except OSError as refusal:
            raise Broken(f"AUTONOMY_DATA_DIR must be a folder that can be made and written: {refusal}") from refusal
        free_mib = shutil.disk_usage(self.folder).free // (1024 * 1024)
        if free_mib < MIN_FREE_MIB:
            raise Broken(f"{self.folder} has {free_mib} MiB free, at least {MIN_FREE_MIB} MiB are needed (AUTONOMY_DATA_DIR moves it)")

    def up(self) -> None:
        """Start everything, take in the demo fleet, wait for the first tick, say where it is."""
        started = time.monotonic()
        if self.supervisor.pid() is not None:
            print("Already up.")
            self.say_where()
            return
        self.check_disk()
        self.supervisor.stop()  # what a manager that died left behind would hold the ports
        self.check_ports()
        self.prepare_operator()
        self.supervisor.write(self.programs())
        self.supervisor.start()
        waiting = Waiting(self.supervisor, self.settings.up_timeout_s, lambda words: print(words, flush=True))
        try:
            self.initialise(waiting)
            self.register_fleet(waiting)
            self.wait_first_tick(waiting)
            waiting.until_listens("bots-ui", {"BOTS_UI_PORT": self.settings.bots_ui_port})
        except (AutonomyError, OSError, KafkaError, subprocess.SubprocessError):
            print(f"It did not come up; the logs are in {self.folder / 'logs'}. Stopping.", file=sys.stderr)
            self.supervisor.stop()
            raise
        print(f"Up in {time.monotonic() - started:.1f} s.")
        self.say_where()

    def initialise(self, waiting: Waiting) -> None:
        """Wait for the servers, see that they are this stack's, then make topics, roles, tables; safe to do again.

        Raises:
            Broken: a server cannot run, another one answers in its place, or the topics are not as the log needs them.
        """
        if self.settings.external_postgres is None:
            waiting.until_listens("postgres", {"POSTGRES_PORT": self.settings.postgres_port})
            waiting.until("postgres", self.postgres.look, ["postgres"])
            create_database(self.postgres)
        owner = self.settings.external_postgres or self.postgres.url("autonomy_owner")
        migrating = subprocess.Popen(  # runs beside the wait for Kafka
            [sys.executable, "-m", "projection.migrate"], env={**os.environ, "DATABASE_URL": owner}, cwd=ROOT
        )
        try:
            if self.settings.external_kafka is None:
                ports = {"KAFKA_PORT": self.settings.kafka_port, "KAFKA_CONTROLLER_PORT": self.settings.kafka_controller_port}
                waiting.until_listens("kafka", ports)
            asyncio.run(self.make_topics())
            running = "they run"
            waiting.until("the migrations", lambda: running if migrating.poll() is None else None, self.servers())
        finally:
            if migrating.poll() is None:
                migrating.kill()
                migrating.wait()
        if migrating.returncode != 0:
            raise Broken("the migrations failed; see above")

    async def make_topics(self) -> None:
        """Make the topics of the log, once it is known that this is the cluster that was meant.

        Raises:
            Broken: it is another one, or its topics were made by somebody else.
        """
        access = KafkaAccess.of(self.settings.kafka)
        expected = self.kafka().cluster_id() if self.settings.external_kafka is None else access.cluster_id
        access = access.model_copy(update={"cluster_id": expected})
        check_identity(await look(access, ()), expected)
        await ensure_topics(access, TOPICS)
        await check_log(access)

    def programs(self) -> list[Program]:
        """Everything that is supervised."""
        programs: list[Program] = []
        if self.settings.external_kafka is None:
            kafka = self.kafka()
            kafka.prepare()
            programs.append(Program("kafka", kafka.command(), 10, stop_wait_s=20, start_s=SERVER_START_S))
        if self.settings.external_postgres is None:
            self.postgres.prepare()
            programs.append(
                Program(
                    "postgres",
                    self.postgres.command(),
                    10,
                    user=self.postgres.system_user,
                    stop_signal="INT",
                    stop_wait_s=15,
                    start_s=SERVER_START_S,
                )
            )
        return programs + self.services()

    def services(self) -> list[Program]:
        """The five services with their environment; each gets the database role that it needs and no other."""
        common = {"KAFKA_BOOTSTRAP_SERVERS": self.settings.kafka, "NUMBA_CACHE_DIR": str(ROOT / ".venv" / "numba")}
        if self.settings.external_kafka is None:
            common["KAFKA_CLUSTER_ID"] = self.kafka().cluster_id()
        common |= {
            name: os.environ[name] for name in os.environ if name.startswith(("OTEL_", "LOG_LEVEL", "BARS_FOLDER", "RUNNER_", "EVOLUTION_"))
        }

        def service(name: str, module: str, priority: int, **environment: str) -> Program:
            command = (sys.executable, "-m", module)
            return Program(name, command, priority, common | environment, directory=str(ROOT), stop_wait_s=15, start_s=SERVICE_START_S)

        artifacts = str(self.folder / "artifacts")
        runners = [
            service("job-runner" + (f"-{number}" if number else ""), "job_runner", 30, ARTIFACTS_URL=artifacts)
            for number in range(self.settings.job_runners)
        ]
        ui_key = self.folder / "session.key"
        return [
            service("planner", "planner", 20),
            *runners,
            service("projection", "projection", 20, DATABASE_URL=self.database("autonomy_projection")),
            service(
                "proof-api", "proof_api", 20, DATABASE_URL=self.database("autonomy_reader"),
                PROOF_API_PORT=str(self.settings.proof_api_port), OPERATORS_FILE=str(self.folder / "operators.json"),
            ),
            service(
                "bots-ui", "bots_ui", 40, PROOF_API_URL=self.api, BOTS_UI_PORT=str(self.settings.bots_ui_port),
                SESSION_KEY_FILE=str(ui_key),
            ),
        ]  # fmt: skip

    def database(self, role: str) -> str:
        """The database URL of a role."""
        return self.settings.external_postgres or self.postgres.url(role)

    @property
    def api(self) -> str:
        """Where the proof API answers."""
        return f"http://127.0.0.1:{self.settings.proof_api_port}"

    def prepare_operator(self) -> None:
        """Make operator `local` once: a token in the data folder, its hash in the operators file."""
        token_file, operators = self.folder / "operator.token", self.folder / "operators.json"
        if not token_file.exists():
            token_file.touch(mode=0o600)
            token_file.write_text(secrets.token_urlsafe(32) + "\n")
        if not operators.exists():
            digest = hashlib.sha256(token_file.read_text().strip().encode()).hexdigest()
            operators.touch(mode=0o600)
            operators.write_text(json.dumps([{"name": "local", "role": "approver", "sha256": digest}], indent=1))
        key = self.folder / "session.key"
        if not key.exists():
            key.touch(mode=0o600)
            key.write_text(secrets.token_urlsafe(32))

    def register_fleet(self, waiting: Waiting) -> None:
        """Say the demo fleet and the policy; bots that are known already stay as they are."""
        self.wait_api(waiting)
        # A policy said twice acts once: its key is its content.
        policy = yaml.safe_load(self.settings.policy.read_text())
        self.say({"type": "set-policy", "document": policy, "reason": "make up"})
        bots = yaml.safe_load(self.settings.fleet.read_text())["bots"]
        answer = self.say({"type": "register-bots", "bots": bots, "reason": "make up"})
        rejected = [outcome for outcome in answer.get("outcomes", []) if outcome["outcome"] == "REJECTED"]
        for outcome in rejected:
            print(f"  {outcome['botId']} was rejected: {outcome['field']}: {outcome['limit']}", file=sys.stderr)

    def say(self, command: dict[str, object]) -> dict[str, list[dict[str, str]]]:
        """Say a command as operator `local`."""
        content = json.dumps(command, sort_keys=True, default=str)
        token = (self.folder / "operator.token").read_text().strip()
        request = urllib.request.Request(  # noqa: S310 (our own loopback address)
            f"{self.api}/api/commands", data=content.encode(), method="POST",
            headers={
                "Content-Type": "application/json", "Authorization": f"Bearer {token}",
                "Idempotency-Key": hashlib.sha256(content.encode()).hexdigest(),
            },
        )  # fmt: skip
        try:
            with urllib.request.urlopen(request, timeout=SAY_TIMEOUT_S) as response:  # noqa: S310
                answer: dict[str, list[dict[str, str]]] = json.loads(response.read())
        except urllib.error.HTTPError as refusal:
            raise Broken(f"{command['type']} was refused: {refusal.read().decode()[:500]}") from refusal
        return answer

    def wait_api(self, waiting: Waiting) -> None:
        """Block until the proof API answers and everything behind it."""
        waiting.until_listens("proof-api", {"PROOF_API_PORT": self.settings.proof_api_port})
        waiting.until("the proof API", self.look_at_api, ("planner", "projection", "proof-api", *self.servers()))

    def look_at_api(self) -> str | None:
        """None when it is ready, else its own words."""
        try:
            with urllib.request.urlopen(f"{self.api}/readyz", timeout=HTTP_TIMEOUT_S):  # noqa: S310
                return None
        except urllib.error.HTTPError as refusal:
            try:
                return str(json.loads(refusal.read())["reason"] or f"it answers {refusal.code}")
            except (ValueError, KeyError, TypeError):
                return f"it answers {refusal.code}"
        except (OSError, HTTPException) as refusal:
            return f"it does not answer ({refusal})"

    def wait_first_tick(self, waiting: Waiting) -> None:
        """Block until a tick was accepted and shows."""
        waiting.until("the first tick", self.look_at_tick, ("planner", "projection", "proof-api", *self.servers()))

    def look_at_tick(self) -> str | None:
        """None when a tick shows, else what is seen."""
        try:
            with urllib.request.urlopen(f"{self.api}/api/_proof/autonomy", timeout=HTTP_TIMEOUT_S) as response:  # noqa: S310
                found = json.loads(response.read())
        except (OSError, HTTPException, ValueError) as refusal:
            return f"the proof API does not answer ({refusal})"
        return None if found["lastTickAt"] is not None else "no tick was accepted yet"

    def servers(self) -> tuple[str, ...]:
        """The servers that this stack starts itself."""
        own = {"kafka": self.settings.external_kafka, "postgres": self.settings.external_postgres}
        return tuple(name for name, external in own.items() if external is None)

    def say_where(self) -> None:
        """Print the addresses."""
        ui = f"http://127.0.0.1:{self.settings.bots_ui_port}"
        print(f"  Bots page    {ui}")
        print(f"  Sign in      {ui}/sign-in   (operator local; token in {_short(self.folder / 'operator.token')})")
        print(f"  Proof        curl -s {self.api}/api/_proof/autonomy | jq")
        print(f"               curl -s {self.api}/api/_proof/jobs | jq")
        print("  SQL          make psql        Log   make consume TOPIC=autonomy.runs")

    def down(self) -> None:
        """Stop everything; the data stays."""
        self.supervisor.stop()
        print("Down.")

    def reset(self) -> None:
        """Stop everything and delete the data folder."""
        self.supervisor.stop()
        if self.folder.exists() and (self.folder / "supervisord.conf").exists():
            shutil.rmtree(self.folder)
        print("Stopped, data deleted.")


def _short(path: Path) -> Path:
    return path.relative_to(ROOT) if path.is_relative_to(ROOT) else path
