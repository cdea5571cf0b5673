"""Commands that only read: status, bots, why, jobs, policy, runs."""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from http import HTTPStatus
from typing import Literal

import typer
import yaml

from autonomy.client import bot_path
from autonomy.documents import keys
from autonomy.gates import act_of
from autonomy_cli import options as o
from autonomy_cli.api import reader
from autonomy_cli.careers import gates_of, show_gates
from autonomy_cli.exits import Exit, fail
from autonomy_cli.show import GREEN, RED, YELLOW, Columns, counted, listed, painted, part, print_json, print_table, safe

GOOD_VERDICTS = {"TICKING", "PAUSED"}
BOT_COLUMNS: Columns[keys.BotListedKey] = (
    ("bot", "botId"), ("state", "state"), ("stage", "stage"), ("reason", "reasonCode"), ("since", "since"),
    ("next due", "nextDueAt"), ("evidence", "recency"), ("strategy", "strategy"), ("symbol", "symbol"),
)  # fmt: skip
MOMENTS: Columns[keys.DecisionKey] = (
    ("detail", "detail"), ("until", "untilAt"), ("next due", "nextDueAt"), ("waiting", "dueSince"), ("would be", "would"),
)  # fmt: skip
JOB_COLUMNS: Columns[keys.JobKey] = (
    ("job", "id"), ("bot", "botId"), ("type", "jobType"), ("status", "status"), ("attempt", "attempt"), ("cause", "cause"),
    ("created", "createdAt"), ("finished", "finishedAt"),
)  # fmt: skip
WORKER_COLUMNS: Columns[keys.WorkerKey | Literal["inUse"]] = (
    ("worker", "processId"), ("state", "state"), ("last sign", "lastBeatAt"), ("engine", "engineVersion"), ("in use", "inUse"),
    ("offer", "offer"), ("disagrees about", "disagrees"),
)  # fmt: skip
RUN_COLUMNS: Columns[keys.PlannerRunKey | Literal["reasons"]] = (
    ("tick", "tick"), ("started", "startedAt"), ("cause", "cause"), ("bots", "botsEvaluated"), ("enqueued", "jobsEnqueued"),
    ("blocked", "blocked"), ("errors", "errors"), ("zero jobs", "zeroJobsReason"), ("reasons", "reasons"),
)  # fmt: skip


def status(api: o.Api = o.DEFAULT_API, as_json: o.Json = False) -> None:
    """Does the planner tick, can anything run, and can the answer be trusted? Exit 0: yes, or an operator paused it; 1: no, or unproven."""
    client = reader(api)
    autonomy, jobs = client.get("/api/_proof/autonomy"), client.get("/api/_proof/jobs")
    if "proof" not in autonomy.document:
        fail(Exit.CANNOT_RUN if autonomy.status >= HTTPStatus.INTERNAL_SERVER_ERROR else Exit.REFUSED, autonomy.words)
    proof = part(autonomy.document, "proof")
    good = autonomy.status == HTTPStatus.OK and proof.get("verdict") in GOOD_VERDICTS
    if as_json:
        print_json({"autonomy": autonomy.document, "jobs": jobs.document})
    else:
        _say_status(autonomy.document, jobs.document, good=good)
    raise typer.Exit(int(Exit.OK if good else Exit.REFUSED))


def _say_status(autonomy: Mapping[keys.AutonomyProofKey, object], jobs: Mapping[keys.JobsProofKey, object], *, good: bool) -> None:
    proof: Mapping[keys.ProofKey, object] = part(autonomy, "proof")
    summary: Mapping[keys.DecisionSummaryKey, object] = part(autonomy, "lastDecisionSummary")
    verdict = safe(proof.get("verdict") or "UNKNOWN")
    colour = GREEN if good else YELLOW if proof.get("status") in {"stale", "unverified"} else RED
    print(f"{painted(verdict, colour)}, proof {safe(proof.get('status'))}{_because(proof.get('reason'))}")
    every, following = safe(autonomy.get("tickIntervalSec")), safe(proof.get("nextTickAt"))
    print(f"last tick   {safe(autonomy.get('lastTickAt'))} (every {every} s), next {following}")
    evaluated, enqueued = safe(summary.get("botsEvaluated")), safe(summary.get("jobsEnqueued"))
    print(f"bots        {evaluated} evaluated, {enqueued} jobs enqueued in the last tick")
    print(f"reasons     {counted(summary.get('reasonCounts'))}")
    zero: Mapping[keys.ZeroJobsToldKey, object] = part(summary, "zeroJobs")
    if zero:
        print(f"zero jobs   {safe(zero.get('reason'))}")
    print(f"running     {counted(jobs.get('running'))};  queued {counted(jobs.get('queued'))}")
    print(f"checks      {counted(proof.get('checks'))}")
    failing = proof.get("failing")
    if isinstance(failing, list) and failing:
        print(painted(f"failing     {', '.join(safe(name) for name in failing)}", RED))
    repairs: Sequence[Mapping[keys.RepairKey, object]] = listed(autonomy, "chainRepairs")
    for repair in repairs:
        print(
            painted(f"repaired    tick {safe(repair.get('atTick'))} by {safe(repair.get('actor'))}: {safe(repair.get('reason'))}", YELLOW)
        )


