"""What a process that runs somebody's code may do: compute, and answer. No files, no network, no other processes, bounded memory and time.

Role: called in the process itself, after everything trusted was imported and before anything else is. On Linux by Landlock (files) and
seccomp (system calls), neither of which needs root; elsewhere only the limits of memory, time and output hold, and `confine` says so.

Source: linux/landlock.h (ABI 1 to 7), linux/seccomp.h, linux/filter.h; system call numbers of x86-64 and of the generic table (aarch64).
"""

import ctypes
import os
import platform
import resource
import signal
import struct
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

PR_SET_PDEATHSIG: Final = 1
PR_SET_SECCOMP: Final = 22
PR_SET_NO_NEW_PRIVS: Final = 38
SECCOMP_MODE_FILTER: Final = 2
LANDLOCK_CREATE_RULESET: Final = 444
LANDLOCK_ADD_RULE: Final = 445
LANDLOCK_RESTRICT_SELF: Final = 446
LANDLOCK_CREATE_RULESET_VERSION: Final = 1
LANDLOCK_RULE_PATH_BENEATH: Final = 1
READ_FILE: Final = 1 << 2
READ_DIR: Final = 1 << 3
FILE_RIGHTS: Final = {1: 13, 2: 14, 3: 15, 4: 15, 5: 16}
"""How many access rights to files each version of Landlock knows; later ones as the last."""
NETWORK_RIGHTS: Final = 0b11
SCOPES: Final = 0b11

ARCHITECTURES: Final = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
EPERM: Final = 1
ENOSYS: Final = 38
CLONE_THREAD: Final = 0x0001_0000
X32_BIT: Final = 0x4000_0000
# By name: x86-64, generic. None where there is no such call.
CALLS: Final[dict[str, tuple[int | None, int | None]]] = {
    "fork": (57, None), "vfork": (58, None), "execve": (59, 221), "execveat": (322, 281), "kill": (62, 129), "tkill": (200, 130),
    "rt_sigqueueinfo": (129, 138), "rt_tgsigqueueinfo": (297, 240), "pidfd_open": (434, 434), "pidfd_send_signal": (424, 424),
    "pidfd_getfd": (438, 438), "ptrace": (101, 117), "process_vm_readv": (310, 270), "process_vm_writev": (311, 271),
    "process_madvise": (440, 440), "socket": (41, 198), "socketpair": (53, 199), "io_uring_setup": (425, 425), "bpf": (321, 280),
    "perf_event_open": (298, 241), "userfaultfd": (323, 282), "keyctl": (250, 219), "add_key": (248, 217), "request_key": (249, 218),
    "unshare": (272, 97), "setns": (308, 268), "mount": (165, 40), "umount2": (166, 39), "pivot_root": (155, 41), "chroot": (161, 51),
    "reboot": (169, 142), "kexec_load": (246, 104), "init_module": (175, 105), "finit_module": (313, 273), "delete_module": (176, 106),
    "setrlimit": (160, 164), "sched_setscheduler": (144, 119), "setpriority": (141, 140), "acct": (163, 89), "swapon": (167, 224),
    "syslog": (103, 116), "mq_open": (240, 180), "shmget": (29, 194), "msgget": (68, 186), "semget": (64, 190),
    "name_to_handle_at": (303, 264), "open_by_handle_at": (304, 265), "clock_settime": (227, 112), "settimeofday": (164, 170),
}  # fmt: skip
CLONE: Final = (56, 220)
CLONE3: Final = (435, 435)
TGKILL: Final = (234, 131)
PRLIMIT: Final = (302, 261)

LD_W: Final = 0x20
JEQ: Final = 0x15
JGE: Final = 0x35
JSET: Final = 0x45
RET: Final = 0x06
ALLOW: Final = 0x7FFF0000
KILL: Final = 0x8000_0000
ERROR: Final = 0x0005_0000
NUMBER_AT: Final = 0
ARCHITECTURE_AT: Final = 4


def _argument_at(number: int) -> int:
    """Where the low half of an argument stands in `struct seccomp_data`, on a little-endian machine; its high half is 4 further."""
    return 16 + 8 * number


@dataclass(frozen=True, slots=True)
class Limits:
    """What one process may use.

    Args:
        memory_bytes: address space beyond what it has when it is confined.
        cpu_s: processor time in all, seconds.
        output_bytes: what it may print.
    """

    memory_bytes: int = 1 << 30
    cpu_s: int = 600
    output_bytes: int = 1 << 20


def die_with_parent(parent: int) -> None:
    """End this process when the one that forked it ends; at once if that has happened already."""
    if sys.platform == "linux":
        _libc().prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)


def confine(readable: Iterable[str], limits: Limits) -> tuple[str, ...]:
    """Give up everything but computing and answering, for ever.

    Args:
        readable: folders and files that may be read; nothing may be written.
        limits: of memory, time and output.

    Returns:
        What this system does not keep it from, in words; empty where everything holds.

    Raises:
        OSError: the system has the means and refuses them.
    """
    _limit(limits)
    if sys.platform != "linux" or platform.machine() not in ARCHITECTURES:
        return ("files", "network", "other processes")
    libc = _libc()
    if libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "no_new_privs was refused")
    open_to = () if _close_files(libc, readable) else ("files",)
    _filter_calls(libc)
    return open_to


