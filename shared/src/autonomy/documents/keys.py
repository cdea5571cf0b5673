"""The keys of each document that proof-api gives, for those who read it: a wrong one is a fault of types, not an empty cell.

Place in the flow: OpenAPI → **keys** → page and command, which take a document as a `Mapping[BotListedKey, object]`. Written by `python
tests/contract/test_openapi.py`: nothing here is kept by hand.
"""

from typing import Literal

# fmt: off
AcceptedByKey = Literal["hash", "own", "records", "root", "rootHolds", "sealOffset", "tick"]
AliveKey = Literal["status", "version"]
AppliedKey = Literal["hash", "tick"]
ApplyPlannedKey = Literal["counts", "items", "now", "planHash", "proof"]
AsyncApiKey = Literal["asyncapi", "channels", "components", "defaultContentType", "info", "operations"]
AsyncApiInfoKey = Literal["description", "title", "version"]
AsyncApiPartsKey = Literal["messages"]
AttentionFoundKey = Literal["blocked", "items", "needed", "now", "proof", "rev"]
AttentionItemKey = Literal["bots", "code", "count", "kind", "needs", "since", "todo", "unit", "what"]
AttentionToldKey = Literal["blocked", "items", "needed", "rev"]
AutonomyProofKey = Literal["chainRepairs", "lastDecisionSummary", "lastTickAt", "latestEnqueuedJobs", "latestPlannerRuns",
    "loopEnabled", "marketNow", "now", "pausedBy", "promotionMode", "proof", "tickIntervalSec"]
BacktestKey = Literal["artifact", "bars", "botId", "cagr", "createdAt", "dataSha256", "dsr", "fingerprint", "firstBar", "jobId",
    "jobType", "lastBar", "lookAheadOk", "maxDrawdown", "oosSharpe", "sharpe", "sourceId", "summary", "synthetic", "trades"]
BacktestMetricsKey = Literal["barsPerTrade", "cagr", "costsUsd", "exposure", "finalEquityUsd", "maxDrawdown", "profitFactor", "sharpe",
    "sortino", "trades", "turnoverPerYear", "winRate"]
BacktestPageKey = Literal["items", "nextCursor", "now", "proof"]
BacktestPictureKey = Literal["bars", "basis", "createdAt", "firstBar", "jobId", "lacks", "lastBar", "ofTrades", "points", "synthetic",
    "trades", "version"]
BacktestResultKey = Literal["backtest", "equity", "now", "proof", "trades"]
BarPageKey = Literal["backtest", "backtestCounts", "counts", "items", "nextCursor", "now", "proof", "session", "trading", "why"]
BarsOfWorkerKey = Literal["bars", "costs", "first", "last", "live", "sha256", "sourceId", "symbol", "synthetic", "timeframe"]
BlockedBotsKey = Literal["developer", "nobody", "operator"]
BlockerKey = Literal["clearsWhen", "code", "evidenceAgeBars", "evidenceJob", "fingerprint", "measured", "required", "verdict"]
BlockerOfBotKey = Literal["botId", "clearsWhen", "code", "evidenceAgeBars", "evidenceJob", "fingerprint", "jobType", "measured",
    "required", "sinceTick", "verdict"]
BoardKey = Literal["alphaSpent", "looks", "now", "proof", "rev", "stages"]
BotKey = Literal["evolve", "fleet", "holdActor", "holdReason", "id", "name", "origin", "parameters", "pinReason", "pinned", "pinnedBy",
    "pinnedUntil", "proposalJob", "registeredAt", "retiredAt", "stage", "stageReasonCode", "stageUpdatedAt", "stageVersion", "strategy",
    "symbol", "timeframe", "version"]
BotDetailKey = Literal["bot", "botNow", "decision", "jobs", "latestBacktest", "latestDrift", "latestPromotion", "latestSession", "now",
    "proof"]
