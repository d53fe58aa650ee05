import { limitsSetting } from "./limits.js"

/**
 * The limits of a transaction and of the schema, inside the database; see `systemSchema.ts`. They hold in sessions that are
 * told of them. What a transaction has used up is a setting of its own, so that it goes back with a savepoint. Every
 * statement is free of empty lines.
 */

/** `columnBytes` and `rowBytes` are of values as they are stored, that is compressed. */
const sizes = [
  "CREATE TABLE _dsql.scratch (text_value text, bytea_value bytea)",
  ...["text", "bytea"].map(
    (type) => `CREATE FUNCTION _dsql.stored_size(value ${type}) RETURNS int LANGUAGE plpgsql SECURITY DEFINER
      SET search_path = pg_catalog AS $$
    DECLARE size int := pg_column_size(value);
    BEGIN
      -- PostgreSQL compresses what is longer than this.
      IF size > 2000 THEN
        INSERT INTO _dsql.scratch (${type}_value) VALUES (value);
        size := (SELECT pg_column_size(${type}_value) FROM _dsql.scratch);
        DELETE FROM _dsql.scratch;
      END IF;
      RETURN coalesce(size, 0);
    END $$`
  ),
  `CREATE FUNCTION _dsql.stored_sizes(relation oid) RETURNS TABLE (name name, type text, size text)
    LANGUAGE sql STABLE AS $$
    SELECT a.attname, format_type(a.atttypid, NULL), format('_dsql.stored_size(r.%I%s)', a.attname,
        CASE WHEN a.atttypid <> 'pg_catalog.bytea'::pg_catalog.regtype THEN '::text' END)
      FROM pg_catalog.pg_attribute a
      WHERE a.attrelid = relation AND a.attnum > 0 AND NOT a.attisdropped AND a.attlen = -1 $$`
]

/** What the columns of each key take, for keys that may be long. */
const keys = `CREATE FUNCTION _dsql.key_sizes(relation oid) RETURNS SETOF text LANGUAGE sql STABLE
    SET search_path = pg_catalog AS $$
    SELECT string_agg(format('coalesce(%s(r.%I), 0)',
        CASE WHEN a.atttypid = ANY ('{text,varchar,bpchar,bytea}'::regtype[]) THEN 'octet_length'
          ELSE 'pg_column_size' END, a.attname), ' + ')
      FROM pg_index x JOIN pg_attribute a
        ON a.attrelid = x.indrelid AND a.attnum = ANY ((x.indkey::int2[])[0:x.indnkeyatts - 1])
      WHERE x.indrelid = relation GROUP BY x.indexrelid HAVING bool_or(a.attlen = -1) $$`

/** A transaction that has become too long fails when it commits. */
const commit = [
  "CREATE TABLE _dsql.oversized (transaction xid8 NOT NULL DEFAULT pg_current_xact_id())",
  `CREATE FUNCTION _dsql.refuse_size() RETURNS trigger LANGUAGE plpgsql AS $$
  DECLARE
    limit_mb bigint := (_dsql.limits() ->> 'transactionBytes')::bigint / 1048576;
    used bigint := split_part(_dsql.setting('_dsql.used', true), ' ', 2);
  BEGIN
    RAISE 'transaction size limit %mb exceeded', limit_mb USING ERRCODE = '54000',
      DETAIL = format('Current transaction size %smb > %smb', ceil(used / 1048576.0), limit_mb);
  END $$`,
  `CREATE CONSTRAINT TRIGGER refuse_size AFTER INSERT ON _dsql.oversized DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION _dsql.refuse_size()`,
  "UPDATE pg_trigger SET tgisinternal = true WHERE tgname = 'refuse_size'",
  `CREATE FUNCTION _dsql.exceed_size() RETURNS void LANGUAGE sql SECURITY DEFINER
    AS 'INSERT INTO _dsql.oversized DEFAULT VALUES'`
]

/**
 * Counts what a statement has inserted, updated or deleted, also by way of foreign keys. That a row counts as often as it
 * is written, that one is not counted for a lock, and how bytes are counted, are inferred: a row that is deleted costs none.
 */