def _because(reason: object) -> str:
    return f" ({safe(reason)})" if reason else ""


def _params(**filters: Sequence[StrEnum] | None) -> list[tuple[str, str]]:
    return [(name, value.value) for name, values in filters.items() for value in values or ()]


def bots(  # noqa: PLR0913 (one argument per filter)
    context: typer.Context, state: o.States = None, stage: o.Stages = None, reason: o.Reasons = None, recency: o.Recencies = None,
    q: o.Text = "", limit: o.AllOrLimit = 0, api: o.Api = o.DEFAULT_API, as_json: o.Json = False,
) -> None:  # fmt: skip
    """The fleet, narrowed by the words of the page's address; all pages unless --limit."""
    if context.invoked_subcommand is not None:
        return
    params = _params(state=state, stage=stage, reason=reason, recency=recency) + ([("q", q)] if q else [])
    rows = reader(api).items("/api/bots", params, limit)
    if as_json:
        print_json(list(rows))
        return
    print_table(rows, BOT_COLUMNS, "No bot matches.")


def why(bot: o.Bot, api: o.Api = o.DEFAULT_API, as_json: o.Json = False) -> None:
    """The decision about one bot as recorded: reason, every blocker, the whole tree of promotion gates, next due, active job."""
    client = reader(api)
    found = client.found(bot_path(bot))
    document: Mapping[keys.BotDetailKey, object] = found
    tree = gates_of(client, bot)
    if as_json:
        print_json({**found, "gates": tree.get("items", [])})
        return
    facts: Mapping[keys.BotKey, object] = part(document, "bot")
    retired = f", retired {safe(facts.get('retiredAt'))}" if facts.get("retiredAt") else ""
    print(f"{safe(facts.get('id'))}: {safe(facts.get('stage'))} ({safe(facts.get('stageReasonCode'))}), "
          f"{safe(facts.get('strategy'))} on {safe(facts.get('symbol'))}{retired}")  # fmt: skip
    now: Mapping[keys.BotShownKey, object] = part(document, "botNow")
    if now:
        print(f"now         {safe(now.get('state'))} since {safe(now.get('since'))}, evidence {safe(now.get('recency'))}")
    decision: Mapping[keys.DecisionKey, object] = part(document, "decision")
    if decision:
        _say_decision(decision)
    else:
        print("decision    none recorded yet")
        return
    jobs: Sequence[Mapping[keys.JobKey, object]] = listed(document, "jobs")
    for job in jobs:
        if job.get("status") in {"QUEUED", "RUNNING"}:
            print(f"active job  {safe(job.get('id'))}: {safe(job.get('jobType'))} {safe(job.get('status'))}, "
                  f"phase {safe(job.get('phase'))}, progress {safe(job.get('progress'))}")  # fmt: skip
    if tree:
        show_gates(listed(tree, "items"), tree.get("promotionTo"))
    print(f"recorded    event {safe(decision.get('eventId'))}")


def _say_decision(decision: Mapping[keys.DecisionKey, object]) -> None:
    about = f" about {safe(decision.get('jobType'))}" if decision.get("jobType") else ""
    print(f"decision    {painted(safe(decision.get('reasonCode')), YELLOW)}{about}, since tick {safe(decision.get('fromTick'))}")
    for label, name in MOMENTS:
        if decision.get(name):
            print(f"{label:<11} {safe(decision.get(name))}")
    if decision.get("limitName"):
        print(f"limit       {safe(decision.get('limitName'))} = {safe(decision.get('limitValue'))}, place {safe(decision.get('place'))}")
    blockers: Sequence[Mapping[keys.BlockerKey, object]] = listed(decision, "blockers")
    for blocker in blockers:
        code = str(blocker.get("code"))
        print(f"blocker     {safe(code)}: {safe(blocker.get('verdict'))}")
        print(f"  measured  {safe(blocker.get('measured'))}")
        print(f"  required  {safe(blocker.get('required'))}")
        print(f"  clears    {safe(blocker.get('clearsWhen'))}")
        print(f"  acts      {act_of(code, str(blocker.get('verdict'))).value}")


