"""Somebody's code at arm's length: whatever it does is its own named fault, within its limits, and it reaches nothing else.

Real processes: each case runs in one, as in a runner.

Source: R-G2.
"""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from job_runner.strategies.guest import Guest, SentBars, Spawner, StrategyFailed
from job_runner.strategies.guests import guests, open_guest
from job_runner.strategies.jail import Limits
from support.platform import wait_for

BARS = 300
HEAD = """
import os, socket, subprocess, sys, threading, time
import numpy as np
from autonomy.strategy import Bars, Float, Int, Plan, Strategy

class Own(Strategy):
    name = "own"
    length = Int(5, 1, 50, "bars")

    def decide(self, bars):
        flat = np.zeros(len(bars))
"""

FAULTS = {
    "an exception": ("        raise ValueError('no such mean')", "ValueError: no such mean"),
    "an endless loop": ("        while True: pass", "deciding took longer than"),
    "a sleep": ("        time.sleep(3600)", "deciding took longer than"),
    "8 GB": ("        np.ones(2**30)", "asked for more memory than it may use"),
    "memory bit by bit": ("        kept = [np.ones(2**20) for _ in range(10**6)]", "asked for more memory than it may use"),
    "os._exit": ("        os._exit(3)", "ended its process with exit code 3"),
    "sys.exit": ("        sys.exit('done')", "ended itself: sys.exit(done)"),
    "an abort": ("        os.abort()", "ended by SIGABRT"),
    "1 GB of prints": ("        for _ in range(10**7): print('x' * 100)", "printed more than it may"),
    "a fork bomb": ("        while True: os.fork()", "PermissionError"),
    "a program": ("        subprocess.run(['true'], check=True)", "PermissionError"),
    "the network": ("        socket.create_connection(('127.0.0.1', 9092))", "PermissionError"),
    "a file of the machine": ("        open('/etc/hostname').read()", "PermissionError"),
    "the environment of its parent": ("        open(f'/proc/{os.getppid()}/environ', 'rb').read()", "PermissionError"),
    "a new file": ("        open('/tmp/own-strategy', 'w')", "PermissionError"),
    "its parent": ("        os.kill(os.getppid(), 9)", "PermissionError"),
    "more memory": ("        import resource; resource.setrlimit(resource.RLIMIT_AS, (-1, -1))", "ValueError"),
    "NaN": ("        flat[17] = np.nan; return Plan(exposure=flat)", "exposure of bar 17 is nan: it must be a finite number"),
    "too few rows": ("        return Plan(exposure=flat[1:])", f"exposure must have one number for each of the {BARS} bars"),
    "words": ("        return Plan(exposure=['a'] * len(bars))", "exposure must be numbers"),
    "a bad stop": ("        return Plan(exposure=flat, stop=flat - 1.0)", "stop of bar 0 is -1.0: it must be a price above 0"),
    "no plan": ("        return flat", "decide must give a Plan, not ndarray"),
    "a changed bar": ("        bars.close[0] = 1.0", "read-only"),
    "a thread without end": (
        "        threading.Thread(target=lambda: time.sleep(3600)).start(); raise KeyError('late')",
        "KeyError: 'late'",
    ),
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "copy"


@pytest.fixture(autouse=True)
def no_process_stays() -> Iterator[None]:
    before = hosts()
    yield
    # The clean process may stay; nothing that ran a strategy may.
    wait_for("the processes of strategies to end", lambda: hosts() - before <= clean_processes(), 20)


def hosts() -> set[int]:
    """Process ids of all that run `job_runner.strategies.host` below this test."""
    found = set()
    for place in Path("/proc").iterdir():
        if place.name.isdigit():
            try:
                words = (place / "cmdline").read_bytes().split(b"\0")
                parent = int((place / "stat").read_text().rsplit(")", 1)[1].split()[1])
            except OSError:
                continue
            if b"job_runner.strategies.host" in words and descends(parent):
                found.add(int(place.name))
    return found


def descends(pid: int) -> bool:
    while pid > 1:
        if pid == os.getpid():
            return True
        try:
            pid = int(Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[1])
        except OSError:
            return False
    return False


def clean_processes() -> set[int]:
    return {pid for pid in hosts() if int(Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[1]) == os.getpid()}


def written(folder: Path, body: str, name: str = "own") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.py").write_text(HEAD + body + "\n")
    return folder


def some_bars(count: int = BARS) -> SentBars:
    random = np.random.default_rng(1)
    prices = 100.0 + random.random((4, count))
    columns = dict(zip(("open", "high", "low", "close"), prices, strict=True))
    return SentBars("AAPL", "1d", {"time": np.arange(count) * 86_400_000, **columns, "volume": np.ones(count)})


@pytest.mark.parametrize("case", FAULTS)
def test_whatever_it_does_is_its_own_named_fault(folder: Path, case: str) -> None:
    body, words = FAULTS[case]
    guest = Guest(str(written(folder, body)), "own", Limits(memory_bytes=1 << 29), decide_s=3.0 if "longer" in words else 60.0)
    sound = Guest(str(written(folder.with_name("sound"), "        return Plan(exposure=flat + 1.0)")), "own")
    bars, begun_s = some_bars(), time.monotonic()
    try:
        with pytest.raises(StrategyFailed, match=r".") as fault:
            guest.decide("Own", {"length": 5}, bars, BARS)
        assert words in str(fault.value)
        assert time.monotonic() - begun_s < 60
        # Others go on, and so does this very one, once it is well again.
        assert sound.decide("Own", {}, bars, BARS)["exposure"].tolist() == [1.0] * BARS
    finally:
        guest.close()
        sound.close()


def test_a_fault_says_the_line(folder: Path) -> None:
    guest = Guest(str(written(folder, "        pass\n        return 1 / 0")), "own")
    with pytest.raises(StrategyFailed) as fault:
        guest.decide("Own", {}, some_bars(), BARS)
    line = (folder / "own.py").read_text().splitlines().index("        return 1 / 0") + 1
    assert (fault.value.file, fault.value.line) == ("own.py", line)
    guest.close()


@pytest.mark.parametrize(
    ("text", "words", "line"),
    [
        ("import nothing_like_this\n", "ModuleNotFoundError", 1),
        ("x = 1\nx = (\n", "SyntaxError", 2),
        ("import os\nos._exit(9)\n", "ended its process with exit code 9", None),
        ("raise SystemExit\n", "sys.exit", 1),
    ],
)
def test_a_file_that_cannot_be_loaded_says_why_and_where(folder: Path, text: str, words: str, line: int | None) -> None:
    folder.mkdir()
    (folder / "own.py").write_text(text)
    guest = Guest(str(folder), "own")
    with pytest.raises(StrategyFailed) as fault:
        guest.declared()
    assert words in str(fault.value)
    assert fault.value.line == line
    guest.close()


def test_without_the_walls_the_same_code_reaches_all_of_it(folder: Path) -> None:
    """The control: what the cases above are kept from is there to be had."""
    written(folder, "        return Plan(exposure=flat)")
    probe = (
        "import os, socket; open('/etc/hostname').read(); open(f'/proc/{os.getppid()}/environ', 'rb').read(); "
        "socket.socket().close(); os._exit(0) if os.fork() == 0 else os.wait(); os.kill(os.getppid(), 0); print('reached')"
    )
    ended = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=False, timeout=60)
    assert ended.stdout.strip() == "reached", ended.stderr


