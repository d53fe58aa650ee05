/**
 * Statements of the same kind as recorded ones, in other words: names, spellings, comments, nesting, several in one text.
 * Written before the rules. What is taken has no answer; what is refused has the code and the text.
 */

/** Made before the statements run, one transaction each. */
export const schema: ReadonlyArray<string> = [
  "CREATE SCHEMA shop",
  "CREATE TABLE shop.customer (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), name text NOT NULL, info jsonb)",
  'CREATE TABLE shop."Order" (nr bigint PRIMARY KEY, customer uuid, total numeric(12, 2), note text)',
  "CREATE TABLE pair (a int, b int, c text, PRIMARY KEY (a, b))",
  "CREATE DOMAIN email AS text CHECK (value LIKE '%@%')"
]

type Variation = readonly [sql: string, refusal?: string]

const notSupported = (statement: string): string => `0A000 unsupported statement: ${statement}`
const withCache = "please define CACHE greater than or equal to 65536 or equal to 1"
const identity = `0A000 identity column is not supported without an explicit cache size. ${withCache}`
const sequence = `0A000 CREATE SEQUENCE is not supported without an explicit cache size. ${withCache}`
const locking = "0A000 locking clauses other than FOR UPDATE/FOR KEY SHARE are not supported"
const addColumn = "0A000 ALTER TABLE ADD COLUMN with constraint not supported"
const addConstraint = "0A000 unsupported ALTER TABLE ADD CONSTRAINT statement"
const setting = (name: string): string => `0A000 setting configuration parameter "${name}" not supported`
const alterColumn = (what: string): string => `0A000 unsupported ALTER TABLE ALTER COLUMN ... ${what} statement`
const noType = (name: string): string => `0A000 datatype ${name} not supported`
const key = (name: string): string => `0A000 datatype ${name} is not supported in a key`
const sample = "0A000 TABLESAMPLE clause not supported"

