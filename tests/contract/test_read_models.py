"""The tables that people query: fixed names, and words on everything.

Source: R-A2, R-C2.1.
"""

import pytest
from sqlalchemy import Table

from autonomy.read_model import METADATA, NOT_REBUILT, VIEWS

SEED_NAMES = {
    "bot_jobs": {"job_type", "status"},
    "autonomy_planner_runs": {"started_at"},
    "bot_stage_events": {"id", "bot_id", "from_stage", "to_stage", "reason_code", "actor", "created_at"},
    "bots": {"stage", "stage_updated_at", "stage_reason_code"},
}


@pytest.mark.parametrize("table", METADATA.sorted_tables, ids=lambda table: table.name)
def test_table_and_columns_have_comments(table: Table) -> None:
    assert table.comment
    assert [column.name for column in table.columns if not column.comment] == []


@pytest.mark.parametrize("name", SEED_NAMES)
def test_names_of_the_requirements_are_fixed(name: str) -> None:
    assert SEED_NAMES[name] <= set(METADATA.tables[name].columns.keys())


def test_decisions_have_one_row_per_bot_and_run() -> None:
    sql, comment = VIEWS["autonomy_bot_decisions"]
    assert "one row per bot and planner run" in comment.lower()
    assert all(name in sql for name in ("run_id", "bot_id", "reason_code", "blockers"))


def test_views_have_comments() -> None:
    assert all(comment for _, comment in VIEWS.values())


def test_tables_that_no_rebuild_makes_exist() -> None:
    assert set(METADATA.tables) >= NOT_REBUILT