BotListedKey = Literal["basis", "becauseEventId", "blockers", "botId", "demote", "detail", "drift", "driftAt", "evidenceAt",
    "evidenceUntil", "jobId", "jobStatus", "jobType", "jobWhy", "lastBeatAt", "lastMarkAt", "lastMarkBar", "leaseSec", "maxDrawdown",
    "name", "nextDueAt", "origin", "parameters", "phase", "pinReason", "pinned", "pinnedBy", "pinnedUntil", "place", "progress",
    "promotionBlockers", "promotionGates", "promotionTo", "reasonCode", "recency", "recommendationId", "recommendationStatus", "rev",
    "runnerBeatAt", "runnerJobId", "runnerStale", "runnerStarting", "runnerStatus", "sessionEquity", "sessionId", "sessionPnl",
    "sessionReplay", "sessionTrades", "sessionUnits", "sharpe", "since", "spark", "stage", "state", "strategy", "symbol", "synthetic",
    "timeframe", "trades", "untilAt", "version", "would"]
BotOutcomeKey = Literal["botId", "field", "limit", "outcome"]
BotPageKey = Literal["counts", "groups", "items", "matching", "nextCursor", "now", "proof", "rev", "total"]
BotPictureKey = Literal["backtest", "bot", "moves", "now", "ofMoves", "ofVersions", "proof", "session", "versions"]
BotRevertedKey = Literal["botId", "eventId", "fromStage", "outcome", "reasonCode", "toStage"]
BotShownKey = Literal["basis", "becauseEventId", "blockers", "botId", "demote", "detail", "drift", "driftAt", "evidenceAt",
    "evidenceUntil", "jobId", "jobStatus", "jobType", "jobWhy", "lastBeatAt", "lastMarkAt", "lastMarkBar", "leaseSec", "maxDrawdown",
    "name", "nextDueAt", "origin", "parameters", "phase", "pinReason", "pinned", "pinnedBy", "pinnedUntil", "progress",
    "promotionBlockers", "promotionGates", "promotionTo", "reasonCode", "recency", "recommendationId", "recommendationStatus", "rev",
    "runnerBeatAt", "runnerJobId", "runnerStale", "runnerStarting", "runnerStatus", "sessionEquity", "sessionId", "sessionPnl",
    "sessionReplay", "sessionTrades", "sessionUnits", "sharpe", "since", "spark", "stage", "state", "strategy", "symbol", "synthetic",
    "timeframe", "trades", "untilAt", "version", "would"]
BotStepKey = Literal["botId", "changes", "field", "limit", "outcome", "version"]
BotsEventKey = Literal["items", "more", "rev"]
BudgetOfHourKey = Literal["applies", "limit", "used"]
ChecksKey = Literal["canary", "chain", "clock", "kafka", "planner", "postgres", "probe", "projection", "runners"]
ChoiceOfferedKey = Literal["allowed", "default", "meaning", "name"]
ClosedTradeKey = Literal["bars", "entryBar", "entryPriceUsd", "exitBar", "exitPriceUsd", "feesUsd", "pnlUsd", "returnFraction", "units"]
CommandKey = Literal["actor", "botId", "code", "command", "counts", "field", "id", "limitText", "outcomes", "reason", "role", "saidAt",
    "status", "tick"]
CommandAnsweredKey = Literal["actor", "body", "botId", "code", "command", "commandId", "counts", "field", "limitText", "outcomes",
    "reason", "role", "saidAt", "status", "tick"]
CommandFoundKey = Literal["actor", "body", "botId", "code", "command", "commandId", "counts", "field", "limitText", "now", "outcomes",
    "proof", "reason", "role", "saidAt", "status", "tick"]
CommandOpenKey = Literal["commandId", "status"]
CommandPageKey = Literal["items", "nextCursor", "now", "proof"]
ContenderKey = Literal["fingerprint", "foldsSharpe", "holdoutMaxDrawdown", "holdoutPsr", "holdoutSharpe", "holdoutTrades", "parameters"]
CooldownPolicyKey = Literal["after_cancel_s", "after_crash_s", "after_success_s", "max_s"]
CostsKey = Literal["borrowBpsPerDay", "feeBps", "fundingBpsPerDay", "lot", "makerBps", "minimumUsd", "slippageBps", "tick"]
CountsKey = Literal["needs", "reason", "recency", "recommended", "stage", "state"]
DecisionKey = Literal["blockers", "botId", "detail", "dueSince", "eventId", "fromTick", "jobId", "jobType", "limitName", "limitValue",
    "nextDueAt", "place", "promotion", "promotionTo", "reasonCode", "toTick", "untilAt", "would"]
