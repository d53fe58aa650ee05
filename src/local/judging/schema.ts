/** What the rules need inside the database; see `systemSchema.ts`. Every statement is free of empty lines. */
import { settableNames } from "../../core/rules/settings.js"
import { literal } from "../quoting.js"

/** Has no values, so that PostgreSQL quotes whatever it is given in its refusal. */
export const refusalType = "_dsql.refusal"

/** Whose sessions are judged: those that start with this setting, which clients cannot change. */
export const rulesSetting = ["_dsql.rules", "service"] as const

const isJudged = `current_setting('${rulesSetting[0]}', true) = '${rulesSetting[1]}'`

/**
 * What can only be told by the catalogs, looked at when a statement has changed them: the types that a key or an identity
 * column cannot have. What is counted is counted in `limitSchema.ts`.
 */
const checkDdl = `CREATE FUNCTION _dsql.check_ddl() RETURNS event_trigger LANGUAGE plpgsql SET search_path = pg_catalog AS $$
DECLARE
  c record;
  refused text;
BEGIN
  IF (${isJudged}) IS NOT TRUE THEN
    RETURN;
  END IF;
  FOR c IN SELECT * FROM pg_event_trigger_ddl_commands() LOOP
    IF c.command_tag = 'ALTER TABLE' THEN
      SELECT format_type(a.atttypid, NULL) INTO refused FROM pg_attribute a
        WHERE a.attrelid = c.objid AND a.attidentity <> '' AND a.atttypid <> 'int8'::regtype;
      IF FOUND THEN
        RAISE 'datatype % not supported, identity column type must be bigint', refused USING ERRCODE = '0A000';
      END IF;
    ELSIF c.object_type = 'index' THEN
      PERFORM _dsql.check_index(c.objid);
    END IF;
  END LOOP;
END $$`

/** Also for indexes that are made in the service's own way, outside of a client's session. */
const checkIndex = `CREATE FUNCTION _dsql.check_index(index_oid oid) RETURNS void LANGUAGE plpgsql
  SET search_path = pg_catalog AS $$
DECLARE
  refused text;
BEGIN
  SELECT format_type(coalesce(nullif(t.typbasetype, 0), t.oid), NULL) INTO refused
    FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indexrelid AND a.attnum <= i.indnkeyatts
    JOIN pg_type t ON t.oid = a.atttypid
    WHERE i.indexrelid = index_oid AND coalesce(nullif(t.typbasetype, 0), t.oid)
      IN ('json'::regtype, 'jsonb'::regtype, 'bytea'::regtype, 'interval'::regtype, 'timetz'::regtype)
    ORDER BY a.attnum LIMIT 1;
  IF FOUND THEN
    RAISE 'datatype % is not supported in a key', refused USING ERRCODE = '0A000';
  END IF;
END $$`

/**
 * Drops columns unless the primary key has one of them, by running the statement that says so. The notice is for the
 * gateway, which knows by it what tag the client is to see.
 */
const dropColumns = `CREATE PROCEDURE _dsql.d(relation text, columns name[], statement text) LANGUAGE plpgsql AS $$
DECLARE
  refused name;
BEGIN
  SELECT a.attname INTO refused
    FROM pg_catalog.pg_index i JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid
      AND a.attnum = ANY (i.indkey[0:i.indnkeyatts - 1])
    WHERE i.indrelid = pg_catalog.to_regclass(relation) AND i.indisprimary AND a.attname = ANY (columns)
    ORDER BY pg_catalog.array_position(columns, a.attname) LIMIT 1;
  IF FOUND THEN
    RAISE 'cannot drop primary key column %', refused USING ERRCODE = '0A000';
  END IF;
  EXECUTE statement;
  RAISE INFO 'ALTER TABLE' USING ERRCODE = 'DSQL0';
END $$`

/** The name of a setting if a session may set it. It may come from a parameter, or a table. */
const settable = `CREATE FUNCTION _dsql.settable(name text) RETURNS text LANGUAGE plpgsql STABLE AS $$
BEGIN
  IF ${isJudged} AND pg_catalog.lower(name) NOT IN (${[...settableNames, "role", "_dsql.index"].map(literal).join(", ")}) THEN
    RAISE 'setting configuration parameter "%" not supported', name USING ERRCODE = '0A000';
  END IF;
  RETURN name;
END $$`

/** The collation is C, and there are no text search configurations for languages. That there is a simple one is inferred. */
const leftOut = [
  "DELETE FROM pg_ts_config_map m USING pg_ts_config c WHERE c.oid = m.mapcfg AND c.cfgname <> 'simple'",
  "DELETE FROM pg_ts_config WHERE cfgname <> 'simple'",
  "DELETE FROM pg_collation WHERE collname NOT IN ('default', 'C', 'POSIX', 'ucs_basic')"
]

export const judgingSchema: ReadonlyArray<string> = [
  `CREATE TYPE ${refusalType} AS ENUM ()`,
  checkIndex,
  checkDdl,
  "CREATE EVENT TRIGGER _dsql_check_ddl ON ddl_command_end EXECUTE FUNCTION _dsql.check_ddl()",
  dropColumns,
  settable,
  ...leftOut
]
