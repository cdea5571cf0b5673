"""A bot's career: promotions, searches for better parameters, and how far its paper session is from the engine.

Place in the flow: tick facts and results of searches → **careers** → rows. Pure. Rows that may still change are kept until they end.

Source: R-A3.6, R-C3, R-F7.
"""

from dataclasses import dataclass, field
from datetime import datetime
from typing import assert_never

from autonomy.events import (
    ChallengerJudged,
    DriftJudged,
    EvolutionSummary,
    JobEnqueued,
    LookTaken,
    PromotionRecommended,
    PromotionRequested,
    PromotionWithdrawn,
    StageChanged,
)
from autonomy.values import JobStatus
from projection.fold.bot_now import Row
from projection.fold.rows import Changes, Said, json_of

PromotionFact = PromotionRecommended | PromotionRequested | PromotionWithdrawn


@dataclass(slots=True)
class Careers:
    """What is still open.

    Attributes:
        promotions: open recommendations by id; `by_bot` names each bot's.
        searches: by job id, until judged.
    """

    promotions: dict[str, Row] = field(default_factory=dict)
    by_bot: dict[str, str] = field(default_factory=dict)
    searches: dict[str, Row] = field(default_factory=dict)

    # ── promotions ─────────────────────────────────────────────────────────────────────────────────────────────

    def promotion(self, event: PromotionFact, said: Said, changes: Changes) -> None:
        """A recommendation, its first approval, or its end without a promotion."""
        match event:
            case PromotionRecommended():
                row = _new_promotion(event, said)
                self.promotions[event.recommendation_id] = row
                self.by_bot[event.bot_id] = event.recommendation_id
                changes.put("promotions", (event.recommendation_id,), row)
            case PromotionRequested():
                self._change(event.recommendation_id, changes, {
                    "status": "REQUESTED", "requested_by": event.actor, "requested_at": said.at,
                })  # fmt: skip
            case PromotionWithdrawn():
                self._close(event.recommendation_id, said, changes, {
                    "status": event.outcome, "cause": event.cause, "actor": event.actor, "reason": event.reason,
                    "failing": [json_of(gate) for gate in event.gates],
                })  # fmt: skip
            case _:
                assert_never(event)

    def applied(self, event: StageChanged, said: Said, changes: Changes) -> None:
        """A stage change that stands on a recommendation."""
        if event.recommendation_id is not None:
            self._close(event.recommendation_id, said, changes, {
                "status": "APPLIED", "cause": event.reason_code, "actor": event.actor, "approved_by": list(event.approved_by),
            })  # fmt: skip

    def _change(self, recommendation_id: str, changes: Changes, columns: Row) -> None:
        row = self.promotions.get(recommendation_id)
        if row is not None:
            self.promotions[recommendation_id] = row | columns
            changes.put("promotions", (recommendation_id,), row | columns)

    def _close(self, recommendation_id: str, said: Said, changes: Changes, columns: Row) -> None:
        self._change(recommendation_id, changes, columns | {
            "closed_at": said.at, "closed_tick": said.tick, "closed_event_id": said.event_id,
        })  # fmt: skip
        row = self.promotions.pop(recommendation_id, None)
        if row is not None:
            self.by_bot.pop(str(row["bot_id"]), None)

    def now_of(self, bot_id: str) -> Row:
        """The columns of a bot's badge row that its open recommendation makes."""
        row = self.promotions.get(self.by_bot.get(bot_id, ""))
        return {"recommendation_id": row["id"] if row else None, "recommendation_status": row["status"] if row else None}

    # ── searches ───────────────────────────────────────────────────────────────────────────────────────────────

    def search(self, event: JobEnqueued, at: datetime, changes: Changes) -> None:
        """A search is ordered."""
        plan = event.evolution
        if plan is None:
            return
        empty = dict.fromkeys((
            "finished_at", "evaluations", "generations", "stop_reason", "champion", "challenger", "dsr", "pbo", "verdict", "applied",
            "judged_at", "trials_sha256", "artifact", "event_id", "opening", "paired_t", "required_t",
        ))  # fmt: skip
        self._put_search(empty | {
            "job_id": event.job_id, "bot_id": event.bot_id, "why": plan.why, "seed": plan.seed,
            "prior_trials": max(plan.prior_trials, event.prior_trials), "enqueued_at": at, "findings": [],
        }, changes)  # fmt: skip

    def searched(self, job_id: str, status: JobStatus, found: EvolutionSummary | None, at: datetime, changes: Changes) -> None:
        """A search ended."""
        row = self.searches.get(job_id)
        if row is None:
            return
        if found is None:
            verdict = status.value if status is not JobStatus.SUCCEEDED else "FAILED"
            self._put_search(row | {"finished_at": at, "verdict": row["verdict"] or verdict}, changes)
            return
        self._put_search(row | {
            "finished_at": at, "evaluations": found.evaluations, "generations": found.generations, "stop_reason": found.stop_reason,
            "champion": json_of(found.champion), "challenger": json_of(found.challenger) if found.challenger else None,
            "dsr": found.dsr, "pbo": found.pbo, "trials_sha256": found.trials_sha256, "artifact": found.artifact,
        }, changes)  # fmt: skip

    def judged(self, event: ChallengerJudged, said: Said, changes: Changes) -> None:
        """What a search means for its bot; it may be read before the result that it judges."""
        row = self.searches.get(event.job_id)
        if row is not None:
            self._put_search(row | {
                "verdict": event.verdict, "applied": event.applied, "findings": list(event.findings), "judged_at": said.at,
                "event_id": said.event_id, "opening": event.opening, "paired_t": event.paired_t, "required_t": event.required_t,
            }, changes)  # fmt: skip

    # ── verdicts ───────────────────────────────────────────────────────────────────────────────────────────────

    def looked(self, event: LookTaken, said: Said, changes: Changes) -> None:
        """A judgement of a bot's timing."""
        changes.put("bot_looks", (event.bot_id, event.number), {
            "bot_id": event.bot_id, "number": event.number, "job_id": event.job_id, "fingerprint": event.fingerprint, "bars": event.bars,
            "trades": event.trades, "z": event.z, "p_value": event.p_value, "markets": event.markets, "alpha": event.alpha,
            "required_z": event.required_z, "synthetic": event.synthetic,
            "verdict": event.verdict.value, "tick": said.tick, "judged_at": said.at,
            "event_id": said.event_id,
        })  # fmt: skip

    def drifted(self, event: DriftJudged, said: Said, changes: Changes) -> None:
        """A judgement of a live window."""
        changes.put("bot_drift", (event.job_id,), {
            "job_id": event.job_id, "bot_id": event.bot_id, "session_id": event.session_id, "verdict": event.verdict.value,
            "findings": list(event.findings), "demote": event.demote, "tick": said.tick, "judged_at": said.at, "event_id": said.event_id,
        })  # fmt: skip

    def _put_search(self, row: Row, changes: Changes) -> None:
        job_id = str(row["job_id"])
        if row["verdict"] is not None and row["finished_at"] is not None:
            self.searches.pop(job_id, None)
        else:
            self.searches[job_id] = row
        changes.put("bot_evolutions", (job_id,), row)


def _new_promotion(event: PromotionRecommended, said: Said) -> Row:
    empty = dict.fromkeys((
        "requested_by", "requested_at", "closed_at", "closed_tick", "cause", "actor", "reason", "closed_event_id",
    ))  # fmt: skip
    return empty | {
        "id": event.recommendation_id, "bot_id": event.bot_id, "from_stage": event.from_stage.value, "to_stage": event.to_stage.value,
        "status": "OPEN", "stage_version": event.stage_version, "version": event.version, "fingerprint": event.fingerprint,
        "evidence_job": event.evidence_job, "gates": [json_of(gate) for gate in event.gates], "recommended_at": said.at,
        "tick": said.tick, "approved_by": [], "failing": [], "event_id": said.event_id,
    }  # fmt: skip
