/**
 * What the emulation of conflicts needs inside the database; see `systemSchema.ts`. Every statement is free of empty lines.
 */

/** Fails with what it is told, so that PostgreSQL's block is aborted and its log says why. */
const fail = `CREATE FUNCTION _dsql.fail(code text, message text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  RAISE '%', message USING ERRCODE = code;
END $$`

/** From PostgreSQL's contrib modules: the locked rows of a table, with their lockers. */
const rowLocks = `CREATE FUNCTION _dsql.pgrowlocks(
    relname text, OUT locked_row tid, OUT locker xid, OUT multi bool, OUT xids xid[], OUT modes text[], OUT pids int[])
  RETURNS SETOF record LANGUAGE C STRICT AS '$libdir/pgrowlocks'`

/**
 * What names a row among all of the database, as an expression: its table and its primary key. Without such a key that is its
 * place, which is as good while whoever could see it there is still at work. Hashed, so that it is the same in any encoding.
 */
const rowName = `CREATE FUNCTION _dsql.row_name(relation oid) RETURNS text LANGUAGE sql STABLE SET search_path = pg_catalog AS $$
  SELECT format('%L || md5(%s)', relation || ':', coalesce((
    SELECT 'ROW(' || string_agg(format('t.%I', a.attname), ', ' ORDER BY k.place) || ')::text'
    FROM pg_index i CROSS JOIN unnest(i.indkey) WITH ORDINALITY k(number, place)
    JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.number
    WHERE i.indrelid = relation AND i.indisprimary), 't.ctid::text'))
$$`

/** Clients may have set other ways to write values. */
const settings = `SET search_path = pg_catalog SET timezone = 'UTC' SET datestyle = 'ISO' SET intervalstyle = 'postgres'
  SET extra_float_digits = 1`

/** The transaction ids of a backend, those of its savepoints included. */
const transactionIds = `CREATE FUNCTION _dsql.xids(backend int) RETURNS xid[] LANGUAGE sql SET search_path = pg_catalog AS $$
  SELECT ARRAY(SELECT l.transactionid FROM pg_locks l
    WHERE l.pid = backend AND l.locktype = 'transactionid' AND l.mode = 'ExclusiveLock')
$$`

/** The rows that the transaction of a backend has locked, or written over; in which mode is PostgreSQL's to say. */
const footprint = `CREATE FUNCTION _dsql.footprint(backend int) RETURNS TABLE (held text, mode text)
  LANGUAGE plpgsql ${settings} AS $$
DECLARE
  r record;
BEGIN
  FOR r IN
    SELECT c.oid::regclass::text AS name, _dsql.row_name(c.oid) AS row_name
    FROM pg_class c WHERE c.relkind = 'r' AND c.oid IN (
      SELECT l.relation FROM pg_locks l
      WHERE l.pid = backend AND l.locktype = 'relation' AND l.mode IN ('RowShareLock', 'RowExclusiveLock'))
  LOOP
    RETURN QUERY EXECUTE format(
      'SELECT %s, m.mode FROM _dsql.pgrowlocks(%L) l CROSS JOIN unnest(l.xids, l.modes) m(xid, mode)
       JOIN ONLY %s t ON t.ctid = l.locked_row WHERE m.xid = ANY ($1)',
      r.row_name, r.name, r.name) USING _dsql.xids(backend);
  END LOOP;
END $$`

/**
 * What only the transaction itself sees of that, and is asked for: its locks on rows that it has written before; of the rows
 * that it has updated, those that it has removed since; and all that it has written in the given tables, since PostgreSQL lets
 * it insert a key that another has deleted.
 */
const ownFootprint = `CREATE FUNCTION _dsql.own_footprint(tables oid[], updated text[]) RETURNS TABLE (held text, mode text)
  LANGUAGE plpgsql SECURITY DEFINER ${settings} AS $$
DECLARE
  is_own text := 't.xmin::text::numeric >= pg_snapshot_xmax(pg_current_snapshot())::text::numeric';
  r record;
BEGIN
  FOR r IN
    SELECT c.oid, c.oid = ANY (tables) AS is_given, c.oid::regclass::text AS name, _dsql.row_name(c.oid) AS row_name
    FROM pg_class c WHERE c.relkind = 'r' AND c.relpersistence = 'p' AND c.oid IN (
      SELECT l.relation FROM pg_locks l
      WHERE l.pid = pg_backend_pid() AND l.locktype = 'relation' AND l.mode = 'RowExclusiveLock')
  LOOP
    IF r.is_given THEN
      RETURN QUERY EXECUTE format('SELECT %s, ''No Key Update'' FROM ONLY %s t WHERE %s', r.row_name, r.name, is_own);
    END IF;
    RETURN QUERY EXECUTE format('SELECT u, ''Update'' FROM unnest($1) u WHERE u LIKE %L EXCEPT SELECT %s, ''Update'' FROM ONLY %s t',
      r.oid || ':%', r.row_name, r.name) USING updated;
    RETURN QUERY EXECUTE format(
      'SELECT %s, m.mode FROM _dsql.pgrowlocks(%L) l CROSS JOIN unnest(l.xids, l.modes) m(xid, mode)
       JOIN ONLY %s t ON t.ctid = l.locked_row WHERE m.xid = ANY ($1) AND %s',
      r.row_name, r.name, r.name, is_own) USING _dsql.xids(pg_backend_pid());
  END LOOP;
END $$`

/**
 * Gives a transaction a table of its own in the place of one that it may not write any more, with what it sees in it. Names
 * without a schema mean the copy from then on, until the transaction is rolled back. Others who make tables may hold it up, but
 * not for a conflict, so it waits longer than a statement does.
 */
const ownCopy = `CREATE FUNCTION _dsql.own_copy(name text, row_limit int) RETURNS void LANGUAGE plpgsql
  SET lock_timeout = '1s' AS $$
DECLARE
  source text := (SELECT format('%I.%I', n.nspname, c.relname)
    FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    WHERE c.oid = to_regclass(name) AND c.relkind = 'r' AND c.relpersistence = 'p');
  columns text;
  row_count bigint;
  identity text;
BEGIN
  IF source IS NULL THEN RETURN; END IF;
  EXECUTE format('SELECT count(*) FROM (SELECT FROM %s LIMIT %s) s', source, row_limit + 1) INTO row_count;
  IF row_count > row_limit THEN RETURN; END IF;
  EXECUTE format('CREATE TEMP TABLE %s (LIKE %s INCLUDING ALL EXCLUDING IDENTITY EXCLUDING STATISTICS)', name, source);
  columns := (SELECT string_agg(quote_ident(a.attname), ', ') FROM pg_catalog.pg_attribute a
    WHERE a.attrelid = source::regclass AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = '');
  EXECUTE format('INSERT INTO pg_temp.%s (%s) SELECT %s FROM %s', name, columns, columns, source);
  FOR identity IN SELECT a.attname FROM pg_catalog.pg_attribute a
    WHERE a.attrelid = source::regclass AND a.attidentity <> ''
  LOOP
    EXECUTE format('ALTER TABLE pg_temp.%s ALTER %I SET DEFAULT nextval(%L)',
      name, identity, pg_get_serial_sequence(source, identity));
  END LOOP;
END $$`

export const conflictSchema: ReadonlyArray<string> = [
  fail,
  rowLocks,
  "REVOKE ALL ON FUNCTION _dsql.pgrowlocks FROM PUBLIC",
  rowName,
  transactionIds,
  footprint,
  "REVOKE ALL ON FUNCTION _dsql.footprint FROM PUBLIC",
  ownFootprint,
  ownCopy
]
