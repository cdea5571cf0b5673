"""The schema is what the tables say, every part of it has a comment, and each role may do no more than it needs."""

import re
from pathlib import Path

import psycopg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import create_engine

from autonomy.documents import tables
from autonomy.documents.rows import RowForm
from autonomy.events import Document
from autonomy.read_model import METADATA, VIEWS
from projection.migrate import sync_url
from support.servers import Database

pytestmark = pytest.mark.servers
ROWS = 500


def test_the_migrations_make_exactly_the_tables_of_the_read_model(database: Database) -> None:
    database.empty()
    engine = create_engine(sync_url(database.owner_url), connect_args={"options": "-csearch_path=autonomy"})
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        differences = compare_metadata(context, METADATA)
    engine.dispose()
    assert [entry for entry in differences if "alembic_version" not in str(entry)] == []


def test_every_table_view_and_column_has_a_comment(database: Database) -> None:
    database.empty()
    with psycopg.connect(database.owner_url) as connection:
        bare = connection.execute(
            "SELECT c.relname, a.attname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
            "JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped "
            "WHERE n.nspname = 'autonomy' AND c.relkind = 'r' AND c.relname <> 'alembic_version' "
            "AND (col_description(c.oid, a.attnum) IS NULL OR obj_description(c.oid) IS NULL)"
        ).fetchall()
        views = connection.execute(
            "SELECT c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
            "WHERE n.nspname = 'autonomy' AND c.relkind = 'v' AND obj_description(c.oid) IS NOT NULL"
        ).fetchall()
    assert bare == []
    assert {row[0] for row in views} == set(VIEWS)


def test_every_document_of_a_row_can_be_selected_and_each_view_has_the_fields_of_its_own(database: Database) -> None:
    database.empty()
    forms = [form for form in vars(tables).values() if isinstance(form, RowForm)]
    views: dict[str, type[Document]] = {
        "autonomy_bot_decisions": tables.DecisionAtTick, "bot_gates": tables.GateOfBot, "bot_blockers": tables.BlockerOfBot,
    }  # fmt: skip
    asked = [(form.select, form.model) for form in forms] + [(f"SELECT * FROM {view}", model) for view, model in views.items()]
    assert len(asked) > 20
    with psycopg.connect(database.url("autonomy_reader")) as connection:
        for statement, model in asked:
            answer = connection.execute(f"{statement} LIMIT 0".encode())
            assert {column.name for column in answer.description or ()} == set(model.model_fields), model.__name__


@pytest.mark.parametrize("statement", ["DELETE FROM bots", "UPDATE bots SET stage = 'LIVE'", "CREATE TABLE x (a int)", "TRUNCATE bot_jobs"])
def test_a_write_through_the_reader_is_refused(database: Database, statement: str) -> None:
    database.empty()
    with psycopg.connect(database.url("autonomy_reader")) as connection:
        connection.execute("SET default_transaction_read_only = off")
        connection.commit()
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute(statement)


@pytest.mark.parametrize(
    "statement", ["DROP TABLE bots", "CREATE TABLE autonomy.x (a int)", "UPDATE alembic_version SET version_num = 'x'"]
)
def test_the_projection_cannot_change_the_schema(database: Database, statement: str) -> None:
    database.empty()
    with psycopg.connect(database.url("autonomy_projection")) as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute(statement)


def recipes() -> list[str]:
    """Every statement of the recipes, whitespace made plain."""
    text = (Path(__file__).parents[3] / "docs" / "sql-recipes.md").read_text()
    blocks = re.findall(r"```sql\n(.*?)```", text, re.DOTALL)
    return [" ".join(statement.split()) for block in blocks for statement in block.split(";\n") if statement.strip()]


def test_every_recipe_runs_as_the_reader(database: Database) -> None:
    database.empty()
    assert len(recipes()) > 30
    with psycopg.connect(database.url("autonomy_reader"), autocommit=True) as connection:
        for statement in recipes():
            connection.execute(statement.rstrip(";").encode())


def test_a_recipe_over_a_column_that_is_gone_would_be_noticed(database: Database) -> None:
    """Negative control."""
    database.empty()
    with psycopg.connect(database.url("autonomy_reader"), autocommit=True) as connection, pytest.raises(psycopg.errors.UndefinedColumn):
        connection.execute(recipes()[0].replace("job_type", "gone").rstrip(";").encode())
