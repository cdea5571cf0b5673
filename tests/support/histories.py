"""Histories of a fleet from lists of small numbers, so that hypothesis can draw and shrink them, and a script repeat them."""

import hashlib
from collections.abc import Callable, Sequence

from autonomy.events import CancelJob, ChangeBot, HoldBot, PauseLoop, ReleaseHold, ResumeLoop, RetireBot, SetPolicy
from autonomy.values import Cause, JobStatus
from planner.fold.entities import LiveJob
from support.builders import FIRST_DAYS, an_id
from support.ticks import TickDriver

SYMBOLS = tuple(FIRST_DAYS)
STRATEGIES = ("sma-cross", "macd", "rsi-reversion", "donchian-breakout")
CAUSES = (Cause.OUT_OF_MEMORY, Cause.BAD_INPUT, Cause.TIMEOUT, Cause.STRATEGY_ERROR, Cause.RUNNER_LOST)
Step = tuple[int, int]


def _bot(driver: TickDriver, number: int) -> str:
    known = sorted(driver.state.bots.rows)
    return known[number % len(known)] if known else f"bot-{number % 7}"


def _register(driver: TickDriver, number: int) -> None:
    stage = "PAPER" if number % 11 == 0 else "LAB"
    driver.register(f"bot-{number % 7}", f"bot-{number % 3 + 7}", symbol=SYMBOLS[number % 5], strategy=STRATEGIES[number % 4], stage=stage)


def _command(driver: TickDriver, number: int) -> None:
    bot = _bot(driver, number // 8)
    match number % 8:
        case 0 if number % 16:
            driver.command(HoldBot, bot_id=bot)
        case 0 | 1:
            driver.command(ReleaseHold, bot_id=bot)
        case 2:
            driver.command(PauseLoop, scope="stage" if number % 16 > 8 else "fleet", target="LAB" if number % 16 > 8 else "")
        case 3:
            for key in sorted(driver.state.pauses.rows):
                scope, target = key.split("/")
                driver.command(ResumeLoop, f"resume-{driver.sequence}", scope=scope, target=target)
        case 4:
            driver.command(ChangeBot, bot_id=bot, symbol=SYMBOLS[number % 5])
        case 5:
            driver.command(RetireBot, bot_id=bot)
        case 6:
            driver.command(SetPolicy, document={"research": {"concurrency": 1 + number % 4, "queue_ahead": number % 2}})
        case _:
            live = _pick(driver, number)
            if live is not None:
                driver.command(CancelJob, job_id=live.job.job_id)


def _pick(driver: TickDriver, number: int, status: JobStatus | None = None) -> LiveJob | None:
    live = driver.live(status)
    return live[number % len(live)] if live else None


def _claim(driver: TickDriver, number: int) -> None:
    live = _pick(driver, number // 2, JobStatus.QUEUED)
    if live is not None:
        driver.claim(live, f"runner-{number % 2 + 1}")


def _end(driver: TickDriver, number: int) -> None:
    live = _pick(driver, number // 8, JobStatus.RUNNING)
    if live is None:
        return
    match number % 8:
        case 0 | 1 | 2 | 3:
            driver.succeed(live)
        case 4 | 5:
            driver.fail(live, CAUSES[number % 5])
        case _:
            driver.release(live)


def _runner(driver: TickDriver, number: int) -> None:
    name = f"runner-{number % 2 + 1}"
    if number % 5 == 0:
        driver.runner(name, content="other-" if number % 45 == 0 else "", slots=1 + number % 3)
    else:
        driver.beat(name, stopping=number % 13 == 0)


def _poison(driver: TickDriver, number: int) -> None:
    topic = ("autonomy.commands", "autonomy.jobs", "autonomy.runners")[number % 3]
    driver.append(topic, 0, (b"", b"{}", b"\xff")[number % 3])


def _stale(driver: TickDriver, number: int) -> None:
    """A second claim, from a process that reads late."""
    live = _pick(driver, number, JobStatus.RUNNING)
    if live is not None:
        driver.claim(live, "runner-9", f"late-{number}")


def _keep_runner_alive(driver: TickDriver) -> None:
    known = driver.state.runners.get(an_id("runner-1"))
    if known is None or known.stopping or not known.engine_version:
        driver.runner("runner-1")
    else:
        driver.beat("runner-1")


def _tick(driver: TickDriver, number: int) -> None:
    if number % 5:
        _keep_runner_alive(driver)
    driver.tick(after_ms=(0, 100, 4_000, 15_000, 60_000, 3_600_000)[number % 6])
    if number % 3:
        driver.repair()


ACTS: tuple[Callable[[TickDriver, int], None], ...] = (
    _register, _command, _claim, _claim, _end, _end, _runner, _poison, _stale, _tick, _tick, _tick,
)  # fmt: skip


def live_through(driver: TickDriver, steps: Sequence[Step]) -> TickDriver:
    """Do the steps, with a running fleet before them and a tick after them."""
    driver.runner("runner-1")
    driver.register("bot-0", "bot-1", symbol="IBM")
    driver.tick(after_ms=1_000)
    for act, number in steps:
        ACTS[act % len(ACTS)](driver, number)
    driver.tick(after_ms=5_000)
    return driver


def written_history(length: int = 360) -> list[Step]:
    """One long history, the same everywhere: digests of counting numbers, no random source."""
    digests = (hashlib.sha256(f"d{number}".encode()).digest() for number in range(length))
    return [(digest[0] % len(ACTS), int.from_bytes(digest[1:4])) for digest in digests]
