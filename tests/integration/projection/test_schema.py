"""The schema is what the tables say, every part of it has a comment, and each role may do no more than it needs."""

import re
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy import Column, Text

from autonomy.documents import tables
from autonomy.documents.rows import RowForm
from autonomy.errors import Broken
from autonomy.events import Document
from autonomy.postgres import connect
from autonomy.read_model import METADATA, VIEWS, schema_version, versions
from autonomy.read_model.fleet import BOTS
from projection.app import same_version
from projection.schema import make_schema
from support.servers import Database

pytestmark = pytest.mark.servers
ROWS = 500


def words_of(connection: psycopg.Connection[tuple[Any, ...]]) -> str:
    """The comment of the live schema."""
    row = connection.execute("SELECT obj_description(oid, 'pg_namespace') FROM pg_namespace WHERE nspname = 'autonomy'").fetchone()
    assert row is not None
    return str(row[0])


def test_the_schema_has_every_table_and_column_and_says_its_version(database: Database) -> None:
    database.empty()
    with psycopg.connect(database.owner_url) as connection:
        found = connection.execute(
            "SELECT table_name, column_name, is_nullable = 'YES' FROM information_schema.columns WHERE table_schema = 'autonomy'"
        ).fetchall()
        assert words_of(connection).endswith(schema_version())
    expected = {(table.name, column.name, column.nullable) for table in METADATA.sorted_tables for column in table.columns}
    assert expected <= set(found)
    assert {row[0] for row in found} == {table.name for table in METADATA.sorted_tables} | set(VIEWS)


def test_tables_of_this_version_are_left_as_they_are(database: Database) -> None:
    database.empty()
    with psycopg.connect(database.owner_url, options="-c search_path=autonomy", autocommit=True) as connection:
        connection.execute("INSERT INTO quarantine VALUES ('t', 0, 1, 'x', 1, 'x', 'x', now())")
        make_schema(database.owner_url)
        assert connection.execute("SELECT count(*) FROM quarantine").fetchone() == (1,)


def test_tables_of_another_version_step_aside_with_their_rows(database: Database) -> None:
    database.empty()
    with psycopg.connect(database.owner_url, options="-c search_path=autonomy", autocommit=True) as connection:
        connection.execute("INSERT INTO quarantine VALUES ('t', 0, 1, 'x', 1, 'x', 'x', now())")
        connection.execute("ALTER TABLE bots DROP COLUMN name CASCADE")
        connection.execute("COMMENT ON SCHEMA autonomy IS 'Read models of Autonomy, version 0123456789ab'")
        make_schema(database.owner_url)
        assert words_of(connection).endswith(schema_version())
        assert connection.execute("SELECT count(*) FROM quarantine").fetchone() == (0,)
        assert connection.execute("SELECT count(*) FROM autonomy_old.quarantine").fetchone() == (1,)
        assert connection.execute("SELECT count(name) FROM bots").fetchone() == (0,)
        make_schema(database.owner_url)
        assert connection.execute("SELECT count(*) FROM autonomy_old.quarantine").fetchone() == (1,), "put aside once"


async def test_a_projection_refuses_the_tables_of_another_release(database: Database) -> None:
    database.empty()
    connection = await connect(database.url(), "autonomy")
    try:
        await same_version(connection, "autonomy")
        with psycopg.connect(database.owner_url, autocommit=True) as owner:
            owner.execute("COMMENT ON SCHEMA autonomy IS 'Read models of Autonomy, version 0123456789ab'")
        with pytest.raises(Broken, match=r"version 0123456789ab, this release needs .*: python -m projection\.schema as the owner"):
            await same_version(connection, "autonomy")
    finally:
        await connection.close()


def test_every_change_of_a_table_is_another_version(monkeypatch: pytest.MonkeyPatch) -> None:
    """Negative control of the version: a column more, another comment, another view."""
    seen = {schema_version()}

    def changed() -> None:
        versions.schema_version.cache_clear()
        seen.add(versions.schema_version())

    column = Column("zz", Text(), comment="came later")
    BOTS.append_column(column)
    changed()
    column.comment = "other words"
    changed()
    BOTS._columns.remove(column)
    monkeypatch.setitem(VIEWS, "bot_gates", ("CREATE VIEW bot_gates AS SELECT 1", "other"))
    changed()
    monkeypatch.undo()
    changed()
    assert len(seen) == 4
    assert versions.schema_version() in seen


def test_every_table_view_and_column_has_a_comment(database: Database) -> None:
    database.empty()
    with psycopg.connect(database.owner_url) as connection:
        bare = connection.execute(
            "SELECT c.relname, a.attname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
            "JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped "
            "WHERE n.nspname = 'autonomy' AND c.relkind = 'r' "
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


@pytest.mark.parametrize("statement", ["DROP TABLE bots", "CREATE TABLE autonomy.x (a int)", "COMMENT ON SCHEMA autonomy IS 'x'"])
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
