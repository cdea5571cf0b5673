"""Ports that tests hand to servers: nobody else is handed them, and no outgoing connection gets one."""

import socket
import subprocess
import sys
from pathlib import Path

import pytest

from autonomy.errors import Broken
from local_stack.patience import is_answered, until_answers
from local_stack.ports import free_ports

FEW = range(31_000, 31_040)
"""Few enough that without leases two programs would share most of them."""
HOLDS = """
import sys
from local_stack.ports import free_ports
print(*free_ports(20, range(31_000, 31_040)), flush=True)
sys.stdin.read()
"""


def test_two_programs_are_never_handed_the_same_and_an_ended_one_gives_its_own_back() -> None:
    process = subprocess.Popen([sys.executable, "-c", HOLDS], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    theirs = {int(port) for port in process.stdout.readline().split()}
    ours = set(free_ports(10, FEW))
    assert len(theirs) == 20
    assert not ours & theirs
    with pytest.raises(OSError, match="no 20 ports are free from 31000 to 31039"):
        free_ports(20, FEW)

    process.communicate("")
    assert theirs & set(free_ports(20, FEW)), "what it held is free again"


def test_a_port_that_is_listened_on_is_not_handed_out() -> None:
    """One that nobody leased: what is looked at here is the listener."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = int(server.getsockname()[1])
        with pytest.raises(OSError, match="no 1 ports are free"):
            free_ports(1, range(port, port + 1))
    assert free_ports(1, range(port, port + 1)) == [port], "it was the listener, and nothing else"


def test_outgoing_connections_get_none_of_them() -> None:
    handed = free_ports(20)
    with socket.create_server(("127.0.0.1", 0), backlog=64) as server:
        clients = [socket.create_connection(server.getsockname()) for _ in range(50)]
        taken = {int(client.getsockname()[1]) for client in clients}
        for client in clients:
            client.close()
    first, last = min(handed), max(handed)
    assert all(not first <= port <= last for port in taken), "the kernel hands out ports of the same range: leases alone protect them"


def test_a_server_that_ended_is_said_at_once_with_its_last_words(tmp_path: Path) -> None:
    said = tmp_path / "out.log"
    said.write_text("java.net.BindException: Address already in use\n")
    process = subprocess.Popen([sys.executable, "-c", "raise SystemExit(3)"])
    with pytest.raises(Broken, match=r"Kafka ended with 3 before it answered: java\.net\.BindException"):
        until_answers(lambda: False, "Kafka", process=process, said=said)


def test_a_server_that_lives_and_does_not_answer_is_given_its_time_and_no_more() -> None:
    (port,) = free_ports(1)
    process = subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE)
    try:
        with pytest.raises(Broken, match="Kafka did not answer within 0 s"):
            until_answers(lambda: is_answered(port), "Kafka", timeout_s=0.2, process=process)
    finally:
        process.communicate(b"")
