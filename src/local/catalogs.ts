import { reportedServerVersion } from "./backend.js"

/**
 * Where PostgreSQL's catalogs and settings are to show what the service's do; see `systemSchema.ts`. Recorded, but for what
 * is marked. Every statement is free of empty lines.
 */

/** A setting that PostgreSQL has not, under a name that it takes. */
export const storedSetting = "dsql.disable_sync_create_index"

/** Settings that are not PostgreSQL's. */
export const ownSettings: ReadonlySet<string> = new Set([
  "server_version",
  "server_version_num",
  "disable_sync_create_index"
])

/**
 * PostgreSQL would go on calling its own functions, whatever stands in its catalogs, were these not of the kind that is
 * written into the query: neither strict, nor with an argument that is a subquery.
 */
const settings = [
  "CREATE FUNCTION _dsql.setting(text, bool) RETURNS text LANGUAGE internal STABLE STRICT PARALLEL SAFE AS 'show_config_by_name_missing_ok'",
  "CREATE FUNCTION _dsql.set_setting(text, text, bool) RETURNS text LANGUAGE internal AS 'set_config_by_name'",
  `CREATE OR REPLACE FUNCTION pg_catalog.current_setting(text, bool) RETURNS text LANGUAGE sql STABLE PARALLEL SAFE
    AS $$ SELECT CASE lower($1)
      WHEN 'server_version' THEN '${reportedServerVersion}'
      WHEN 'server_version_num' THEN '${reportedServerVersion.replace(".", "00")}'
      WHEN 'disable_sync_create_index' THEN coalesce(nullif(_dsql.setting('${storedSetting}', true), ''), 'on')
      ELSE _dsql.setting($1, $2) END $$`,
  `CREATE OR REPLACE FUNCTION pg_catalog.current_setting(text) RETURNS text LANGUAGE sql STABLE PARALLEL SAFE
    AS $$ SELECT current_setting($1, false) $$`,
  // Called with whatever argument, so that it must not be PostgreSQL's own any more.
  "ALTER FUNCTION pg_catalog.set_config(text, text, bool) RENAME TO _dsql_set_config",
  `CREATE FUNCTION pg_catalog.set_config(text, text, bool) RETURNS text LANGUAGE sql
    AS $$ SELECT _dsql.set_setting(CASE lower($1) WHEN 'disable_sync_create_index' THEN '${storedSetting}'
      ELSE _dsql.settable($1) END, $2, $3) $$`,
  `CREATE FUNCTION _dsql.show(name text) RETURNS SETOF text LANGUAGE plpgsql AS $$
  BEGIN
    RETURN NEXT pg_catalog.current_setting(name);
    RAISE INFO 'SHOW' USING ERRCODE = 'DSQL0';
  END $$`
]

/** Shows what `current_setting` tells where that is not PostgreSQL's. */
const settingsView = `CREATE OR REPLACE VIEW pg_catalog.pg_settings AS
  SELECT name, CASE WHEN name IN ('server_version', 'server_version_num') THEN current_setting(name) ELSE setting END AS setting,
    unit, category, short_desc, extra_desc, context, vartype, source, min_val, max_val, enumvals, boot_val, reset_val,
    sourcefile, sourceline, pending_restart
  FROM pg_show_all_settings()`

/** Users report that the index of a primary key shows all other columns as included, and how the access method is called. */
const indexes = `CREATE OR REPLACE VIEW pg_catalog.pg_indexes AS
  SELECT n.nspname AS schemaname, c.relname AS tablename, i.relname AS indexname, t.spcname AS tablespace,
    (replace(pg_get_indexdef(i.oid), ' USING btree ', ' USING btree_index ') || CASE WHEN x.indisprimary
      THEN coalesce((SELECT ' INCLUDE (' || string_agg(quote_ident(a.attname), ', ' ORDER BY a.attnum) || ')'
        FROM pg_attribute a
        WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attnum <> ALL (x.indkey)), '')
      ELSE '' END) COLLATE "default" AS indexdef
  FROM pg_index x JOIN pg_class c ON c.oid = x.indrelid JOIN pg_class i ON i.oid = x.indexrelid
    LEFT JOIN pg_namespace n ON n.oid = c.relnamespace LEFT JOIN pg_tablespace t ON t.oid = i.reltablespace
  WHERE c.relkind IN ('r', 'm', 'p') AND i.relkind IN ('i', 'I') AND n.nspname <> '_dsql'`

/** What is ours alone is left out where tools look for what there is. Of pg_namespace itself no row can be hidden. */
const hiding = ["pg_catalog.pg_tables", "pg_catalog.pg_views", "information_schema.schemata"].map(
  (view) => `DO $$ BEGIN
    EXECUTE 'CREATE OR REPLACE VIEW ${view} AS ' || rtrim(pg_get_viewdef('${view}'::regclass), ';')
      || ' AND n.nspname <> ' || quote_literal('_dsql');
  END $$`
)

/** The names are those that users found in the schema of a real cluster; what they give is inferred. */
const functions = [
  "CREATE FUNCTION sys.dsql_major_version() RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT 1'",
  `CREATE FUNCTION sys.supported_datatypes() RETURNS SETOF text LANGUAGE sql STABLE AS $$
    SELECT format_type(t, NULL) FROM unnest(
      '{int2,int4,int8,float4,float8,numeric,bpchar,varchar,text,date,time,timetz,timestamp,timestamptz,interval,bool,bytea,uuid,json,jsonb}'::regtype[]) t $$`,
  "CREATE FUNCTION sys.cluster_size() RETURNS bigint LANGUAGE sql AS 'SELECT pg_database_size(current_database())'",
  `CREATE FUNCTION sys.cluster_size_limit() RETURNS bigint LANGUAGE sql IMMUTABLE AS 'SELECT 10 * 1024 ^ 4::bigint'`,
  `CREATE FUNCTION sys.current_session_id() RETURNS text LANGUAGE sql STABLE AS $$
    SELECT sys.uuid_to_base32_str(md5(pg_backend_pid() || ' ' || pg_postmaster_start_time())::uuid) $$`,
  "CREATE FUNCTION sys.current_transaction_id() RETURNS text LANGUAGE sql STABLE AS 'SELECT pg_current_xact_id()::text'",
  `CREATE FUNCTION sys.iam_session_user() RETURNS text LANGUAGE sql STABLE AS $$ SELECT _dsql.setting('_dsql.arn', true) $$`
]

export const catalogSchema: ReadonlyArray<string> = [
  "CREATE OR REPLACE FUNCTION pg_catalog.version() RETURNS text LANGUAGE sql STABLE AS $$ SELECT 'PostgreSQL 16' $$",
  ...settings,
  settingsView,
  indexes,
  ...hiding,
  ...functions
]