def test_nothing_of_the_runner_is_in_its_environment(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAFKA_PASSWORD", "secret")
    body = "        raise KeyError(sorted(os.environ))"
    guest = Guest(str(written(folder, body)), "own", spawner=(spawner := Spawner()))
    with pytest.raises(StrategyFailed, match=r"KeyError: \[\]"):
        guest.decide("Own", {}, some_bars(), BARS)
    guest.close()
    assert b"secret" not in b"".join((Path("/proc") / str(pid) / "environ").read_bytes() for pid in clean_processes())
    spawner.stop()


def test_it_sees_only_the_bars_it_is_handed(folder: Path) -> None:
    body = "        raise KeyError(len(bars), float(bars.close[-1]))"
    guest = Guest(str(written(folder, body)), "own")
    bars = some_bars()
    for until_bar in (BARS, 10, 200):
        expected = f"({until_bar}, {float(bars.arrays['close'][until_bar - 1])})"
        with pytest.raises(StrategyFailed) as fault:
            guest.decide("Own", {}, bars, until_bar)
        assert expected in str(fault.value)
    guest.close()


def test_a_clean_process_that_was_killed_is_started_again(folder: Path) -> None:
    spawner = Spawner()
    guest = Guest(str(written(folder, "        return Plan(exposure=flat)")), "own", spawner=spawner)
    before = clean_processes()
    guest.decide("Own", {}, some_bars(), BARS)
    (clean,) = clean_processes() - before
    os.kill(clean, 9)
    wait_for("its child to end with it", lambda: not hosts() - before)
    with pytest.raises(StrategyFailed):
        guest.decide("Own", {}, some_bars(), BARS)  # it went with the process that it was forked from
    assert len(guest.decide("Own", {}, some_bars(), BARS)["exposure"]) == BARS
    guest.close()
    spawner.stop()


def test_loading_has_a_time_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text("while True: pass\n")
    with pytest.raises(StrategyFailed, match=r"^loading it took longer than 0\.5 s$"):
        Guest(str(tmp_path), "own", load_s=0.5).declared()


def test_one_process_serves_a_job_and_ends_with_it(folder: Path) -> None:
    place = str(written(folder, "        return Plan(exposure=flat + os.getpid())"))

    def pid() -> float:
        with open_guest(place, "own") as guest:
            return float(guest.decide("Own", {}, some_bars(), BARS)["exposure"][0])

    with guests():
        inside = {pid() for _ in range(3)}
    assert len(inside) == 1
    assert len({pid(), pid()}) == 2


def test_a_step_of_a_file_is_compiled_and_decides_like_arrays(folder: Path) -> None:
    folder.mkdir()
    (folder / "stepping.py").write_text(
        "from autonomy.strategy import Int, Strategy\n\n\n"
        "def up(state, bar, params):\n    before = state[0]\n    state[0] = bar.close\n"
        "    return 1.0 if before > 0.0 and bar.close > before + params[0] - params[0] else 0.0\n\n\n"
        "class Up(Strategy):\n    name = 'up'\n    length = Int(5, 1, 50, 'bars')\n    step = staticmethod(up)\n"
        "    state_size = staticmethod(lambda params: 1)\n"
    )
    guest, bars = Guest(str(folder), "stepping"), some_bars()
    assert guest.declared()["Up"]["form"] == "step"
    close = bars.arrays["close"]
    expected = np.concatenate([[0.0], (close[1:] > close[:-1]).astype(float)])
    assert guest.decide("Up", {}, bars, BARS)["exposure"].tolist() == expected.tolist()
    guest.close()