def _limit(limits: Limits) -> None:
    used = resource.getrlimit(resource.RLIMIT_AS)[1]
    memory = _address_space() + limits.memory_bytes
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory if used == resource.RLIM_INFINITY else min(memory, used)))
    resource.setrlimit(resource.RLIMIT_CPU, (limits.cpu_s, limits.cpu_s))
    resource.setrlimit(resource.RLIMIT_FSIZE, (limits.output_bytes, limits.output_bytes))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _address_space() -> int:
    """Bytes of address space in use."""
    try:
        with open("/proc/self/statm", encoding="ascii") as statm:  # noqa: PTH123 (no pathlib in what is forked)
            return int(statm.read().split()[0]) * resource.getpagesize()
    except OSError:
        return 0


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _close_files(libc: ctypes.CDLL, readable: Iterable[str]) -> bool:
    """Landlock; returns False where the kernel has none."""
    version = libc.syscall(LANDLOCK_CREATE_RULESET, None, 0, LANDLOCK_CREATE_RULESET_VERSION)
    if version < 1:
        return False
    handled = (1 << FILE_RIGHTS.get(version, 16)) - 1
    asked = struct.pack("=QQQ", handled, NETWORK_RIGHTS if version >= 4 else 0, SCOPES if version >= 6 else 0)
    size = 8 if version < 4 else 16 if version < 6 else 24
    ruleset = libc.syscall(LANDLOCK_CREATE_RULESET, asked, size, 0)
    if ruleset < 0:
        raise OSError(ctypes.get_errno(), "the rules of Landlock were refused")
    try:
        for path in readable:
            _allow_reading(libc, ruleset, path)
        if libc.syscall(LANDLOCK_RESTRICT_SELF, ruleset, 0) != 0:
            raise OSError(ctypes.get_errno(), "Landlock was refused")
    finally:
        os.close(ruleset)
    return True


def _allow_reading(libc: ctypes.CDLL, ruleset: int, path: str) -> None:
    try:
        place = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return  # not there: nothing to read
    try:
        rights = READ_FILE | READ_DIR if os.path.isdir(path) else READ_FILE  # noqa: PTH112
        rule = struct.pack("=Qi", rights, place)
        if libc.syscall(LANDLOCK_ADD_RULE, ruleset, LANDLOCK_RULE_PATH_BENEATH, rule, 0) != 0:
            raise OSError(ctypes.get_errno(), "a rule of Landlock was refused", path)
    finally:
        os.close(place)


def _filter_calls(libc: ctypes.CDLL) -> None:
    machine = platform.machine()
    place = 0 if machine == "x86_64" else 1
    refuse = ERROR | EPERM
    program: list[tuple[int, int, int, int]] = [
        (LD_W, 0, 0, ARCHITECTURE_AT),
        (JEQ, 1, 0, ARCHITECTURES[machine]),
        (RET, 0, 0, KILL),
        (LD_W, 0, 0, NUMBER_AT),
    ]
    if machine == "x86_64":
        program += [(JGE, 0, 1, X32_BIT), (RET, 0, 0, refuse)]
    for numbers in CALLS.values():
        number = numbers[place]
        if number is not None:
            program += [(JEQ, 0, 1, number), (RET, 0, 0, refuse)]
    # The C library asks the older call when this one does not exist; what its arguments point at cannot be looked into.
    program += [(JEQ, 0, 1, CLONE3[place]), (RET, 0, 0, ERROR | ENOSYS)]
    # Threads are this process's own and share its limits; processes are not.
    program += [
        (JEQ, 0, 4, CLONE[place]),
        (LD_W, 0, 0, _argument_at(0)),
        (JSET, 0, 1, CLONE_THREAD),
        (RET, 0, 0, ALLOW),
        (RET, 0, 0, refuse),
    ]
    # A signal to itself is how a process aborts.
    program += [
        (JEQ, 0, 4, TGKILL[place]),
        (LD_W, 0, 0, _argument_at(0)),
        (JEQ, 0, 1, os.getpid()),
        (RET, 0, 0, ALLOW),
        (RET, 0, 0, refuse),
    ]
    # Limits may be read, not raised: whoever is root could.
    program += [
        (JEQ, 0, 6, PRLIMIT[place]), (LD_W, 0, 0, _argument_at(2)), (JEQ, 0, 3, 0), (LD_W, 0, 0, _argument_at(2) + 4), (JEQ, 0, 1, 0),
        (RET, 0, 0, ALLOW), (RET, 0, 0, refuse),
    ]  # fmt: skip
    program.append((RET, 0, 0, ALLOW))
    code = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *each) for each in program))
    whole = struct.pack("@HP", len(program), ctypes.addressof(code))
    if libc.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, whole, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "the filter of system calls was refused")