DecisionAtTickKey = Literal["blockers", "botId", "changed", "decidedAt", "detail", "dueSince", "eventId", "jobId", "jobType",
    "limitName", "limitValue", "nextDueAt", "place", "promotionTo", "reasonCode", "runId", "sinceTick", "tick", "untilAt", "would"]
DecisionAtTickPageKey = Literal["items", "nextCursor", "now", "proof"]
DecisionPageKey = Literal["items", "nextCursor", "now", "proof"]
DecisionSummaryKey = Literal["blocked", "blockersTop", "botsEvaluated", "jobsEnqueued", "reasonCounts", "reasonsTop", "tick",
    "zeroJobs"]
DecisionToldKey = Literal["eventId", "fromTick", "jobType", "reasonCode"]
DisagreementKey = Literal["about", "sides"]
DoneByKindKey = Literal["backtest", "evolve"]
DriftFoundKey = Literal["botId", "demote", "eventId", "findings", "jobId", "judgedAt", "sessionId", "tick", "verdict"]
DriftFoundPageKey = Literal["items", "nextCursor", "now", "proof"]
DriftPolicyKey = Literal["max_drawdown_ratio", "max_pnl_change", "max_sharpe_change", "max_trade_count_change", "min_bars",
    "min_trades"]
EngineCloseKey = Literal["barStart", "equity"]
EquityAtCloseKey = Literal["barStart", "buyAndHoldUsd", "closeUsd", "drawdownFraction", "strategyUsd"]
EquityCurveKey = Literal["buyAndHold", "minutes", "strategy"]
EquityPointKey = Literal["at", "bar", "barStart", "botId", "cash", "close", "equity", "maxDrawdown", "outcome", "pnl", "replay",
    "sessionId", "sharpe", "tradedBars", "trades", "units", "wanted", "why"]
EquityPointPageKey = Literal["items", "nextCursor", "now", "proof"]
EvidenceOfVersionKey = Literal["dsr", "fingerprint", "jobId", "lastBar", "maxDrawdown", "newestAt", "results", "sharpe", "trades"]
EvolutionKey = Literal["applied", "artifact", "botId", "challenger", "champion", "dsr", "enqueuedAt", "evaluations", "eventId",
    "findings", "finishedAt", "generations", "jobId", "judgedAt", "opening", "pairedT", "pbo", "priorTrials", "requiredT", "seed",
    "stopReason", "trialsSha256", "verdict", "why"]
EvolutionPageKey = Literal["items", "nextCursor", "now", "proof"]
EvolutionPolicyKey = Literal["alpha_holdouts", "concurrency", "embargo_bars", "folds", "generations", "holdout_fraction",
    "max_evaluations", "max_wall_s", "min_holdout_bars", "min_holdout_trades", "per_hour", "population", "weak_below_sharpe", "winners"]
ExitsOfferedKey = Literal["rebalance", "reentry", "stopLoss", "takeProfitAfter", "trailing", "trailingOffset"]
FieldChangedKey = Literal["after", "before", "field"]
FieldFaultKey = Literal["field", "limit"]
FleetMembersKey = Literal["items", "next", "now", "proof"]
FleetTimelineKey = Literal["bars", "by", "firstTickAt", "fromAt", "knownUntil", "lanes", "moves", "now", "proof", "silences", "stepSec",
    "steps", "ticksFolded", "toAt", "totals"]
GainAfterKey = Literal["gain", "minutes"]
GateCountKey = Literal["code", "count"]
GateFigureKey = Literal["atLeast", "atMost", "name", "value"]
GateInTheWayKey = Literal["bots", "code"]
GateOfBotKey = Literal["botId", "clearsWhen", "code", "deciding", "eventId", "evidenceAgeBars", "evidenceJob", "expiresAt", "figures",
    "fingerprint", "measured", "place", "promotionTo", "required", "sinceTick", "verdict"]
GateResultKey = Literal["clearsWhen", "code", "deciding", "evidenceAgeBars", "evidenceJob", "expiresAt", "figures", "fingerprint",
    "measured", "required", "verdict"]
GateThresholdsKey = Literal["max_bars_behind", "max_drawdown", "max_evidence_age_bars", "max_exposure", "min_bars_per_trade",
    "min_exposure", "min_live_bars", "min_net_t", "min_trades", "shadow"]
