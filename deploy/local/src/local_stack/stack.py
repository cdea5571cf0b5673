"""The whole local stack: what is in it, and how it comes up and goes down."""

import asyncio
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
from http.client import HTTPException
from pathlib import Path

import yaml
from aiokafka.errors import KafkaError

from autonomy.acls import ADMINISTRATOR, RIGHTS, rules
from autonomy.cluster import check_identity, check_log, look, set_rules
from autonomy.errors import AutonomyError, Broken, Retryable
from autonomy.kafka import ensure_topics
from autonomy.kafka_access import KafkaAccess
from autonomy.topics import TOPICS
from autonomy_cli.prepare import add_operator, first_operator, secret
from local_stack.api import look_at_api, look_at_tick, say_once, sign_in_words
from local_stack.database import create_database
from local_stack.examining import check_rules, examine
from local_stack.jars import ensure_jars
from local_stack.kafka_server import KafkaServer, is_secured
from local_stack.postgres_server import PostgresServer
from local_stack.security import Security
from local_stack.settings import ROOT, StackSettings
from local_stack.supervise import Program, Supervisor
from local_stack.waiting import Waiting

MIN_FREE_MIB = 1024
UNAVAILABLE = 503
SERVER_START_S = 5
SERVICE_START_S = 2
"""A process that ends sooner is started again more and more slowly; it is never called running."""
PRIVATE = ("kafka", "logs", "artifacts")
PASSED_ON = (
    "OTEL_", "LOG_LEVEL", "BARS_", "RUNNER_", "EVOLUTION_", "ALLOWED_HOSTS", "AUTH_MODE", "BASE_PATH", "COOKIE_SECURE",
)  # fmt: skip
"""Settings of the services that the environment of `make up` gives them, by how they begin."""
PAGE_CREDENTIAL = "bots-ui.token"
"""File with the token of an operator that only reads."""
SERVICES = ("planner", "job-runner", "projection", "proof-api", "bots-ui", "notifier")


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
        settings = self.settings
        return KafkaServer(self.folder / "kafka", jars, settings.kafka_port, settings.kafka_controller_port, security=self.security)

    @property
    def security(self) -> Security | None:
        """Certificates and passwords of the own Kafka, where SECURE asks for them or its storage was made with them."""
        wanted = self.settings.secure or is_secured(self.folder / "kafka")
        return Security(self.folder / "secure") if wanted and self.settings.external_kafka is None else None

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
        check_rules(self.settings.notify_rules)
        self.prepare_operators()
        self.supervisor.write(self.programs())
        self.supervisor.start()
        waiting = Waiting(self.supervisor, self.settings.up_timeout_s, lambda words: print(words, flush=True))
        try:
            self.initialise(waiting)
            self.register_fleet(waiting)
            self.wait_first_tick(waiting)
            waiting.until_listens("bots-ui", {"BOTS_UI_PORT": self.settings.bots_ui_port})
            if self.settings.notify_rules is not None:
                waiting.until_listens("notifier", {"NOTIFIER_PORT": self.settings.notifier_port})
                waiting.until("the notifier", lambda: look_at_api(f"http://127.0.0.1:{self.settings.notifier_port}"), ["notifier"])
        except (AutonomyError, OSError, KafkaError, subprocess.SubprocessError):
            print(f"It did not come up; the logs are in {self.folder / 'logs'}. Stopping.", file=sys.stderr)
            self.supervisor.stop()
            raise
        print(f"Up in {time.monotonic() - started:.1f} s.")
        self.say_where()
        self.examine()

    def examine(self) -> None:
        """Say what `autonomy doctor` finds wrong; it is the same as by hand."""
        settings, rules = self.settings, self.settings.notify_rules
        environment = {**os.environ, **self.kafka_environment(), "AUTONOMY_DATA_DIR": str(self.folder)}
        # Without rules nobody listens there, and if somebody does, it is another stack's.
        environment |= {"NOTIFY_RULES": str(rules or ""), "NOTIFIER_PORT": str(settings.notifier_port if rules else 0)}
        environment |= {"PROOF_API_PORT": str(settings.proof_api_port), "POSTGRES_PORT": str(settings.postgres_port)}
        examine(environment | {"DATABASE_URL": self.database("autonomy_reader")})

    def kafka_environment(self, principal: str = "auditor") -> dict[str, str]:
        """What a client of this stack's Kafka is told; with SECURE it comes as a principal."""
        found = {"KAFKA_BOOTSTRAP_SERVERS": self.settings.kafka}
        if self.settings.external_kafka is None:
            found["KAFKA_CLUSTER_ID"] = self.kafka().cluster_id()
        return found if self.security is None else found | self.security.environment(principal)

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
        making = subprocess.Popen(  # runs beside the wait for Kafka
            [sys.executable, "-m", "projection.schema"], env={**os.environ, "DATABASE_URL": owner}, cwd=ROOT
        )
        try:
            if self.settings.external_kafka is None:
                ports = {"KAFKA_PORT": self.settings.kafka_port, "KAFKA_CONTROLLER_PORT": self.settings.kafka_controller_port}
                waiting.until_listens("kafka", ports)
            waiting.until("the topics", self.attempt_topics, self.servers())
            running = "they run"
            waiting.until("the tables", lambda: running if making.poll() is None else None, self.servers())
        finally:
            if making.poll() is None:
                making.kill()
                making.wait()
        if making.returncode != 0:
            raise Broken("the tables could not be made; see above")

    def attempt_topics(self) -> str | None:
        """None when they are made, else what the broker said."""
        try:
            asyncio.run(self.make_topics())
        except (KafkaError, Retryable) as refusal:
            return f"Kafka does not answer in time ({refusal!r})"
        return None

    async def make_topics(self) -> None:
        """Make the topics of the log, once it is known that this is the cluster that was meant.

        Raises:
            Broken: it is another one, or its topics were made by somebody else.
        """
        access = KafkaAccess.of(self.settings.kafka)
        if self.security is not None:
            access = self.security.access(self.settings.kafka, ADMINISTRATOR)
        expected = self.kafka().cluster_id() if self.settings.external_kafka is None else access.cluster_id
        access = access.model_copy(update={"cluster_id": expected})
        check_identity(await look(access, ()), expected)
        await ensure_topics(access, TOPICS)
        await check_log(access)
        if self.security is not None:
            await set_rules(access, rules())

    def programs(self) -> list[Program]:
        """Everything that is supervised."""
        programs: list[Program] = []
        if self.settings.external_kafka is None:
            kafka = self.kafka()
            kafka.prepare()
            if self.security is not None:
                self.security.write_for_people(self.settings.kafka)
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
        """The services with their environment, the notifier where it has rules; each gets the database role that it needs and no other."""
        common = {"NUMBA_CACHE_DIR": str(ROOT / ".venv" / "numba")}
        common |= {name: os.environ[name] for name in os.environ if name.startswith(PASSED_ON)}

        def service(name: str, module: str, priority: int, **environment: str) -> Program:
            command = (sys.executable, "-m", module)
            principal = "job-runner" if name.startswith("job-runner") else name
            # The page has no business with Kafka: it gets no credential for it.
            kafka = self.kafka_environment(principal) if principal in RIGHTS else {}
            return Program(
                name, command, priority, kafka | common | environment, directory=str(ROOT), stop_wait_s=15, start_s=SERVICE_START_S
            )

        artifacts = str(self.folder / "artifacts")
        # People put their files beside the data, not into it: `make reset` leaves them alone.
        strategies = {
            "STRATEGIES_FOLDER": os.environ.get("STRATEGIES_FOLDER", str(self.folder.parent / "strategies")),
            "STRATEGY_COPIES": str(self.folder / "strategies"),
        }
        bars = self.folder.parent / "bars"
        bars.mkdir(exist_ok=True)
        demo = {"BARS_FOLDER": str(bars), "BARS_DEMO": "1", "BARS_PLANTED": str(int(self.settings.synthetic))}
        own_bars = {} if {"BARS_FOLDER", "BARS_EXCHANGE"} & set(os.environ) else demo
        runners = [
            service(
                "job-runner" + (f"-{number}" if number else ""), "job_runner", 30, ARTIFACTS_URL=artifacts,
                RUNNER_SNAPSHOTS=str(self.folder / "runner-snapshots"), **strategies, **own_bars,
            )
            for number in range(self.settings.job_runners)
        ]  # fmt: skip
        ui_key = self.folder / "session.key"
        rules = self.settings.notify_rules
        # It stops first: what ends the others is no silence that anybody should be told of.
        notifiers = [] if rules is None else [
            service("notifier", "notifier", 50, NOTIFY_RULES=str(rules.resolve()), NOTIFIER_PORT=str(self.settings.notifier_port))
        ]  # fmt: skip
        reading = {"PROOF_API_TOKEN_FILE": os.environ.get("PROOF_API_TOKEN_FILE", str(self.folder / PAGE_CREDENTIAL))}
        return [
            service(
                "planner", "planner", 20, PLANNER_HEAD_FILE=str(self.folder / "planner.head"),
                PLANNER_SNAPSHOTS=str(self.folder / "snapshots"),
            ),
            *runners,
            service("projection", "projection", 20, DATABASE_URL=self.database("autonomy_projection")),
            service(
                "proof-api", "proof_api", 20, DATABASE_URL=self.database("autonomy_reader"),
                PROOF_API_PORT=str(self.settings.proof_api_port), OPERATORS_FILE=str(self.folder / "operators.json"),
                ARTIFACTS_URL=artifacts,
            ),
            service(
                "bots-ui", "bots_ui", 40, PROOF_API_URL=self.api, BOTS_UI_PORT=str(self.settings.bots_ui_port),
                SESSION_KEY_FILE=str(ui_key), **(reading if self.reading_needs_a_token else {}),
            ),
            *notifiers,
        ]  # fmt: skip

    def database(self, role: str) -> str:
        """The database URL of a role."""
        return self.settings.external_postgres or self.postgres.url(role)

    @property
    def api(self) -> str:
        """Where the proof API answers."""
        return f"http://127.0.0.1:{self.settings.proof_api_port}"

    def prepare_operators(self) -> None:
        """Make operator `local` once, one for the page's own reading where that needs a token, and the key of its sessions."""
        first_operator(self.folder)
        if self.reading_needs_a_token:
            add_operator(self.folder, "bots-ui", "viewer", PAGE_CREDENTIAL)
        secret(self.folder / "session.key")

    @property
    def reading_needs_a_token(self) -> bool:
        """Whether the proof API and the page are for operators only."""
        return os.environ.get("AUTH_MODE") == "token-everywhere"

    def register_fleet(self, waiting: Waiting) -> None:
        """Say the demo fleet and the policy; bots that are known already stay as they are."""
        self.wait_api(waiting)
        # A policy said twice acts once: its key is its content.
        policy = yaml.safe_load(self.settings.policy.read_text())
        self.say({"type": "set-policy", "document": policy, "reason": "make up"}, waiting)
        bots = [bot for fleet in self.settings.fleets for bot in yaml.safe_load(fleet.read_text())["bots"]]
        answer = self.say({"type": "register-bots", "bots": bots, "reason": "make up"}, waiting)
        rejected = [outcome for outcome in answer.get("outcomes", []) if outcome["outcome"] == "REJECTED"]
        for outcome in rejected:
            print(f"  {outcome['botId']} was rejected: {outcome['field']}: {outcome['limit']}", file=sys.stderr)

    def say(self, command: dict[str, object], waiting: Waiting) -> dict[str, list[dict[str, str]]]:
        """Say a command as operator `local`, again while the proof API cannot take it: its key makes it one command.

        Raises:
            Broken: it was refused, or a process that it needs cannot run.
        """
        answers: list[dict[str, list[dict[str, str]]]] = []
        token = self.token()

        def attempt() -> str | None:
            try:
                answers.append(say_once(self.api, token, command))
            except urllib.error.HTTPError as refusal:
                words = refusal.read().decode()[:500]
                if refusal.code != UNAVAILABLE:
                    raise Broken(f"{command['type']} was refused: {words}") from refusal
                return words
            except (OSError, HTTPException) as refusal:
                return f"the proof API does not answer ({refusal})"
            return None

        waiting.until(str(command["type"]), attempt, ("planner", "projection", "proof-api", *self.servers()))
        return answers[-1]

    def token(self) -> str:
        """The token of operator `local`."""
        return (self.folder / "operator.token").read_text().strip()

    def wait_api(self, waiting: Waiting) -> None:
        """Block until the proof API answers and everything behind it."""
        waiting.until_listens("proof-api", {"PROOF_API_PORT": self.settings.proof_api_port})
        waiting.until("the proof API", lambda: look_at_api(self.api), ("planner", "projection", "proof-api", *self.servers()))

    def wait_first_tick(self, waiting: Waiting) -> None:
        """Block until a tick was accepted and shows."""
        waiting.until(
            "the first tick", lambda: look_at_tick(self.api, self.token()), ("planner", "projection", "proof-api", *self.servers())
        )

    def servers(self) -> tuple[str, ...]:
        """The servers that this stack starts itself."""
        own = {"kafka": self.settings.external_kafka, "postgres": self.settings.external_postgres}
        return tuple(name for name, external in own.items() if external is None)

    def say_where(self) -> None:
        """Print the addresses."""
        ui = f"http://127.0.0.1:{self.settings.bots_ui_port}"
        print(f"  Bots page    {ui}")
        print(f"  Sign in      {sign_in_words(ui, self.folder / 'operator.token', _short(self.folder / 'operator.token'))}")
        print(f"  Proof        curl -s {self.api}/api/_proof/autonomy | jq")
        print(f"               curl -s {self.api}/api/_proof/jobs | jq")
        print("  SQL          make psql        Log   make consume TOPIC=autonomy.runs")
        off = "off: nobody is told anything. NOTIFY_RULES=file starts it, see docs/notifier.md"
        print(f"  Notifier     {off if self.settings.notify_rules is None else self.settings.notify_rules}")

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