const count = `CREATE FUNCTION _dsql.count_rows() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  limits jsonb := _dsql.limits();
  used text := nullif(_dsql.setting('_dsql.used', true), '');
  used_rows bigint := coalesce(split_part(used, ' ', 1), '0');
  used_bytes bigint := coalesce(split_part(used, ' ', 2), '0');
  rows bigint;
  bytes bigint := 0;
  longest bigint := 0;
  longest_key bigint;
  key text;
  c record;
BEGIN
  IF limits IS NULL THEN RETURN NULL; END IF;
  IF tg_op = 'DELETE' THEN
    SELECT count(*) INTO rows FROM changed;
  ELSE
    SELECT count(*), coalesce(sum(pg_column_size(r.*)), 0), coalesce(max(pg_column_size(r.*)), 0)
      INTO rows, bytes, longest FROM changed r;
  END IF;
  IF used_rows + rows > (limits ->> 'rows')::bigint THEN
    RAISE 'transaction row limit exceeded' USING ERRCODE = '54000';
  END IF;
  IF longest > (limits ->> 'keyBytes')::bigint THEN
    FOR key IN SELECT * FROM _dsql.key_sizes(tg_relid) LOOP
      EXECUTE format('SELECT max(%s) FROM changed r', key) INTO longest_key;
      IF longest_key > (limits ->> 'keyBytes')::bigint THEN
        RAISE 'key size too large' USING ERRCODE = '54000';
      END IF;
    END LOOP;
  END IF;
  IF longest > least((limits ->> 'columnBytes')::bigint, (limits ->> 'rowBytes')::bigint) THEN
    FOR c IN SELECT s.* FROM _dsql.stored_sizes(tg_relid) s LOOP
      EXECUTE format('SELECT max(%s) FROM changed r', c.size) INTO longest;
      IF longest > (limits ->> 'columnBytes')::bigint THEN
        RAISE 'datatype limit greater than % bytes not supported for %', limits ->> 'columnBytes', c.type
          USING ERRCODE = '54000';
      END IF;
    END LOOP;
    EXECUTE (SELECT format('SELECT max(%s) FROM changed r', string_agg(s.size, ' + '))
      FROM _dsql.stored_sizes(tg_relid) s) INTO longest;
    IF longest > (limits ->> 'rowBytes')::bigint THEN
      RAISE 'maximum row size exceeded' USING ERRCODE = '54000';
    END IF;
  END IF;
  PERFORM _dsql.set_setting('_dsql.used', (used_rows + rows) || ' ' || (used_bytes + bytes), true);
  IF used_bytes <= (limits ->> 'transactionBytes')::bigint
    AND used_bytes + bytes > (limits ->> 'transactionBytes')::bigint THEN
    PERFORM _dsql.exceed_size();
  END IF;
  RETURN NULL;
END $$`

/** As internal triggers they are no part of what a client sees of its table. */
const watch = `CREATE FUNCTION _dsql.watch_rows(relation oid) RETURNS void LANGUAGE plpgsql
  SET search_path = pg_catalog AS $$
DECLARE
  change text;
BEGIN
  FOREACH change IN ARRAY '{INSERT,UPDATE,DELETE}'::text[] LOOP
    EXECUTE format('CREATE TRIGGER %I AFTER %s ON %s REFERENCING %s TABLE AS changed
      FOR EACH STATEMENT EXECUTE FUNCTION _dsql.count_rows()',
      '_dsql_' || lower(change), change, relation::regclass, CASE change WHEN 'DELETE' THEN 'OLD' ELSE 'NEW' END);
  END LOOP;
  UPDATE pg_trigger SET tgisinternal = true WHERE tgrelid = relation AND tgfoid = '_dsql.count_rows'::regproc;
END $$`

/** How many of a kind there may be, and how that is said. */
const counts: ReadonlyArray<readonly [objectType: string, limit: string, found: string, message: string]> = [
  [
    "schema",
    "schemas",
    "SELECT count(*) FROM pg_namespace WHERE oid >= 16384 AND nspname NOT IN ('sys', '_dsql')",
    "more than % schemas not allowed"
  ],
  ["table", "tables", "SELECT count(*) FROM client WHERE relkind = 'r'", "creating more than % tables not allowed"],
  ["view", "views", "SELECT count(*) FROM client WHERE relkind = 'v'", "creating more than % views not allowed"],
  [
    "sequence",
    "sequences",
    "SELECT count(*) FROM client WHERE relkind = 'S'",
    "creating more than % sequences is not allowed"
  ]
]