GatesKey = Literal["blockers", "decision", "eventId", "items", "now", "promotionTo", "proof", "sinceTick"]
GroupOfBotsKey = Literal["bots", "key"]
HeadSeenKey = Literal["hash", "runsEnd", "seenAt", "tick"]
JobKey = Literal["attempt", "attempts", "barsUntil", "botId", "cause", "createdAt", "detail", "failures", "fingerprint", "finishedAt",
    "id", "jobClass", "jobType", "lastBeatAt", "phase", "processId", "progress", "queuedAt", "seq", "stage", "startedAt", "status",
    "strategy", "symbol", "tick"]
JobBlockKey = Literal["attempt", "botId", "cause", "endedAt", "jobId", "jobType", "queuedAt", "startedAt", "status"]
JobDetailKey = Literal["job", "now", "proof"]
JobPageKey = Literal["items", "nextCursor", "now", "proof"]
JobToldKey = Literal["botId", "createdAt", "jobId", "status", "type"]
JobsByKindKey = Literal["backtest", "evolve", "runner"]
JobsProofKey = Literal["completedLast1h", "now", "proof", "queued", "running", "runningWithoutHeartbeat", "stuckAfterMin",
    "stuckRunningOverXmin"]
JsonSchemaKey = Literal["$defs", "$id", "$schema", "additionalProperties", "description", "properties", "required", "title", "type"]
LaneKey = Literal["blocks", "failed", "failures", "folded", "jobs", "key", "queued", "running"]
LeasePolicyKey = Literal["beat_s", "claim_deadline_s", "failures_limit", "lease_s"]
LeftAttemptKey = Literal["attempt", "cause", "endedAt", "eventId", "processId", "startedAt"]
LimitInUseKey = Literal["because", "limit", "name", "used"]
LiveByStatusKey = Literal["queued", "running"]
LookKey = Literal["alpha", "bars", "botId", "eventId", "fingerprint", "jobId", "judgedAt", "markets", "number", "pValue", "requiredZ",
    "synthetic", "tick", "trades", "verdict", "z"]
LookPageKey = Literal["items", "nextCursor", "now", "proof"]
LookPolicyKey = Literal["alpha_life", "every", "first_bars", "first_trades"]
MarketDataKey = Literal["items", "now", "proof"]
MarketNowKey = Literal["at", "end", "ended", "mode"]
MarketPolicyKey = Literal["end", "mode", "seconds_per_bar", "start"]
MissedGateKey = Literal["clearsWhen", "code", "measured", "required"]
NeighboursKey = Literal["next", "now", "previous", "proof"]
NumberOfferedKey = Literal["default", "high", "kind", "low", "meaning", "name", "unit"]
OfferOfWorkersKey = Literal["bars", "engineVersion", "id", "jobTypes", "live", "sourceFaults", "strategies", "strategyFaults",
    "workers"]
OpenPositionKey = Literal["botId", "equity", "lastBar", "pnl", "replay", "sessionId", "units"]
OperatorKey = Literal["name", "role"]
OrderingOfferedKey = Literal["greater", "lesser"]
OutcomeCountedKey = Literal["bars", "changes", "meaning", "outcome", "words"]
PauseKey = Literal["actor", "reason", "scope", "since", "target"]
PictureFillKey = Literal["barStart", "kind", "orderId", "pnl", "price", "side", "units"]
PicturePointKey = Literal["barStart", "close", "drawdown", "equity", "holding"]
PictureTradeKey = Literal["entryBar", "entryPrice", "exitBar", "exitPrice", "pnl", "units"]
PinnedBotKey = Literal["botId", "pinReason", "pinnedBy", "pinnedUntil", "stage"]
PinnedBotsKey = Literal["bots", "count"]
PlannerRunKey = Literal["blocked", "blockerCounts", "botsEvaluated", "botsRegistered", "cause", "decider", "digest", "dueAt",
    "errorDetails", "errors", "finishedAt", "hash", "id", "jobsEnqueued", "liveJobs", "logOffset", "loopEnabled", "marketNow",
    "policyHash", "prevHash", "processId", "reasonCounts", "slice", "startedAt", "stateHash", "tick", "zeroJobsReason"]
