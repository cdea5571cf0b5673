"""Make the cache by which Kafka's starts take half as long: for runs that start many brokers, such as `make test`."""

import os
import subprocess
import tempfile
from pathlib import Path
from typing import Final

from local_stack.kafka_server import JVM_FLAGS, KafkaServer
from local_stack.ports import free_ports
from local_stack.start_cache import cache_of

PATIENCE_S: Final = 120


def make_cache(jars: Path) -> Path | None:
    """Start a broker of the verified jars, let it end, and keep what it loaded; None where that did not work: starts stay as they are."""
    cache = cache_of(jars)
    if cache.exists():
        return cache
    print("Kafka's starts are made quicker (once)…", flush=True)
    with tempfile.TemporaryDirectory(prefix="autonomy-kafka-") as folder:
        port, controller_port = free_ports(2)
        server = KafkaServer(Path(folder) / "kafka", jars, port, controller_port)
        server.prepare()
        made = Path(folder) / "starts.aot"
        flags = (*JVM_FLAGS, f"-XX:AOTCacheOutput={made}")
        words = server.java("kafka.Kafka", [str(server.folder / "server.properties")], flags)
        with (server.folder / "out.log").open("wb") as out:
            broker = subprocess.Popen(words, stdout=out, stderr=out, start_new_session=True)
            try:
                server.wait_ready(process=broker)
                broker.terminate()
                broker.wait(PATIENCE_S)
            except subprocess.TimeoutExpired:
                return None
            finally:
                broker.kill()
                broker.wait()
        if not made.exists():
            return None
        # Whole or not at all, also for another run that makes the same one.
        kept = cache.with_name(f"{cache.name}.{os.getpid()}")
        kept.write_bytes(made.read_bytes())
        kept.replace(cache)
    return cache