export const variations: ReadonlyArray<Variation> = [
  // Whole statements.
  ['truncate\n\tonly shop."Order" restart identity', notSupported("Truncate")],
  ["/* first */ TRUNCATE -- and then\n pair, shop.customer CASCADE;", notSupported("Truncate")],
  ['CREATE EXTENSION "uuid-ossp" WITH SCHEMA public', notSupported("CreateExtension")],
  ["create database shop2 template template1", notSupported("Createdb")],
  ["CREATE TABLE copy AS TABLE pair WITH NO DATA", notSupported("CreateTableAs")],
  ["CREATE TABLE IF NOT EXISTS copy AS VALUES (1)", notSupported("CreateTableAs")],
  ["create materialized view if not exists m as select * from pair", notSupported("CreateTableAs")],
  ["SELECT a INTO copy FROM pair", notSupported("CreateTableAs")],
  ["CREATE UNLOGGED TABLE copy AS SELECT 1", notSupported("CreateTableAs")],
  ['listen "Orders"', notSupported("Listen")],
  ["NOTIFY orders, 'x;y'", notSupported("Notify")],
  ["unlisten *", notSupported("Unlisten")],
  ["ALTER SYSTEM RESET ALL", notSupported("AlterSystem")],
  ["LOCK shop.customer IN SHARE MODE NOWAIT", notSupported("Lock")],
  ["vacuum (analyze, verbose) pair", "0A000 unsupported VACUUM statement"],
  ["ANALYZE shop.customer"],
  ["analyze verbose pair"],
  ["DECLARE c SCROLL CURSOR WITH HOLD FOR SELECT 1", notSupported("DeclareCursor")],
  [
    "CREATE OR REPLACE TRIGGER t BEFORE UPDATE OF a ON pair FOR EACH ROW EXECUTE PROCEDURE f()",
    "0A000 CREATE TRIGGER not supported"
  ],
  [
    "CREATE CONSTRAINT TRIGGER t AFTER DELETE ON pair FOR EACH ROW EXECUTE FUNCTION f()",
    "0A000 CREATE TRIGGER not supported"
  ],
  ["DROP TRIGGER IF EXISTS t ON pair"],
  ["ALTER TABLE pair DISABLE TRIGGER ALL"],
  ["ALTER TABLE pair /* ALL */ ENABLE TRIGGER all, ADD COLUMN extra numeric"],
  ["CREATE TYPE shop.mood AS ENUM ()", "0A000 CREATE TYPE not supported"],
  ["create type shop.pair as (a int)", notSupported("CompositeType")],
  ["ALTER TYPE shop.mood RENAME VALUE 'a' TO 'b'", "0A000 ALTER TYPE not supported"],
  ["DROP TYPE shop.mood, other CASCADE", "0A000 unsupported object in DROP statement"],
  ["drop domain if exists nothing"],
  ["alter type shop.mood rename to humour", "0A000 unsupported object in RENAME statement"],
  [
    "WITH s AS (SELECT 1 AS a) MERGE INTO pair t USING s ON s.a = t.a WHEN NOT MATCHED THEN DO NOTHING",
    "0A000 unsupported statement type: MERGE"
  ],
  ["EXPLAIN TABLE pair"],
  ["EXPLAIN (COSTS OFF) CREATE TABLE copy AS SELECT 1", notSupported("CreateTableAs")],
  // Transactions.
  ["start transaction isolation level serializable, read only", "0A000 Unsupported isolation level: SERIALIZABLE"],
  ["BEGIN WORK ISOLATION LEVEL READ COMMITTED", "0A000 Unsupported isolation level: READ COMMITTED"],
  ["begin transaction read only"],
  ["SET LOCAL TRANSACTION READ WRITE", setting("TRANSACTION")],
  ['savepoint "a b"', "0A000 unsupported transaction statement: SAVEPOINT"],
  ["RELEASE a", "0A000 unsupported transaction statement: RELEASE"],
  ["rollback work to a", "0A000 unsupported transaction statement: ROLLBACK TO"],
  ["COMMIT AND NO CHAIN"],
  // Settings.
  ["set statement_timeout to 5000", setting("statement_timeout")],
  ["SET SESSION Lock_Timeout = '1s'", setting("lock_timeout")],
  ["SET LOCAL work_mem = '64MB'", setting("work_mem")],
  ["set standard_conforming_strings = on", setting("standard_conforming_strings")],
  ["SET my.setting = 'x'", setting("my.setting")],
  ["set search_path to shop, public"],
  ["SET TIME ZONE INTERVAL '1' HOUR TO MINUTE"],
  ["set names 'utf8'"],
  ["SET dsql.enable_batched_nestloop = on"],
  ["SET disable_sync_create_index = on"],
  ["RESET ALL"],
  ["reset search_path"],
  ["SELECT set_config('statement_timeout', '1', false)", setting("statement_timeout")],
  ["SELECT pg_catalog.set_config('search_path', 'shop', false)"],
  ["SELECT set_config(name, '1', true) FROM (VALUES ('work_mem')) v (name)", setting("work_mem")],
  ["SELECT current_setting('work_mem') IS NOT NULL"],
  // Tables.
  [
    "CREATE LOCAL TEMP TABLE IF NOT EXISTS x (i int) ON COMMIT DROP",
    "0A000 TEMPORARY or TEMP table not supported for CREATE TABLE"
  ],
  ["CREATE TABLE pg_temp.x (i int)", "0A000 TEMPORARY or TEMP table not supported for CREATE TABLE"],
  ["create unlogged table shop.x (i int)", "0A000 UNLOGGED table not supported for CREATE TABLE"],
  ["CREATE TABLE x (a int, b BIGSERIAL)", '42704 type "bigserial" does not exist'],
  ["CREATE TABLE x (a serial4 NOT NULL, b money)", '42704 type "serial4" does not exist'],
  ["CREATE TABLE x (a money, b serial)", noType("money")],
  ["CREATE TABLE x (a shop.serial)", '42704 type "shop.serial" does not exist'],
  ["CREATE TABLE IF NOT EXISTS pair (z xml)", noType("xml")],
  ["CREATE TABLE x (a pg_catalog.int4, b pg_catalog.inet)", noType("inet")],
  ["CREATE TABLE x (a varchar(10)[3][])", noType("character varying[]")],
  ["CREATE TABLE x (a int ARRAY[4])", noType("integer[]")],
  ["CREATE TABLE x (a timestamp with time zone[])", noType("timestamp with time zone[]")],
  ["CREATE TABLE x (a email[])", noType("email[]")],
  ["CREATE TABLE x (a bit)", noType("bit")],
  ["CREATE TABLE x (a daterange)", noType("daterange")],
  ["CREATE TABLE x (a email, b email NOT NULL)"],
  ["CREATE SCHEMA deep CREATE TABLE x (a cidr)", noType("cidr")],
  ["CREATE TABLE x (LIKE pair INCLUDING ALL)"],
  ["CREATE TABLE x (i bigint GENERATED BY DEFAULT AS IDENTITY (START 5))", identity],
  ["CREATE TABLE x (i bigint GENERATED ALWAYS AS IDENTITY (CACHE 100))", identity],
  ["CREATE TABLE x (i int8 GENERATED ALWAYS AS IDENTITY (MINVALUE 1 CACHE 70000))"],
  [
    "CREATE TABLE x (i int2 GENERATED ALWAYS AS IDENTITY (CACHE 65536))",
    "0A000 datatype smallint not supported, identity column type must be bigint"
  ],
  ["create sequence if not exists shop.s increment 2", sequence],
  ["CREATE SEQUENCE s CACHE 65535", sequence],
  ["CREATE SEQUENCE s START WITH 10 CACHE 100000"],
  ["CREATE TABLE x (a int, b int GENERATED ALWAYS AS (a * 2) STORED)"],
  ["CREATE TABLE x (a char(4097))", "54000 Datatype limit greater than 4096 bytes not supported for char"],
  ["CREATE TABLE x (a varchar(65536))", "54000 Datatype limit greater than 65535 bytes not supported for varchar"],
  ["CREATE TABLE x (a numeric(1001))", "22023 NUMERIC precision 1001 must be between 1 and 1000"],
  ["CREATE TABLE x (a jsonb PRIMARY KEY)", key("jsonb")],
  ["CREATE TABLE x (a int, b interval, UNIQUE (a, b))", key("interval")],
  ["CREATE TABLE x (a bytea UNIQUE)", key("bytea")],
  [
    "CREATE TABLE x (a int, b int, c int, d int, e int, f int, g int, h int, i int, PRIMARY KEY (a,b,c,d,e,f,g,h,i))",
    "54011 more than 8 column keys in an index are not supported"
  ],
  // ALTER TABLE.
  [
    'alter table only shop."Order" alter note set data type varchar(5) using note::varchar',
    alterColumn("SET DATA TYPE")
  ],
  ["ALTER TABLE IF EXISTS missing ALTER COLUMN x SET NOT NULL", alterColumn("SET NOT NULL")],
  ["ALTER TABLE pair ALTER c SET STATISTICS 10", alterColumn("SET STATISTICS")],
  ["ALTER TABLE pair ALTER c DROP NOT NULL"],
  ["ALTER TABLE pair ALTER COLUMN c SET DEFAULT 'x'"],
  ["ALTER TABLE pair ADD IF NOT EXISTS d int NOT NULL", addColumn],
  ["ALTER TABLE pair ADD d int REFERENCES pair", addColumn],
  ["ALTER TABLE pair ADD d int PRIMARY KEY", addColumn],
  ["ALTER TABLE pair ADD COLUMN d interval, ADD COLUMN e money", noType("money")],
  ["ALTER TABLE pair ADD COLUMN IF NOT EXISTS d timestamptz"],
  ["ALTER TABLE shop.customer ADD CHECK (name <> '')", addConstraint],
  ["ALTER TABLE shop.customer ADD CONSTRAINT n CHECK (name <> '') NOT VALID"],
  ['ALTER TABLE shop."Order" ADD FOREIGN KEY (customer) REFERENCES shop.customer', addConstraint],
  ['ALTER TABLE shop."Order" ADD FOREIGN KEY (customer) REFERENCES shop.customer NOT VALID'],
  ["ALTER TABLE pair ADD UNIQUE NULLS NOT DISTINCT (c)", addConstraint],
  ["alter table pair validate constraint nothing", "0A000 unsupported ALTER TABLE VALIDATE CONSTRAINT statement"],
  ["ALTER TABLE shop.customer DROP COLUMN id", "0A000 cannot drop primary key column id"],
  ["ALTER TABLE pair DROP c, DROP COLUMN IF EXISTS b CASCADE", "0A000 cannot drop primary key column b"],
  ["ALTER TABLE pair DROP COLUMN IF EXISTS nothing"],
  ["ALTER TABLE shop.customer DROP COLUMN info, DROP name"],
  ["ALTER TABLE pair RENAME COLUMN c TO d"],
  ["ALTER TABLE pair SET SCHEMA shop"],
  // Indexes.
  [
    "CREATE UNIQUE INDEX IF NOT EXISTS i ON shop.customer (name)",
    "0A000 unsupported mode. please use CREATE INDEX ASYNC."
  ],
  ['create index "async" on pair (c)', "0A000 unsupported mode. please use CREATE INDEX ASYNC."],
  ["CREATE INDEX CONCURRENTLY i ON pair (c)", "0A000 CONCURRENTLY not supported for CREATE INDEX"],
  ['CREATE INDEX "i" ON "pair" USING btree ("c")', "0A000 USING not supported for CREATE INDEX"],
  ["CREATE INDEX ASYNC i ON pair USING hash (c)", "0A000 USING not supported for CREATE INDEX"],
  ["CREATE INDEX ASYNC i ON pair (a, c DESC NULLS LAST)", "0A000 specifying sort order not supported for index keys"],
  ["CREATE INDEX ASYNC ON pair (c text_pattern_ops)", "0A000 opclass not supported for index keys"],
  ["SET disable_sync_create_index = off; CREATE INDEX i ON pair (c)"],
  [
    "SET disable_sync_create_index = on; CREATE INDEX i ON pair (c)",
    "0A000 unsupported mode. please use CREATE INDEX ASYNC."
  ],
  ["CREATE INDEX ASYNC i ON shop.customer (info)", key("jsonb")],
  ["CREATE INDEX ASYNC ON pair (c) WHERE a > 0"],
  // Queries.
  ["SELECT * FROM pair FOR UPDATE OF pair FOR SHARE", locking],
  ["WITH x AS (SELECT a FROM pair FOR NO KEY UPDATE) SELECT * FROM x", locking],
  ["SELECT * FROM (SELECT 1 FROM pair p FOR SHARE SKIP LOCKED) q", locking],
  ["INSERT INTO pair SELECT a + 1, b, c FROM pair FOR SHARE", locking],
  ["CREATE VIEW v AS SELECT a FROM pair FOR SHARE", locking],
  ["SELECT a FROM pair WHERE a = 1 FOR UPDATE"],
  ["TABLE pair FOR KEY SHARE"],
  ["SELECT 1 FROM pair p LEFT JOIN (SELECT 1 FROM pair FOR SHARE) s ON true", locking],
  ["SELECT a FROM pair UNION ALL (SELECT a FROM pair TABLESAMPLE system (1) UNION SELECT 2)", sample],
  ["SELECT 1 FROM pair p JOIN shop.customer c TABLESAMPLE BERNOULLI (10) ON true", sample],
  ["SELECT (SELECT count(*) FROM pair TABLESAMPLE system (1))", sample],
  [
    "SELECT EXISTS (SELECT FROM shop.customer WHERE name IN (SELECT name FROM shop.customer TABLESAMPLE system (1)))",
    sample
  ],
  ["SELECT to_tsvector('german', name) FROM shop.customer", '42704 text search configuration "german" does not exist'],
  ["SELECT 1 WHERE pg_try_advisory_lock(1)", "0A000 function pg_try_advisory_lock not supported"],
  ["SELECT pg_catalog.pg_advisory_xact_lock(1, 2)", "0A000 function pg_advisory_xact_lock not supported"],
  ["CREATE VIEW v AS SELECT pg_advisory_unlock_all()", "0A000 function pg_advisory_unlock_all not supported"],
  ["SELECT 1 FROM unnest(ARRAY[1, 2]) u WHERE u = ANY ('{1,2}'::int[])"],
  ["SELECT point(1, 2)", noType("point")],
  ["SELECT '(1,2)'::point", noType("point")],
  ["SELECT $$TRUNCATE pair$$, 'SAVEPOINT a' AS \"LISTEN x\" -- VACUUM"],
  // Functions.
  [
    "CREATE FUNCTION f() RETURNS int AS 'BEGIN RETURN 1; END' LANGUAGE 'plpgsql'",
    "0A000 CREATE FUNCTION with language plpgsql not supported"
  ],
  [
    "CREATE OR REPLACE FUNCTION f(x int) RETURNS int LANGUAGE PLPGSQL AS $$ BEGIN RETURN 1; END $$",
    "0A000 CREATE FUNCTION with language plpgsql not supported"
  ],
  [
    "CREATE FUNCTION f() RETURNS int LANGUAGE internal AS 'x'",
    "0A000 CREATE FUNCTION with language internal not supported"
  ],
  ["CREATE FUNCTION f() RETURNS int AS 'SELECT 1'", "42P13 no language specified"],
  ["CREATE FUNCTION f() RETURNS int RETURN 1"],
  ["CREATE FUNCTION f() RETURNS int LANGUAGE sql BEGIN ATOMIC SELECT 1; SELECT 2; END"],
  ["CREATE PROCEDURE p() LANGUAGE sql AS 'SELECT 1'", "0A000 PROCEDURE is not supported"],
  ["CREATE FUNCTION f() RETURNS SETOF int LANGUAGE sql AS $$ SELECT a FROM pair FOR SHARE $$", locking],
  [
    "CREATE FUNCTION f() RETURNS SETOF int LANGUAGE sql BEGIN ATOMIC SELECT a FROM pair TABLESAMPLE system (5); END",
    sample
  ],
  // Several in one text.
  ["SELECT 1; TRUNCATE pair; SELECT 2", notSupported("Truncate")],
  ["BEGIN; LISTEN a; COMMIT", notSupported("Listen")],
  [
    "CREATE VIEW v AS SELECT 1; COMMENT ON VIEW v IS 'x'",
    "0A000 multiple ddl statements not supported in a transaction"
  ],
  ["DELETE FROM pair; ALTER TABLE pair DROP COLUMN c", "0A000 ddl and dml are not supported in the same transaction"],
  [
    "GRANT SELECT ON pair TO PUBLIC; UPDATE pair SET c = ''",
    "0A000 ddl and dml are not supported in the same transaction"
  ],
  [
    "BEGIN; GRANT SELECT ON pair TO PUBLIC; REVOKE SELECT ON pair FROM PUBLIC; COMMIT",
    "0A000 multiple ddl statements not supported in a transaction"
  ],
  ["BEGIN; DROP TABLE pair; COMMIT; DROP SCHEMA shop CASCADE; SELECT 1"]
]