PlannerRunPageKey = Literal["items", "nextCursor", "now", "proof"]
PlannerRunToldKey = Literal["blocked", "botsEvaluated", "cause", "errors", "finishedAt", "hash", "id", "jobsEnqueued", "reasonCounts",
    "startedAt", "tick", "zeroJobsReason"]
PolicyCostsKey = Literal["borrow_bps_per_day", "fee_bps", "funding_bps_per_day", "lot", "maker_bps", "minimum_usd", "slippage_bps",
    "tick"]
PolicyDocumentKey = Literal["cooldowns", "drift", "early_tick_spacing_s", "evolution", "leases", "looks", "market", "name", "promotion",
    "promotion_mode", "quarantine_after_crashes", "research", "rules_approvers", "runners", "stages", "tick_interval_s"]
PolicyInForceKey = Literal["actor", "approvedBy", "changes", "commandId", "countedAt", "document", "fleet", "limits", "now",
    "policyHash", "promotions", "proof", "reason", "rev", "shares", "since", "slots", "tick"]
PolicyResearchKey = Literal["concurrency", "costs", "initial_cash_usd", "max_enqueues_per_hour", "min_bars", "queue_ahead",
    "queued_per_slot", "suite", "timeout_s"]
PolicySuiteKey = Literal["hopeless_after", "neighbourhood_steps", "permuted_markets", "stress_levels", "truncation_cuts",
    "walk_forward_windows"]
ProblemDocumentKey = Literal["code", "detail", "errors", "field", "limit", "status", "title", "type"]
PromotionKey = Literal["actor", "approvedBy", "botId", "cause", "closedAt", "closedEventId", "closedTick", "eventId", "evidenceJob",
    "failing", "fingerprint", "fromStage", "gates", "id", "reason", "recommendedAt", "requestedAt", "requestedBy", "stageVersion",
    "status", "tick", "toStage", "version"]
PromotionPageKey = Literal["items", "nextCursor", "now", "proof"]
PromotionPolicyKey = Literal["auto_per_hour", "auto_stages", "max_share", "synthetic_up_to"]
ProofKey = Literal["applied", "asOf", "checks", "failing", "head", "lagRecords", "nextTickAt", "plannerPulseAgeMs", "projectionLagMs",
    "reason", "status", "tickAgeMs", "verdict"]
ProofEventKey = Literal["attention", "counts", "proof", "summary"]
QuarantinedRecordKey = Literal["excerpt", "logOffset", "partition", "reason", "seenAt", "sha256", "sizeBytes", "topic"]
QuarantinedRecordPageKey = Literal["items", "nextCursor", "now", "proof"]
ReadyKey = Literal["checks", "reason", "status"]
ReasonCountKey = Literal["count", "reasonCode"]
ReasonOfferedKey = Literal["code", "words"]
RepairKey = Literal["actor", "atTick", "reason", "tick"]
ResearchSummaryKey = Literal["artifact", "bars", "buyAndHold", "curve", "dataFindings", "dataSha256", "dsr", "elapsedS", "fingerprint",
    "firstBar", "inSample", "lastBar", "lookAheadCuts", "lookAheadOk", "metrics", "neighbourhoodMedianSharpe", "netT", "outOfSample",
    "outcomes", "psr", "sourceId", "stressWorstSharpe", "synthetic", "timing", "trials", "window"]
RevertCommandKey = Literal["botIds", "expectedCount", "planHash", "stages", "strategies", "symbols", "type"]
RevertPlanKey = Literal["baselines", "botIds", "byStage", "command", "expectedCount", "loopPaused", "now", "pausedBy", "pinned",
    "planHash", "proof", "stops"]
RunnerPolicyKey = Literal["max_runners", "session_s", "stop"]
SchemaEntryKey = Literal["dataschema", "href", "producer", "topic", "type"]
SchemaListKey = Literal["items"]
SessionKey = Literal["actor", "bar", "botId", "cash", "cause", "closedAt", "closedTick", "equity", "eventId", "fingerprint", "fromBar",
    "id", "jobId", "lastBar", "lastMarkAt", "lateBars", "maxDrawdown", "openedAt", "openedTick", "outcomes", "pnl", "replay", "sharpe",
    "state", "tradedBars", "trades", "units"]
