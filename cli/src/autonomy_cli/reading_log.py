"""Commands that read the log itself: events tail, audit verify."""

import asyncio
import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from autonomy_cli import options as o
from autonomy_cli.artifact_check import StoreUnreadable, differing_artifacts
from autonomy_cli.audit import Audit
from autonomy_cli.exits import Exit, fail
from autonomy_cli.log_audit import CannotRun, verify, words_of
from autonomy_cli.show import print_json, safe
from autonomy_cli.tail import MAX_LINES, tail

TopicName = Annotated[Literal["commands", "runs", "jobs", "runners", "pulse", "quarantine"], typer.Option("--topic", help="Which topic.")]
Follow = Annotated[bool, typer.Option("--follow", "-f", help="Go on with new records until interrupted.")]
Raw = Annotated[bool, typer.Option("--raw", help="Every record as appended, those of void tries too.")]
Last = Annotated[int, typer.Option("--last", min=0, max=MAX_LINES, help=f"So many lines of the past; 0: all, at most {MAX_LINES}.")]
FromTick = Annotated[int, typer.Option("--from-tick", min=1, help="Decide again from this tick on; earlier ones are only folded.")]
Head = Annotated[
    list[str] | None, typer.Option("--head", help="TICK:HASH that you wrote down earlier; the chain must hold it. Repeatable.")
]
Artifacts = Annotated[str, typer.Option("--artifacts", help="Folder or fsspec URL of the artefacts: each file is compared with its hash.")]
FromSnapshot = Annotated[
    Path | None, typer.Option("--from-snapshot", help="A planner's folder of snapshots: begin at the newest that the log bears out.")
]
PastLines = 20


def events_tail(
    topic: TopicName = "runs", follow: Follow = False, raw: Raw = False, last: Last = PastLines, bootstrap: o.Bootstrap = o.DEFAULT_KAFKA,
    as_json: o.Json = False,
) -> None:  # fmt: skip
    """Records of a topic, one JSON document a line; of `runs` only those that count, unless --raw."""
    del as_json  # lines are JSON always; the option is taken so that every command knows it
    try:
        asyncio.run(_print_lines(bootstrap, topic, last=last, follow=follow, raw=raw))
    except CannotRun as refusal:
        fail(Exit.CANNOT_RUN, str(refusal))
    except KeyboardInterrupt:
        raise typer.Exit(int(Exit.OK)) from None
    except BrokenPipeError:
        # `| head` closed the pipe: nothing is wrong. Python would complain once more at its end, so give it another stdout.
        sys.stdout = Path("/dev/null").open("w")  # noqa: SIM115 (it lives as long as the process)


async def _print_lines(bootstrap: str, topic: str, *, last: int, follow: bool, raw: bool) -> None:
    async for line in tail(bootstrap, topic, last=last, follow=follow, raw=raw):
        print(line, flush=follow)


def audit_verify(
    from_tick: FromTick = 1, head: Head = None, artifacts: Artifacts = "", from_snapshot: FromSnapshot = None,
    bootstrap: o.Bootstrap = o.DEFAULT_KAFKA, as_json: o.Json = False,
) -> None:  # fmt: skip
    """Fold the whole log, or what stands behind a snapshot, and decide every tick again.

    Exit 0: every byte equal; 1: it differs, naming the first record; 2: cannot run; 3: equal but for differences that approvers accepted;
    4: nothing differs, but some ticks were only folded, or not looked at (an older decider, --from-tick, --from-snapshot).
    """
    audit = Audit(from_tick=from_tick, known_heads=dict(map(_read_head, head or ())))
    try:
        verdict = asyncio.run(verify(bootstrap, audit, lambda words: print(words, file=sys.stderr, flush=True), from_snapshot))
        if artifacts:
            audit.differences.extend(differing_artifacts(artifacts, audit.artifacts))
            print(f"compared {len(audit.artifacts)} artefacts with their hashes", file=sys.stderr, flush=True)
    except (CannotRun, StoreUnreadable) as refusal:
        fail(Exit.CANNOT_RUN, str(refusal))
    if verdict.is_clean and from_tick > max(audit.chain.head.tick, 1):
        fail(Exit.CANNOT_RUN, f"--from-tick must be at most {audit.chain.head.tick}, the last tick of the log: nothing was decided again")
    if as_json:
        print_json(verdict.document())
    else:
        for line in words_of(verdict):
            print(safe(line))
    raise typer.Exit(int(verdict.outcome))


def _read_head(text: str) -> tuple[int, str]:
    tick, _, digest = text.partition(":")
    if not tick.isdigit() or len(digest) != 64:
        fail(Exit.CANNOT_RUN, f"--head must be TICK:HASH with a hash of 64 digits, got {text[:80]!r}")
    return int(tick), digest