/** What belongs to clients. */
const client = `WITH client AS (SELECT relkind FROM pg_class
  WHERE oid >= 16384 AND relnamespace NOT IN ('sys'::regnamespace, '_dsql'::regnamespace))`

const raise = (condition: string, state: string, message: string, limit: string): string =>
  `IF ${condition} > (limits ->> '${limit}')::bigint THEN
      RAISE '${message}', limits ->> '${limit}' USING ERRCODE = '${state}';
    END IF;`

const schema = [
  `CREATE FUNCTION _dsql.check_table(relation oid, limits jsonb) RETURNS void LANGUAGE plpgsql
    SET search_path = pg_catalog AS $$
  BEGIN
    ${raise(
      "(SELECT count(*) FROM pg_attribute WHERE attrelid = relation AND attnum > 0 AND NOT attisdropped)",
      "54011",
      "tables can have at most % columns",
      "columnsPerTable"
    )}
    ${raise(
      "(SELECT max(indnkeyatts) FROM pg_index WHERE indrelid = relation)",
      "54011",
      "more than % column keys in an index are not supported",
      "keyColumns"
    )}
    ${raise(
      "(SELECT count(*) FROM pg_index WHERE indrelid = relation)",
      "54000",
      "more than % indexes per table are not allowed",
      "indexesPerTable"
    )}
    ${raise(
      "(SELECT count(*) FROM pg_statistic_ext WHERE stxrelid = relation)",
      "54000",
      "more than % extended statistics per table are not allowed",
      "statisticsPerTable"
    )}
  END $$`,
  `CREATE FUNCTION _dsql.schema_changed() RETURNS event_trigger LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog AS $$
  DECLARE
    limits jsonb := _dsql.limits();
    command record;
  BEGIN
    IF limits IS NULL THEN RETURN; END IF;
    FOR command IN SELECT DISTINCT objid, object_type, command_tag LIKE 'CREATE%' OR command_tag = 'SELECT INTO' AS is_new
      FROM pg_event_trigger_ddl_commands()
    LOOP
      ${counts
        .map(
          ([type, limit, found, message]) => `IF command.is_new AND command.object_type = '${type}' THEN
        ${raise(`(${found.includes("client") ? client : ""} ${found})`, "54000", message, limit)}
      END IF;`
        )
        .join("\n      ")}
      IF command.object_type = 'view'
        AND octet_length(pg_get_viewdef(command.objid)) > (limits ->> 'viewBytes')::bigint THEN
        RAISE 'view definition too large' USING ERRCODE = '54000';
      END IF;
      IF command.object_type = 'table' THEN
        IF command.is_new THEN PERFORM _dsql.watch_rows(command.objid); END IF;
        PERFORM _dsql.check_table(command.objid, limits);
      ELSIF command.object_type = 'index' THEN
        PERFORM _dsql.check_table((SELECT indrelid FROM pg_index WHERE indexrelid = command.objid), limits);
      ELSIF command.object_type = 'statistics object' THEN
        PERFORM _dsql.check_table((SELECT stxrelid FROM pg_statistic_ext WHERE oid = command.objid), limits);
      END IF;
    END LOOP;
  END $$`,
  `CREATE EVENT TRIGGER _dsql_schema_changed ON ddl_command_end WHEN TAG IN ('CREATE SCHEMA', 'CREATE TABLE',
    'CREATE TABLE AS', 'SELECT INTO', 'CREATE VIEW', 'CREATE SEQUENCE', 'CREATE INDEX', 'CREATE STATISTICS', 'ALTER TABLE')
    EXECUTE FUNCTION _dsql.schema_changed()`
]

export const limitSchema: ReadonlyArray<string> = [
  `CREATE FUNCTION _dsql.limits() RETURNS jsonb LANGUAGE sql STABLE
    AS $$ SELECT nullif(_dsql.setting('${limitsSetting}', true), '')::jsonb $$`,
  ...sizes,
  keys,
  ...commit,
  count,
  watch,
  "REVOKE ALL ON FUNCTION _dsql.watch_rows FROM PUBLIC",
  ...schema
]