SessionPageKey = Literal["items", "nextCursor", "now", "proof"]
SessionPictureKey = Literal["before", "drift", "engine", "every", "fills", "ofFills", "points", "session", "window"]
SideKey = Literal["says", "workers"]
SilenceKey = Literal["afterTick", "beforeTick", "fromAt", "intervalSec", "missing", "toAt"]
SlotsInUseKey = Literal["processes", "queued", "running", "slots", "work"]
SlotsOfWorkerKey = Literal["inUse", "slots", "work"]
SourceKey = Literal["bars", "firstBar", "lastBar", "runners", "sourceId", "symbols", "synthetic", "timeframe"]
SourceFaultKey = Literal["inUse", "name", "reason"]
StageEventKey = Literal["actor", "approvedBy", "botId", "commandId", "createdAt", "evidenceJob", "fromStage", "id", "reasonCode",
    "recommendationId", "tick", "toStage"]
StageEventPageKey = Literal["items", "nextCursor", "now", "proof"]
StageMovesKey = Literal["at", "botId", "bots", "commandId", "fromStage", "reasonCode", "tick", "toStage"]
StageOfBoardKey = Literal["bots", "gates", "held", "medianRecommendedAt", "medianSince", "recommended", "stage", "synthetic",
    "syntheticRecommended", "to"]
StagePolicyKey = Literal["gates", "refresh_after_bars", "refresh_after_hours", "runner_gates", "wants"]
StageShareKey = Literal["bots", "maxShare", "room", "share", "stage"]
StopsKey = Literal["jobs", "openSessions", "positions", "withPosition"]
StoredEventKey = Literal["accepted", "event", "eventId", "now", "proof", "record"]
StoredRecordKey = Literal["appendedAt", "headers", "key", "offset", "partition", "sha256", "sizeBytes", "topic"]
StrategyCatalogueKey = Literal["faults", "items", "now", "proof"]
StrategyFaultKey = Literal["file", "inUse", "line", "reason"]
StrategyFaultShownKey = Literal["file", "inUse", "line", "reason", "runners"]
StrategyOfWorkerKey = Literal["codeHash", "jailed", "name", "origin", "title", "version"]
StrategyOfferedKey = Literal["choices", "codeHash", "exits", "form", "idea", "jailed", "name", "numbers", "orderings", "origin",
    "reasons", "title", "version", "warmUp", "warmUpBars"]
StrategyShownKey = Literal["codeHashes", "offer", "runners"]
StuckJobKey = Literal["ageMin", "botId", "jobId", "startedAt", "type"]
TickBarKey = Literal["at", "causes", "enqueued", "firstTick", "lastTick", "paused", "ticks"]
TicksOfCauseKey = Literal["cause", "enqueued", "ticks"]
TimelineEntryKey = Literal["actor", "at", "detail", "eventId", "kind", "ref", "what"]
TimelinePageKey = Literal["items", "nextCursor", "now", "proof"]
TimelineTotalsKey = Literal["enqueued", "failed", "jobs", "missing", "moved", "succeeded", "ticks"]
TimingFoundKey = Literal["markets", "pValue", "seed", "z"]
TradeKey = Literal["at", "bar", "barStart", "botId", "fee", "kind", "orderId", "pnl", "price", "sessionId", "side", "units"]
TradePageKey = Literal["items", "nextCursor", "now", "proof"]
ValueChangedKey = Literal["default", "now", "path"]
VersionKey = Literal["actor", "botId", "createdAt", "eventId", "evolvedBy", "parameters", "strategy", "symbol", "tick", "timeframe",
    "version"]
VersionPageKey = Literal["items", "nextCursor", "now", "proof"]
VersionTestedKey = Literal["actor", "botId", "createdAt", "eventId", "evidence", "evolvedBy", "parameters", "strategy", "symbol",
    "tick", "timeframe", "version"]
WindowMetricsKey = Literal["bars", "fromBar", "maxDrawdown", "pnlUsd", "sharpe", "trades", "untilBar"]
WorkerKey = Literal["disagrees", "engineVersion", "firstSeenAt", "lastBeatAt", "offer", "processId", "slots", "state"]
WorkersKey = Literal["disagreements", "items", "leaseSec", "now", "offers", "older", "proof", "rev", "words"]
ZeroJobsToldKey = Literal["blockersTop", "counts", "reason"]
