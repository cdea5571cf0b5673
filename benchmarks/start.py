"""`make up` from an empty data folder to the first accepted tick, and the memory of the idle services with 1,000 bots.

Downloads are cached and the environment exists: what is timed is the command behind `make up`.
"""

import json
import os
import statistics
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import yaml

from benchmarks.fleet import STRATEGIES, bot_id
from benchmarks.limits import servers_alone
from benchmarks.measure import Context, Measure, absolute, reference
from benchmarks.servers import free_port
from local_stack.settings import ROOT, StackSettings
from local_stack.stack import Stack
from local_stack.waiting import Waiting

BOTS = 1_000
FIGURE_S = 8.1
UP_TIMEOUT_S = 150
IDLE_S = 20
PORTS = ("KAFKA_PORT", "KAFKA_CONTROLLER_PORT", "POSTGRES_PORT", "PROOF_API_PORT", "BOTS_UI_PORT")
SERVERS = ("java", "postgres")


def run(ctx: Context) -> list[Measure]:
    """Measure."""
    ups, limits, memory = [], [], (0.0, 0.0, "")
    rounds = ctx.rounds(2)
    for number in range(rounds):
        limits.append(servers_alone.start_s(ctx.folder / f"alone-{number}"))
        environment = environment_of(ctx.folder / f"up-{number}")
        try:
            ups.append(up(environment))
            if number == rounds - 1:
                memory = idle_memory(environment, ctx)
        finally:
            local_stack(environment, "reset")
    limit, spent = statistics.median(limits), statistics.median(ups)
    proportional, resident, parts = memory
    ctx.note(f"memory by process (MiB): {parts}")
    return [
        Measure("make up to the first accepted tick", spent, "s", "Kafka + PostgreSQL alone", limit, spent / limit, "≤ 20 s", spent <= 20),
        absolute(f"memory of the idle services, {BOTS:,} bots", proportional, "GiB", most=1.2),
        absolute("  the same, shared pages counted in every process", resident, "GiB"),
        reference("Kafka + PostgreSQL alone", limit, "s", FIGURE_S, rate=False),
    ]


def environment_of(folder: Path) -> dict[str, str]:
    """A stack of its own."""
    folder.mkdir()
    folder.chmod(0o755)
    return {**os.environ, "AUTONOMY_DATA_DIR": str(folder), **{name: str(free_port()) for name in PORTS}}


def local_stack(environment: dict[str, str], *words: str) -> None:
    """A command of the local stack."""
    command = [sys.executable, "-m", "local_stack", *words]
    subprocess.run(command, check=True, capture_output=True, env=environment, cwd=ROOT, timeout=UP_TIMEOUT_S)


def up(environment: dict[str, str]) -> float:
    """Seconds of `make up`, which ends when a tick was accepted."""
    started = time.perf_counter()
    local_stack(environment, "up")
    return time.perf_counter() - started


def idle_memory(environment: dict[str, str], ctx: Context) -> tuple[float, float, str]:
    """GiB of everything but the servers: proportional, resident, and by process."""
    os.environ.update({name: environment[name] for name in (*PORTS, "AUTONOMY_DATA_DIR")})
    try:
        stack = Stack(StackSettings())
    finally:
        for name in (*PORTS, "AUTONOMY_DATA_DIR"):
            del os.environ[name]
    known = len(yaml.safe_load(stack.settings.fleet.read_text())["bots"])
    wanted, waiting = BOTS - known, Waiting(stack.supervisor)
    for first in range(0, wanted, 500):
        bots = [
            {"id": bot_id(n), "strategy": STRATEGIES[n % len(STRATEGIES)], "symbol": "AAPL"} for n in range(first, min(first + 500, wanted))
        ]  # fmt: skip
        stack.say({"type": "register-bots", "bots": bots, "reason": "bench"}, waiting)
    stack.say({"type": "pause-loop", "scope": "fleet", "reason": "bench"}, waiting)
    wait_idle(stack)
    time.sleep(1 if ctx.quick else IDLE_S)
    return memory_below(stack.supervisor.pid() or 0)


def wait_idle(stack: Stack) -> None:
    """Wait until no job lives."""
    deadline = time.monotonic() + UP_TIMEOUT_S
    while time.monotonic() < deadline:
        with urllib.request.urlopen(f"{stack.api}/api/_proof/jobs", timeout=5) as answer:
            found = json.loads(answer.read())
        if not sum(found["running"].values()) + sum(found["queued"].values()):
            return
        time.sleep(0.5)
    raise RuntimeError("jobs are still live")


def memory_below(root: int) -> tuple[float, float, str]:
    """Sums over a process and all below it, without the servers."""
    parents: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parent = int((entry / "stat").read_text().rsplit(")", 1)[1].split()[1])
            except (OSError, IndexError):
                continue
            parents.setdefault(parent, []).append(int(entry.name))
    proportional = resident = 0
    parts = []
    todo = [root]
    while todo:
        number = todo.pop()
        words = [word for word in Path(f"/proc/{number}/cmdline").read_bytes().decode(errors="replace").split("\0") if word]
        if words and Path(words[0]).name.rstrip(":") in SERVERS:
            continue
        todo += parents.get(number, [])
        fields = dict(line.split(":", 1) for line in Path(f"/proc/{number}/smaps_rollup").read_text().splitlines()[1:])
        pss, rss = (int(fields[name].split()[0]) for name in ("Pss", "Rss"))
        proportional, resident = proportional + pss, resident + rss
        parts.append(f"{' '.join(words[2:3]) or words[0]} {pss / 1024:.0f}")
    return proportional / 1048576, resident / 1048576, ", ".join(parts)
