"""The platform as real processes on real servers, small enough for a test: short leases, quick ticks, real backtests."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import psutil
import psycopg
from psycopg.rows import dict_row

from autonomy.clock import drawn_id
from autonomy.envelope import encode
from autonomy.events import Command, RegisterBots, SetPolicy
from autonomy.topics import COMMANDS
from autonomy.values import instant_of_ms
from local_stack.settings import ROOT
from support.builders import a_policy
from support.log import append
from support.patience import PATIENCE_S
from support.servers import Broker, Database, free_port

LEASE_S, BEAT_S, DEADLINE_S = 3.0, 0.4, 1.2
SMALL_SUITE = {
    "permuted_markets": 200, "truncation_cuts": 10, "neighbourhood_steps": 1, "stress_levels": 2, "walk_forward_windows": 2,
}  # fmt: skip
LARGE_SUITE = {
    "permuted_markets": 20_000, "hopeless_after": 20_000, "truncation_cuts": 100, "neighbourhood_steps": 2, "stress_levels": 4, "walk_forward_windows": 4,
}  # fmt: skip


def quick_policy(**research: Any) -> dict[str, Any]:
    """Ticks each second, leases of three; thresholds as they are."""
    suite = research.pop("suite", SMALL_SUITE)
    stages = a_policy().model_dump(mode="json")["stages"]
    # The runners of these tests have no slot for searches: who wanted one would be blocked, and rightly so.
    stages["LAB"]["wants"] = ["BACKTEST_BASELINE", "BACKTEST_REFRESH"]
    return {
        "stages": stages,
        "name": "quick", "tick_interval_s": 1.0, "early_tick_spacing_s": 0.2, "rules_approvers": 1,
        "market": {"mode": "REPLAY", "start": "2010-01-04", "end": "2013-03-01", "seconds_per_bar": research.pop("seconds_per_bar", 0.5)},
        "leases": {"lease_s": LEASE_S, "beat_s": BEAT_S, "claim_deadline_s": DEADLINE_S, "failures_limit": research.pop("failures_limit", 3)},
        "research": {"suite": suite, **research},
        "cooldowns": {"after_cancel_s": 2.0, "after_crash_s": 1.0},
    }  # fmt: skip


def fleet(count: int, symbols: tuple[str, ...] = ("AAPL", "GOOG", "IBM", "MSFT")) -> list[dict[str, Any]]:
    """LAB bots with different parameters."""
    return [
        {"id": f"bot-{number:03d}", "strategy": "sma-cross", "symbol": symbols[number % len(symbols)],
         "parameters": {"fast": 5 + number % 40, "slow": 60 + number % 100}}
        for number in range(count)
    ]  # fmt: skip


def wait_for(what: str, condition: Callable[[], Any], timeout_s: float = PATIENCE_S, every_s: float = 0.05) -> Any:
    """Wait until a condition holds and return its value; a test never sleeps for a guess. A look whose own connection broke is no look."""
    deadline = time.monotonic() + timeout_s
    last: Any = None
    while time.monotonic() < deadline:
        try:
            last = condition()
            if last:
                return last
        except (psycopg.Error, OSError, httpx.TransportError) as fault:
            last = fault
        time.sleep(every_s)
    raise AssertionError(f"waited {timeout_s:.0f} s for {what}; last seen: {last!r}")


@dataclass
class Service:
    """One process of the platform."""

    name: str
    process: "subprocess.Popen[bytes]"
    log: Path

    def signal(self, number: int) -> None:
        self.process.send_signal(number)

    def show_alive(self) -> None:
        """A fault needs a subject: what ended by itself before is neither killed, nor frozen, nor stopped."""
        assert self.alive, f"{self.name} had ended by itself with {self.process.returncode}:\n{self.log.read_text()[-1500:]}"

    def wait_until(self, what: str, condition: Callable[[], Any]) -> Any:
        """Wait for what this process is about to do, and no longer than it lives."""

        def look() -> Any:
            self.show_alive()
            return condition()

        return wait_for(what, look)

    def kill(self) -> None:
        self.show_alive()
        self.process.kill()
        assert self.process.wait() == -signal.SIGKILL, f"{self.name} ended by itself at the moment of its kill"

    def freeze(self) -> None:
        self.show_alive()
        self.signal(signal.SIGSTOP)
        wait_for(f"{self.name} stands still", lambda: psutil.Process(self.process.pid).status() == psutil.STATUS_STOPPED)

    def thaw(self) -> None:
        self.signal(signal.SIGCONT)

    def stop(self, timeout_s: float = PATIENCE_S) -> int:
        self.show_alive()
        self.process.terminate()
        return self.process.wait(timeout_s)

    @property
    def alive(self) -> bool:
        return self.process.poll() is None


@dataclass
class Platform:
    """Services on a broker and a database; everything that was started is stopped by `close`."""

    broker: Broker
    database: Database
    folder: Path
    services: list[Service] = field(default_factory=list)
    api_port: int = field(default_factory=free_port)

    def start(self, name: str, module: str, **environment: str) -> Service:
        log = self.folder / f"{name}-{len(self.services)}.log"
        common = {
            "KAFKA_BOOTSTRAP_SERVERS": self.broker.bootstrap, "RUNNER_BEAT_S": str(BEAT_S), "RUNNER_LEASE_S": str(LEASE_S),
            "RUNNER_CLAIM_DEADLINE_S": str(DEADLINE_S), "RUNNER_DRAIN_S": "0.5", "PLANNER_TAKEOVER_S": "2",
            "ARTIFACTS_URL": str(self.folder / "artifacts"), "NUMBA_CACHE_DIR": str(ROOT / ".venv" / "numba"),
        }  # fmt: skip
        with log.open("wb") as out:
            process = subprocess.Popen(
                [sys.executable, "-m", module], stdout=out, stderr=out, env={**os.environ, **common, **environment}, cwd=ROOT
            )
        service = Service(name, process, log)
        self.services.append(service)
        return service

    def planner(self, **environment: str) -> Service:
        return self.start("planner", "planner", **environment)

    def runner(self, slots: int = 2, **environment: str) -> Service:
        # No searches unless a test asks for them: a slot is one more warm process.
        words = {"RUNNER_RESEARCH_SLOTS": str(slots), "RUNNER_EVOLVE_SLOTS": "0", **environment}
        return self.start("job-runner", "job_runner", **words)

    def projection(self, **environment: str) -> Service:
        return self.start("projection", "projection", DATABASE_URL=self.database.url(), **environment)

    def proof_api(self, **environment: str) -> Service:
        return self.start(
            "proof-api", "proof_api", DATABASE_URL=self.database.url("autonomy_reader"), PROOF_API_PORT=str(self.api_port),
            **environment,
        )  # fmt: skip

    def say(self, kind: type[Command], **fields: Any) -> str:
        """Append a command as an operator would through the API; returns its id."""
        command_id = drawn_id()
        command = kind(command_id=command_id, actor="tester", role="approver", **fields)
        value = encode(command, source="test", subject="tester", time=instant_of_ms(0), event_id=command_id)
        append(self.broker.bootstrap, COMMANDS, 0, [value])
        return command_id

    def set_policy(self, document: Mapping[str, Any] | None = None) -> str:
        return self.say(SetPolicy, document=dict(document or quick_policy()))

    def register(self, bots: list[dict[str, Any]]) -> str:
        return self.say(RegisterBots, bots=tuple(bots))

    def sql(self, statement: str, *values: Any) -> list[dict[str, Any]]:
        with psycopg.connect(self.database.url("autonomy_reader"), row_factory=dict_row, connect_timeout=3) as connection:
            rows = connection.execute(statement, values).fetchall()
        return [{name: str(value) if isinstance(value, UUID) else value for name, value in row.items()} for row in rows]

    def one(self, statement: str, *values: Any) -> Any:
        rows = self.sql(statement, *values)
        return next(iter(rows[0].values())) if rows else None

    def command_status(self, command_id: str) -> dict[str, Any]:
        found: dict[str, Any] = wait_for(
            "the command's answer",
            lambda: next(iter(self.sql("SELECT * FROM commands WHERE id = %s AND status <> 'OPEN'", command_id)), None),
        )
        return found

    def logs(self) -> str:
        return "\n".join(f"== {s.name}\n{s.log.read_text()[-1500:]}" for s in self.services)

    def close(self) -> None:
        for service in self.services:
            if service.alive:
                service.signal(signal.SIGCONT)
                service.process.kill()
        for service in self.services:
            service.process.wait()


@contextlib.contextmanager
def a_platform(broker: Broker, database: Database, folder: Path) -> Iterator[Platform]:
    folder.mkdir(parents=True, exist_ok=True)
    platform = Platform(broker, database, folder)
    try:
        yield platform
    except BaseException:
        print(platform.logs())
        raise
    finally:
        platform.close()


def as_json(text: bytes) -> Any:
    return json.loads(text)
