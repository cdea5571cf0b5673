#!/bin/sh
# Roles and database, at the first start of an empty data volume; the same rights as local_stack.database gives.
# owner runs migrations, projection writes rows, reader (proof-api and people) only reads, within a time limit.
set -eu
psql --set ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname "$POSTGRES_DB" \
  --set owner_password="$OWNER_PASSWORD" --set projection_password="$PROJECTION_PASSWORD" --set reader_password="$READER_PASSWORD" <<'SQL'
CREATE ROLE autonomy_owner LOGIN PASSWORD :'owner_password';
CREATE ROLE autonomy_projection LOGIN PASSWORD :'projection_password';
CREATE ROLE autonomy_reader LOGIN PASSWORD :'reader_password';
ALTER ROLE autonomy_owner SET search_path = autonomy;
ALTER ROLE autonomy_projection SET search_path = autonomy;
ALTER ROLE autonomy_reader SET search_path = autonomy;
ALTER ROLE autonomy_reader SET statement_timeout = '5000ms';
ALTER ROLE autonomy_reader SET default_transaction_read_only = on;
CREATE DATABASE autonomy OWNER autonomy_owner;
SQL
