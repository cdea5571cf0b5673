"""The commands behind `make up`, `down`, `reset`, `status`, `logs`, `psql`, `consume`."""

import argparse
import os
import subprocess
import sys
from pathlib import Path

from pydantic import ValidationError

from autonomy import clock
from autonomy.errors import AutonomyError, Broken
from autonomy.topics import TOPICS
from local_stack.jars import ensure_jars
from local_stack.postgres_server import psql_words
from local_stack.quicker_starts import make_cache
from local_stack.settings import StackSettings
from local_stack.stack import SERVICES, Stack


def main() -> int:
    """Run one command; returns the exit code."""
    parser = argparse.ArgumentParser(prog="local_stack", description=__doc__)
    parser.add_argument(
        "command", choices=("setup", "quicker-starts", "up", "down", "reset", "status", "logs", "psql", "consume", "proof-pack")
    )
    parser.add_argument("arguments", nargs="*")
    words = parser.parse_args()
    try:
        stack = Stack(StackSettings())
        return run(stack, words.command, words.arguments)
    except ValidationError as refusal:
        for fault in refusal.errors():
            print(f"Error: {'.'.join(map(str, fault['loc']))}: {fault['msg']}, got {fault['input']!r}", file=sys.stderr)
        return 1
    except AutonomyError as refusal:
        print(f"Error: {refusal}", file=sys.stderr)
        return 1
    except BrokenPipeError:
        # `| head` closed the pipe: nothing is wrong. Python would complain once more at its end, so give it another stdout.
        sys.stdout = Path("/dev/null").open("w")  # noqa: SIM115 (it lives as long as the process)
        return 0


def run(stack: Stack, command: str, arguments: list[str]) -> int:
    """One command on one stack."""
    match command:
        case "setup":
            ensure_jars(stack.settings.cache_dir.resolve())
            # The page's scripts, from npm by lock; without them the page still works, without live updates.
            return subprocess.call([sys.executable, "-m", "bots_ui.build_assets"])
        case "quicker-starts":
            if make_cache(ensure_jars(stack.settings.cache_dir.resolve())) is None:
                print("Kafka's starts stay as they are: this Java made no cache of them.")
        case "up":
            stack.up()
        case "down":
            stack.down()
        case "reset":
            stack.reset()
        case "status":
            return status(stack)
        case "logs":
            return logs(stack, arguments)
        case "psql":
            return psql(stack, arguments)
        case "consume":
            return consume(stack, arguments)
        case "proof-pack":
            # Imported here: only this command needs a browser.
            from local_stack.proof_pack import WAIT_S, make_pack

            folder = Path(arguments[0]) if arguments else stack.folder / "proof-pack" / clock.now().strftime("%Y%m%dT%H%M%SZ")
            return make_pack(stack, folder, float(os.environ.get("PROOF_PACK_WAIT_S", WAIT_S)))
        case _:
            return 2
    return 0


def status(stack: Stack) -> int:
    """What runs, and whether the proof holds."""
    if stack.supervisor.pid() is None:
        if left := stack.supervisor.left_behind():
            print(f"The process manager died, and {len(left)} of its processes still run: `make down` ends them, `make up` begins anew.")
        else:
            print("Not running: `make up` starts it.")
        return 1
    print(stack.supervisor.control("status").stdout, end="")
    subprocess.run(["curl", "-s", f"{stack.api}/readyz"], check=False) if _has_curl() else None
    print()
    stack.say_where()
    return 0


def _has_curl() -> bool:
    return subprocess.run(["sh", "-c", "command -v curl"], check=False, capture_output=True).returncode == 0


def logs(stack: Stack, arguments: list[str]) -> int:
    """Follow the logs."""
    folder = stack.folder / "logs"
    known = sorted(file.stem for file in folder.glob("*.log"))
    if unknown := [name for name in arguments if name not in known]:
        raise Broken(f"SERVICE must be one of {', '.join(known) or 'none: nothing ran here yet'}; got {unknown[0]!r}")
    names = arguments or [name for name in SERVICES if name in known]
    if not names:
        raise Broken("nothing ran here yet: `make up` starts it")
    files = [str(folder / f"{name}.log") for name in names]
    return subprocess.call(["tail", "-n", "40", "-F", *files])


def psql(stack: Stack, arguments: list[str]) -> int:
    """Psql as the reader role: the read models, read only."""
    # On a pipe, an error ends it with a code of its own; a terminal goes on.
    words, environment = psql_words(stack.postgres.binaries, stack.database("autonomy_reader"))
    environment |= {"PGOPTIONS": "-c client_min_messages=warning", "PAGER": os.environ.get("PAGER", "cat")}
    return subprocess.call([*words, *arguments], env=environment)


def consume(stack: Stack, arguments: list[str]) -> int:
    """kafka-console-consumer from the beginning."""
    topic = arguments[0] if arguments else "autonomy.runs"
    if topic not in (known := [found.name for found in TOPICS]):
        raise Broken(f"TOPIC must be one of {', '.join(known)}; got {topic!r}")
    stack.check_running()
    words = ["--bootstrap-server", stack.settings.kafka, "--topic", topic, "--from-beginning"]
    if stack.security is not None:
        words += ["--command-config", str(stack.security.properties_file("auditor"))]
    flags = ("-Xmx256m", "-Dorg.slf4j.simpleLogger.defaultLogLevel=error")
    command = stack.kafka().java("org.apache.kafka.tools.consumer.ConsoleConsumer", [*words, *arguments[1:]], flags)
    return subprocess.call(command)


if __name__ == "__main__":
    sys.exit(main())
