"""Ports for servers that a program starts for itself: nobody else gets them between the choice and the start, nor while one is down.

A port that is only free *now* can be another's a second later: the kernel gives ports of its own range to outgoing connections, and two
programs that choose at once may choose alike. So these lie outside of that range, and each is leased by a file lock that ends with the
process.
"""

import fcntl
import os
import secrets
import socket
import tempfile
from pathlib import Path
from typing import IO, Final

FIRST: Final = 20_000
LAST: Final = 32_767
FEWEST: Final = 1_000
KERNELS_OWN: Final = Path("/proc/sys/net/ipv4/ip_local_port_range")
_leases: Final[list[IO[bytes]]] = []


def free_ports(count: int, among: range | None = None) -> list[int]:
    """Ports that nothing listens on and that no other process is handed while this one lives.

    Args:
        count: how many.
        among: where they may lie; None: outside of the kernel's range.

    Raises:
        OSError: there are not so many.
    """
    folder = Path(tempfile.gettempdir()) / f"autonomy-ports-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    ports, found = range(FIRST, _last() + 1) if among is None else among, dict[int, IO[bytes]]()
    begin = secrets.randbelow(len(ports))
    for port in (*ports[begin:], *ports[:begin]):
        if len(found) == count:
            break
        lease = _lease(folder / str(port))
        if lease is not None and _is_free(port):
            found[port] = lease
        elif lease is not None:
            lease.close()
    if len(found) < count:
        for lease in found.values():
            lease.close()
        raise OSError(f"no {count} ports are free from {ports[0]} to {ports[-1]}")
    _leases.extend(found.values())
    return list(found)


def _last() -> int:
    """The last port below those of outgoing connections; where they leave too few, the leases alone must do."""
    try:
        below = int(KERNELS_OWN.read_text().split()[0]) - 1
    except (OSError, ValueError, IndexError):
        return LAST
    return min(LAST, below) if below - FIRST >= FEWEST else LAST


def _lease(file: Path) -> IO[bytes] | None:
    """A lock that lasts as long as its file is open; None: another has it."""
    lease = file.open("ab")
    try:
        fcntl.flock(lease, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lease.close()
        return None
    return lease


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True
