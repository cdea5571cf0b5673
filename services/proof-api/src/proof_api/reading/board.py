"""The ladder from LAB to LIVE, counted in one statement: one moment of the rows, with its revision.

Place in the flow: route → **board** → PostgreSQL (role reader). Whoever waits is told by an instant, not by a length of time: it is true
for as long as the rows are.
"""

from typing import Final

import asyncpg

from autonomy.values import NEXT_STAGE, Stage
from proof_api.reading.queries import document

SQL: Final = """
WITH fleet AS MATERIALIZED (
  SELECT n.bot_id, n.stage, n.promotion_blockers, n.synthetic IS TRUE AS made_up, b.stage_updated_at, n.recommendation_id, p.recommended_at
  FROM bot_now n JOIN bots b ON b.id = n.bot_id LEFT JOIN promotions p ON p.id = n.recommendation_id),
gates AS (
  SELECT stage, code, count(*)::int AS bots FROM (
    SELECT DISTINCT stage, bot_id, missed->>'code' AS code FROM fleet, jsonb_array_elements(promotion_blockers) missed
    WHERE NOT made_up) each
  GROUP BY 1, 2),
stages AS (
  SELECT stage, (count(*) FILTER (WHERE NOT made_up))::int AS bots,
         (count(recommendation_id) FILTER (WHERE NOT made_up))::int AS recommended,
         (count(*) FILTER (WHERE recommendation_id IS NULL AND promotion_blockers <> '[]' AND NOT made_up))::int AS held,
         percentile_disc(0.5) WITHIN GROUP (ORDER BY stage_updated_at) FILTER (WHERE NOT made_up) AS median_since,
         percentile_disc(0.5) WITHIN GROUP (ORDER BY recommended_at) FILTER (WHERE NOT made_up) AS median_recommended_at,
         (count(*) FILTER (WHERE made_up))::int AS synthetic,
         (count(recommendation_id) FILTER (WHERE made_up))::int AS synthetic_recommended,
         (SELECT coalesce(jsonb_agg(jsonb_build_object('code', code, 'bots', bots) ORDER BY bots DESC, code), '[]'::jsonb)
          FROM gates WHERE gates.stage = fleet.stage) AS gates
  FROM fleet GROUP BY stage)
SELECT stages.*, looked.rev, looked.looks, looked.alpha_spent
FROM (SELECT (SELECT rev FROM projection_head) AS rev, count(*)::int AS looks, coalesce(sum(alpha), 0)::float8 AS alpha_spent
      FROM bot_looks WHERE NOT synthetic) looked LEFT JOIN stages ON true
"""


async def board(connection: "asyncpg.Connection[asyncpg.Record]", rev: int) -> dict[str, object]:
    """The document without its proof; `rev` counts where no row of the read models has one.

    Looks are those of retired bots too: they are told also where no bot is left.
    """
    rows = {row["stage"]: document(row) for row in await connection.fetch(SQL)}
    nothing: dict[str, object] = {
        "bots": 0, "recommended": 0, "held": 0, "medianSince": None, "medianRecommendedAt": None,
        "synthetic": 0, "syntheticRecommended": 0, "gates": [],
    }  # fmt: skip
    seen = [(row.pop("rev"), row.pop("looks"), row.pop("alphaSpent")) for row in rows.values()]
    found_rev, looks, spent = seen[0]
    return {
        "stages": [{**nothing, **rows.get(stage.value, {}), "stage": stage.value, "to": NEXT_STAGE.get(stage)} for stage in Stage],
        "rev": rev if found_rev is None else found_rev, "looks": looks, "alphaSpent": spent,
    }  # fmt: skip
