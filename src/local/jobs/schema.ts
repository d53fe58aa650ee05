/**
 * Jobs inside the database; see `systemSchema.ts`. A statement that starts a job does so in its transaction, so that a
 * ROLLBACK takes the job with it; `runner.ts` does what is committed. Every statement is free of empty lines.
 */

/** What the service has for the ids of its jobs: 16 bytes in the 26 letters and digits of RFC 4648's base 32. */
const ids = [
  `CREATE FUNCTION sys.uuid_to_base32_str(uuid) RETURNS text LANGUAGE sql IMMUTABLE STRICT AS $$
    SELECT string_agg(substr('abcdefghijklmnopqrstuvwxyz234567', substring(b.bits, 5 * n + 1, 5)::bit(5)::int + 1, 1), '' ORDER BY n)
    FROM (SELECT ('x' || replace($1::text, '-', ''))::bit(128) || B'00' AS bits) b, generate_series(0, 25) n
  $$`,
  `CREATE FUNCTION sys.base32_str_to_uuid(text) RETURNS uuid LANGUAGE plpgsql IMMUTABLE STRICT
    SET search_path = pg_catalog AS $$
  DECLARE bits text;
  BEGIN
    IF $1 !~ '^[a-z2-7]{25}[aeimquy4]$' THEN
      RAISE 'Unable to convert text to UUID' USING ERRCODE = '22P02';
    END IF;
    SELECT string_agg((strpos('abcdefghijklmnopqrstuvwxyz234567', c) - 1)::bit(5)::text, '' ORDER BY n) INTO bits
      FROM string_to_table($1, NULL) WITH ORDINALITY t(c, n);
    RETURN (SELECT string_agg(lpad(to_hex(substr(bits, 8 * n + 1, 8)::bit(8)::int), 2, '0'), '' ORDER BY n)
      FROM generate_series(0, 15) n);
  END $$`
]

/**
 * Sessions only add rows and `runner.ts` alone changes them: a session sees what there was when its transaction began, and
 * PostgreSQL would refuse it a row that was changed since.
 *
 * Recorded: the names of the columns, and the values that are marked so in `runner.ts`. Their types are inferred, and so are
 * that the job of a dropped object has failed, and the text.
 */
const table = [
  `CREATE TABLE _dsql.job (
    number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    job_id text NOT NULL UNIQUE, status text NOT NULL DEFAULT 'submitted', details text, job_type text NOT NULL,
    class_id oid NOT NULL, object_id oid NOT NULL, object_name text,
    start_time timestamptz NOT NULL DEFAULT clock_timestamp(), update_time timestamptz,
    has_clusters_time bool NOT NULL DEFAULT false)`,
  "CREATE TABLE _dsql.job_without_object (job_id text)",
  `CREATE VIEW _dsql.job_state AS
    SELECT *, status IN ('submitted', 'processing')
      AND EXISTS (SELECT FROM _dsql.job_without_object w WHERE w.job_id = j.job_id) AS is_dropped FROM _dsql.job j`,
  `CREATE VIEW sys.jobs AS
    SELECT job_id, CASE WHEN is_dropped THEN 'failed' ELSE status END AS status,
      CASE WHEN is_dropped THEN 'object was dropped' ELSE details END AS details, job_type, class_id, object_id, object_name,
      start_time, CASE WHEN is_dropped THEN NULL ELSE update_time END AS update_time
    FROM _dsql.job_state`,
  "GRANT SELECT ON sys.jobs TO PUBLIC"
]

/**
 * Takes the id that the gateway proposes. One that is used already is replaced by one that follows from it, since a transaction
 * that is run again must get the same.
 */
const register = `CREATE FUNCTION _dsql.register_job(proposed text, type text, class oid, object oid, name text)
  RETURNS text LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
DECLARE id text := proposed;
BEGIN
  LOOP
    BEGIN
      INSERT INTO _dsql.job (job_id, job_type, class_id, object_id, object_name) VALUES (id, type, class, object, name);
      EXIT;
    EXCEPTION WHEN unique_violation THEN
      id := sys.uuid_to_base32_str(md5(id)::uuid);
    END;
  END LOOP;
  NOTIFY _dsql_job;
  RETURN id;
END $$`

/**
 * The statement that makes the index is run as by PostgreSQL and by who asked for it. What is made is then taken for
 * unfinished; a unique index is made without looking for duplicates, which is left to the job.
 */
