"""The process that runs somebody's code: forked from a clean one, confined, and asked by frames.

Role: the far end of `guest`. `main` is the clean process: no credentials in its environment, nothing of the platform imported but what a
strategy needs; it forks one child for each that is asked for and tells how they ended. A child confines itself (`jail`), imports the
file, says what it declares, and decides.
"""

import contextlib
import importlib
import io
import json
import os
import signal
import socket
import sys
import traceback
from collections.abc import Mapping
from types import FrameType, ModuleType, TracebackType
from typing import Any, Final

import numpy as np

from autonomy import strategy as api
from job_runner.strategies import frames, jail
from job_runner.strategies.frames import Array
from job_runner.strategies.stepping import decide_by_steps

COLUMNS: Final = ("open", "high", "low", "close", "volume")
PRICES: Final = ("stop", "take_profit", "limit")
SYSTEM: Final = ("/usr/lib", "/usr/lib64", "/lib", "/lib64", "/usr/share/zoneinfo", "/dev/null", "/dev/urandom", "/dev/random",
                 "/proc/cpuinfo", "/proc/meminfo", "/sys/devices/system/cpu", "/etc/localtime", "/etc/ld.so.cache")  # fmt: skip
"""What a numerical library reads of the system it runs on."""
MAX_WORDS: Final = 400


class _Refused(Exception):
    """What a strategy gave back cannot be used; says why."""


def main() -> None:
    """Fork a child for each socket that comes, until whoever asks has gone.

    Messages on standard input, a Unix socket: `{"fork": …}` with a descriptor, answered by `{"pid": n}`; `{"end": pid}`, answered by
    `{"code": n}` with the exit code, negative for a signal.
    """
    control = socket.socket(fileno=0)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    for folder in sys.path:
        # Found once here: a child may not list folders that are not its own.
        importlib.invalidate_caches()
        with contextlib.suppress(OSError):
            os.listdir(folder or ".")  # noqa: PTH208
    parent = os.getpid()
    while True:
        try:
            message, descriptors, _, _ = socket.recv_fds(control, 65_536, 1)
        except OSError:
            return
        if not message:
            return
        asked = json.loads(message)
        if "end" in asked:
            control.sendall(json.dumps({"code": _ended(int(asked["end"]))}).encode())
            continue
        pid = os.fork()
        if pid == 0:
            control.close()
            jail.die_with_parent(parent)
            _child(socket.socket(fileno=descriptors[0]), asked["fork"])
        for descriptor in descriptors:
            os.close(descriptor)
        control.sendall(json.dumps({"pid": pid}).encode())


def _ended(pid: int) -> int:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
    try:
        _, status = os.waitpid(pid, 0)
    except ChildProcessError:
        return 0
    return os.waitstatus_to_exitcode(status)


def _child(channel: socket.socket, asked: Mapping[str, Any]) -> None:
    """Serve until the channel closes; never returns."""
    code = 0
    try:
        printed = os.memfd_create("printed") if hasattr(os, "memfd_create") else os.open(os.devnull, os.O_RDWR)
        for stream in (1, 2):
            os.dup2(printed, stream)
        nothing = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nothing, 0)
        folder = str(asked["folder"])
        readable = [folder, *SYSTEM, sys.prefix, sys.base_prefix, sys.exec_prefix, *[path for path in sys.path if path]]
        open_to = jail.confine(readable, jail.Limits(**asked["limits"]))
        sys.path.insert(0, folder)
        sys.dont_write_bytecode = True
        sys.stdout = sys.stderr = io.TextIOWrapper(os.fdopen(1, "wb", buffering=0), write_through=True)
        os.environ.clear()
        _serve(channel, folder, str(asked["module"]), open_to)
    except frames.Closed:
        pass
    except BaseException:  # noqa: BLE001 (whatever it is: this process ends, and its parent reads the code)
        code = 70
    os._exit(code)


def _serve(channel: socket.socket, folder: str, module: str, open_to: tuple[str, ...]) -> None:
    try:
        loaded: ModuleType | None = importlib.import_module(module)
        classes = strategies_of(loaded) if loaded is not None else {}
        said: dict[str, Any] = {"declared": {name: api.declaration_of(found) for name, found in classes.items()}, "openTo": list(open_to)}
        sys.stdout.flush()
    except BaseException as fault:  # noqa: BLE001 (somebody's code: SystemExit and KeyboardInterrupt are its faults too)
        loaded, classes, said = None, {}, {"fault": fault_of(fault, folder)}
    frames.send(channel, said)
    bars: api.Bars | None = None
    while loaded is not None:
        asked, arrays = frames.receive(channel)
        try:
            if arrays:
                bars = bars_of(asked, arrays)
            answer = decide(classes[str(asked["class"])], asked, bars)
            sys.stdout.flush()
        except BaseException as fault:  # noqa: BLE001 (as above)
            frames.send(channel, {"fault": fault_of(fault, folder)})
        else:
            frames.send(channel, {}, answer)


