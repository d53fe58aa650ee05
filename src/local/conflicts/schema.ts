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
 * The rows that the transaction of a backend has locked, or written over, by table and key; in which mode is PostgreSQL's to
 * say. Only tables that it may have locked in one of the given ways are looked at. A row without a primary key is known by
 * its place, which is as good while whoever could see it there is still at work.
 */
const footprint = `CREATE FUNCTION _dsql.footprint(backend int, table_locks text[])
  RETURNS TABLE (relation oid, key text, mode text) LANGUAGE plpgsql SET search_path = pg_catalog AS $$
DECLARE
  xids xid[] := ARRAY(SELECT l.transactionid FROM pg_locks l
    WHERE l.pid = backend AND l.locktype = 'transactionid' AND l.mode = 'ExclusiveLock');
  r record;
BEGIN
  FOR r IN
    SELECT c.oid, c.oid::regclass::text AS name, (
      SELECT 'ROW(' || string_agg(format('t.%I', a.attname), ', ' ORDER BY k.place) || ')::text'
      FROM pg_index i CROSS JOIN unnest(i.indkey) WITH ORDINALITY k(number, place)
      JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = k.number
      WHERE i.indrelid = c.oid AND i.indisprimary) AS key
    FROM pg_class c WHERE c.relkind = 'r' AND c.oid IN (
      SELECT l.relation FROM pg_locks l
      WHERE l.pid = backend AND l.locktype = 'relation' AND l.mode = ANY (table_locks))
  LOOP
    RETURN QUERY EXECUTE format(
      'SELECT %s::oid, %s, m.mode FROM _dsql.pgrowlocks(%L) l CROSS JOIN unnest(l.xids, l.modes) m(xid, mode)
       JOIN ONLY %s t ON t.ctid = l.locked_row WHERE m.xid = ANY ($1)',
      r.oid, coalesce(r.key, 't.ctid::text'), r.name, r.name) USING xids;
  END LOOP;
END $$`

/**
 * Gives a transaction a table of its own in the place of one that it may not write any more, with what it sees in it. Names
 * without a schema mean the copy from then on, until the transaction is rolled back.
 */
const ownCopy = `CREATE FUNCTION _dsql.own_copy(name text, row_limit int) RETURNS void LANGUAGE plpgsql AS $$
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
  footprint,
  "REVOKE ALL ON FUNCTION _dsql.footprint FROM PUBLIC",
  ownCopy
]