def jobs(
    status: o.Statuses = None, type: o.Types = None, bot: o.OneBot = None, limit: o.AllOrLimit = 50,  # noqa: A002 (the word of the API)
    api: o.Api = o.DEFAULT_API, as_json: o.Json = False,
) -> None:  # fmt: skip
    """Jobs, newest first."""
    params = _params(status=status, type=type) + ([("bot", bot)] if bot else [])
    rows = reader(api).items("/api/jobs", params, limit)
    if as_json:
        print_json(list(rows))
        return
    print_table(rows, JOB_COLUMNS, "No job matches.")


def policy(context: typer.Context, api: o.Api = o.DEFAULT_API, as_json: o.Json = False) -> None:
    """The policy in force, as YAML that `policy set` takes; with --json also who set it, and what of its limits is in use."""
    if context.invoked_subcommand is not None:
        return
    found: Mapping[keys.PolicyInForceKey, object] = reader(api).found("/api/policy")
    if as_json:
        print_json({name: value for name, value in found.items() if name not in {"now", "proof"}})
        return
    since = f"since tick {safe(found.get('tick'))} by {safe(found.get('actor'))}" if found.get("tick") is not None else "nobody set another"
    print(f"# {since}, hash {safe(found.get('policyHash'))}")
    changes: Sequence[Mapping[keys.ValueChangedKey, object]] = listed(found, "changes")
    for change in changes:
        print(f"# unlike the default: {safe(change.get('path'))} {safe(change.get('default'))} → {safe(change.get('now'))}")
    print(yaml.safe_dump(dict(part(found, "document")), sort_keys=False), end="")


def workers(api: o.Api = o.DEFAULT_API, as_json: o.Json = False) -> None:
    """Runner processes of the last hour: who lives, what is in use, and what they disagree about."""
    found: Mapping[keys.WorkersKey, object] = reader(api).found("/api/workers")
    if as_json:
        print_json({name: value for name, value in found.items() if name not in {"now", "proof"}})
        return
    rows: Sequence[Mapping[keys.WorkerKey, object]] = listed(found, "items")
    print_table(
        ({**row, "inUse": _slots_in_use(listed(row, "slots")), "disagrees": _joined(row.get("disagrees"))} for row in rows),
        WORKER_COLUMNS, "No runner process gave a sign of life in the last hour.",
    )  # fmt: skip
    if found.get("words"):
        print(painted(f"{safe(found.get('words'))}: jobs that need them wait", RED))
    offers: Sequence[Mapping[keys.OfferOfWorkersKey, object]] = listed(found, "offers")
    for offer in (each for each in offers if each.get("live")):
        source: Sequence[Mapping[keys.SourceFaultKey, object]] = listed(offer, "sourceFaults")
        files: Sequence[Mapping[keys.StrategyFaultKey, object]] = listed(offer, "strategyFaults")
        faults = [(fault.get("name"), fault.get("reason")) for fault in source] + [
            (fault.get("file"), fault.get("reason")) for fault in files
        ]
        for name, reason in faults:
            print(f"offer {safe(offer.get('id'))} cannot use {safe(name)}: {safe(reason)}")


def _slots_in_use(slots: Sequence[Mapping[keys.SlotsOfWorkerKey, object]]) -> str:
    return ", ".join(f"{safe(slot.get('work'))} {safe(slot.get('inUse'))} of {safe(slot.get('slots'))}" for slot in slots)


def _joined(names: object) -> str | None:
    return ", ".join(map(safe, names)) or None if isinstance(names, list) else None


def runs(limit: o.AllOrLimit = 20, api: o.Api = o.DEFAULT_API, as_json: o.Json = False) -> None:
    """Ticks, newest first: what each evaluated, enqueued, and why nothing when nothing."""
    rows = reader(api).items("/api/planner/runs", [], limit)
    if as_json:
        print_json(list(rows))
        return
    print_table(({**row, "reasons": counted(row.get("reasonCounts"))} for row in rows), RUN_COLUMNS, "No tick yet.")