const createIndex = [
  `CREATE FUNCTION _dsql.create_index_async(statement text, proposed text, uniqueness text) RETURNS SETOF text
    LANGUAGE plpgsql AS $$
  DECLARE id text;
  BEGIN
    PERFORM pg_catalog.set_config('_dsql.index', proposed || ' ' || uniqueness, true);
    EXECUTE statement;
    id := pg_catalog.current_setting('_dsql.index');
    PERFORM pg_catalog.set_config('_dsql.index', '', true);
    IF id NOT LIKE '% %' THEN RETURN NEXT id; ELSE id := ''; END IF;
    RAISE INFO 'CREATE INDEX' USING ERRCODE = 'DSQL0', DETAIL = id;
  END $$`,
  `CREATE FUNCTION _dsql.index_created() RETURNS event_trigger LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog AS $$
  DECLARE
    command record;
    how text[] := string_to_array(nullif(current_setting('_dsql.index', true), ''), ' ');
  BEGIN
    IF how IS NULL THEN RETURN; END IF;
    FOR command IN SELECT * FROM pg_event_trigger_ddl_commands() LOOP
      -- An index that is not ready is not kept up to date by writes.
      UPDATE pg_index SET indisvalid = false, indisunique = how[2] <> 'none', indisready = how[2] <> 'later'
        WHERE indexrelid = command.objid;
      PERFORM set_config('_dsql.index',
        _dsql.register_job(how[1], 'INDEX_BUILD', command.classid, command.objid, command.object_identity), true);
    END LOOP;
  END $$`,
  `CREATE EVENT TRIGGER _dsql_index_created ON ddl_command_end WHEN TAG IN ('CREATE INDEX')
    EXECUTE FUNCTION _dsql.index_created()`,
  `CREATE FUNCTION _dsql.object_dropped() RETURNS event_trigger LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog AS $$
  BEGIN
    INSERT INTO _dsql.job_without_object SELECT j.job_id FROM _dsql.job j
      JOIN pg_event_trigger_dropped_objects() d ON (d.classid, d.objid) = (j.class_id, j.object_id);
    IF FOUND THEN NOTIFY _dsql_job; END IF;
  END $$`,
  "CREATE EVENT TRIGGER _dsql_object_dropped ON sql_drop EXECUTE FUNCTION _dsql.object_dropped()"
]

/**
 * Where the service's rules hold, an index is made at once only if the session has asked for that, and only on an empty table;
 * that the refusal is the same otherwise is inferred.
 */
const refuseSynchronous = `CREATE FUNCTION _dsql.refuse_sync_index() RETURNS event_trigger LANGUAGE plpgsql
  SECURITY DEFINER SET search_path = pg_catalog AS $$
DECLARE
  command record;
  has_rows bool := false;
BEGIN
  IF _dsql.limits() IS NULL OR _dsql.setting('_dsql.index', true) <> '' THEN RETURN; END IF;
  IF tg_event = 'ddl_command_end' THEN
    FOR command IN SELECT c.objid, i.indrelid FROM pg_event_trigger_ddl_commands() c
      JOIN pg_index i ON i.indexrelid = c.objid
    LOOP
      EXECUTE format('SELECT EXISTS (SELECT FROM %s)', command.indrelid::regclass) INTO has_rows;
    END LOOP;
  END IF;
  IF has_rows OR current_setting('disable_sync_create_index')::bool THEN
    RAISE 'unsupported mode. please use CREATE INDEX ASYNC.' USING ERRCODE = '0A000';
  END IF;
END $$`

/** The refusals are PostgreSQL's. */
const validate = `CREATE FUNCTION _dsql.validate_constraint_async(table_name text, constraint_name text, proposed text,
    may_be_missing bool)
  RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
  id text := '';
  c record;
  relation oid := to_regclass(table_name);
BEGIN
  IF relation IS NULL AND may_be_missing THEN
    RAISE NOTICE 'relation "%" does not exist, skipping', (parse_ident(table_name))[cardinality(parse_ident(table_name))];
  ELSE
    relation := table_name::regclass;
    SELECT t.relname, n.nspname, k.conname, k.contype, k.oid,
        pg_has_role(current_user, t.relowner, 'USAGE') AS is_owner
      INTO c FROM pg_class t JOIN pg_namespace n ON n.oid = t.relnamespace
      LEFT JOIN pg_constraint k ON k.conrelid = t.oid AND k.conname = constraint_name::name WHERE t.oid = relation;
    IF NOT c.is_owner THEN
      RAISE 'must be owner of table %', c.relname USING ERRCODE = '42501';
    ELSIF c.oid IS NULL THEN
      RAISE 'constraint "%" of relation "%" does not exist', constraint_name, c.relname USING ERRCODE = '42704';
    ELSIF c.contype NOT IN ('c', 'f') THEN
      RAISE 'constraint "%" of relation "%" is not a foreign key or check constraint', c.conname, c.relname
        USING ERRCODE = '42809';
    END IF;
    -- What a job of this kind says of its object is inferred.
    id := _dsql.register_job(
      proposed, 'VALIDATE_CONSTRAINT', 'pg_constraint'::regclass, c.oid, format('%I.%I', c.nspname, c.conname));
    RETURN NEXT id;
  END IF;
  RAISE INFO 'ALTER TABLE' USING ERRCODE = 'DSQL0', DETAIL = id;
END $$`