def strategies_of(module: ModuleType) -> dict[str, type[api.Strategy]]:
    """The strategies that a module defines itself, by the name of their class."""
    return {
        name: found for name, found in vars(module).items()
        if isinstance(found, type) and issubclass(found, api.Strategy) and found.__module__ == module.__name__ and found.name
    }  # fmt: skip


def bars_of(asked: Mapping[str, Any], arrays: Mapping[str, Array]) -> api.Bars:
    """The bars of a frame; nothing in them can be changed."""
    for array in arrays.values():
        array.setflags(write=False)
    return api.Bars(str(asked["symbol"]), str(asked["timeframe"]), arrays["time"], *(arrays[name] for name in COLUMNS))


def decide(strategy: type[api.Strategy], asked: Mapping[str, Any], bars: api.Bars | None) -> dict[str, Array]:
    """Run one strategy over the first bars of those that were sent."""
    if bars is None:
        raise _Refused("no bars were sent")
    end = int(asked["until"])
    seen = api.Bars(bars.symbol, bars.timeframe, bars.time[:end], *(getattr(bars, name)[:end] for name in COLUMNS))
    made = strategy(**asked["parameters"])
    plan = made.decide(seen) if strategy.step is None else decide_by_steps(strategy, asked["parameters"], seen)
    return arrays_of(plan, end)


def arrays_of(plan: object, bars: int) -> dict[str, Array]:
    """The arrays of a plan, checked.

    Raises:
        _Refused: says which one, at which bar, and what it must be.
    """
    if not isinstance(plan, api.Plan):
        raise _Refused(f"decide must give a Plan, not {type(plan).__name__}")
    found: dict[str, Array] = {"exposure": _floats("exposure", plan.exposure, bars)}
    _refuse_where("exposure", ~np.isfinite(found["exposure"]), found["exposure"], "a finite number, a share of the equity")
    for name in PRICES:
        value = getattr(plan, name)
        if value is not None:
            prices = found[name] = _floats(name, value, bars)
            _refuse_where(name, ~(np.isnan(prices) | ((prices > 0.0) & np.isfinite(prices))), prices, "a price above 0, or NaN for none")
    for name, largest in (("why", 126), ("stays", 3)):
        value = getattr(plan, name)
        if value is not None:
            numbers = np.asarray(value)
            if numbers.dtype.kind not in "iub" or numbers.shape != (bars,):
                raise _Refused(f"{name} must be whole numbers, one for each of the {bars} bars")
            whole = found[name] = numbers.astype(np.int64)
            _refuse_where(name, (whole < 0) | (whole > largest), whole, f"from 0 to {largest}")
    return found


def _floats(name: str, value: object, bars: int) -> Array:
    try:
        found = np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError) as fault:
        raise _Refused(f"{name} must be numbers: {fault}") from fault
    if found.shape != (bars,):
        raise _Refused(f"{name} must have one number for each of the {bars} bars, not shape {found.shape}")
    return np.ascontiguousarray(found)


def _refuse_where(name: str, bad: Array, values: Array, limit: str) -> None:
    if bad.any():
        bar = int(bad.argmax())
        raise _Refused(f"{name} of bar {bar} is {values[bar]}: it must be {limit}")


def fault_of(fault: BaseException, folder: str) -> dict[str, object]:
    """What went wrong, in words, and the last line of the strategy's own files that was on the way."""
    file, line = _place(fault.__traceback__, folder)
    if isinstance(fault, SyntaxError) and fault.filename:
        file, line = fault.filename.removeprefix(folder).lstrip("/"), fault.lineno
    match fault:
        case _Refused():
            words = str(fault)
        case MemoryError():
            words = f"it asked for more memory than it may use: {fault}".rstrip(": ")
        case OSError(errno=27):
            words = "it printed more than it may"
        case SystemExit():
            words = f"it ended itself: sys.exit({fault.code})"
        case _:
            words = f"{type(fault).__name__}: {fault}"
    return {"words": words[:MAX_WORDS], "file": file[:200], "line": line}


def _place(trace: TracebackType | None, folder: str) -> tuple[str, int | None]:
    found: tuple[str, int | None] = ("", None)
    frame: FrameType
    for frame, line in traceback.walk_tb(trace):
        if frame.f_code.co_filename.startswith(folder):
            found = (frame.f_code.co_filename.removeprefix(folder).lstrip("/"), line)
    return found


if __name__ == "__main__":
    main()