/**
 * What a job is for, all or nothing. Gives whether it is done: it is not while somebody else holds the table. The texts of
 * failures are PostgreSQL's but for duplicate keys, whose text users of the service report, as they do that such an index
 * then stands against duplicates until it is dropped.
 */
const run = `CREATE FUNCTION _dsql.run_job(id text, finished_at timestamptz) RETURNS bool LANGUAGE plpgsql
  SET search_path = pg_catalog AS $$
DECLARE
  job _dsql.job_state;
  failure text;
BEGIN
  SELECT * INTO job FROM _dsql.job_state j WHERE j.job_id = id AND j.status = 'processing' AND NOT j.is_dropped;
  IF NOT FOUND THEN RETURN true; END IF;
  BEGIN
    IF job.job_type = 'INDEX_BUILD' THEN
      EXECUTE format('REINDEX INDEX %s', job.object_id::regclass);
    ELSE
      EXECUTE (SELECT format('ALTER TABLE %s VALIDATE CONSTRAINT %I', c.conrelid::regclass, c.conname)
        FROM pg_constraint c WHERE c.oid = job.object_id);
    END IF;
  EXCEPTION
    WHEN lock_not_available OR deadlock_detected THEN
      RETURN false;
    WHEN OTHERS THEN
      failure := sqlerrm;
      IF sqlstate = '23505' AND job.job_type = 'INDEX_BUILD' THEN
        failure := 'found duplicate key(s) while validating index uniqueness';
        UPDATE pg_index SET indisunique = false WHERE indexrelid = job.object_id;
        EXECUTE format('REINDEX INDEX %s', job.object_id::regclass);
        UPDATE pg_index SET indisunique = true, indisvalid = false WHERE indexrelid = job.object_id;
      END IF;
  END;
  UPDATE _dsql.job j SET status = CASE WHEN failure IS NULL THEN 'completed' ELSE 'failed' END, details = failure,
    object_name = CASE WHEN failure IS NULL THEN NULL ELSE j.object_name END, update_time = finished_at
    WHERE j.job_id = id;
  RETURN true;
END $$`

/** It sees what others have committed meanwhile because it begins a transaction for every look. */
const wait = [
  // That an unknown job is an error is inferred.
  `CREATE FUNCTION _dsql.job_outcome(id text) RETURNS bool LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog AS $$
  DECLARE found_status text := (SELECT j.status FROM sys.jobs j WHERE j.job_id = id);
  BEGIN
    IF found_status IS NULL THEN RAISE 'job "%" does not exist', id USING ERRCODE = '42704'; END IF;
    RETURN CASE found_status WHEN 'completed' THEN true WHEN 'failed' THEN false END;
  END $$`,
  `CREATE PROCEDURE sys.wait_for_job(job_id text, INOUT succeeded bool DEFAULT NULL) LANGUAGE plpgsql AS $$
  BEGIN
    PERFORM sys.base32_str_to_uuid(job_id);
    LOOP
      COMMIT;
      succeeded := _dsql.job_outcome(job_id);
      EXIT WHEN succeeded IS NOT NULL;
      PERFORM pg_catalog.pg_sleep(0.005);
    END LOOP;
  END $$`
]

export const jobSchema: ReadonlyArray<string> = [
  ...ids,
  ...table,
  register,
  ...createIndex,
  refuseSynchronous,
  ...["start", "end"].map(
    (moment) => `CREATE EVENT TRIGGER _dsql_sync_index_${moment} ON ddl_command_${moment} WHEN TAG IN ('CREATE INDEX')
      EXECUTE FUNCTION _dsql.refuse_sync_index()`
  ),
  validate,
  run,
  "REVOKE ALL ON FUNCTION _dsql.run_job FROM PUBLIC",
  ...wait
]
