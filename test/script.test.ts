import { assert, describe, it } from "vitest"
import { traceOf } from "../src/core/catalogTraces.js"
import { isSignificant, tokenize } from "../src/core/lexer.js"
import { canonicalText, readScript } from "../src/core/script.js"

const tokensOf = (sql: string) => tokenize(sql).filter(isSignificant)

describe("a script", () => {
  const units = (source: string) => readScript(source).units.map(({ kind, line, text }) => [kind, line, text])
  const problems = (source: string) => readScript(source).problems.map(({ detail, line, text }) => [line, text, detail])

  it("is cut into statements with their lines, and without what stands around them", () => {
    const source = `-- The owners; all of them
      CREATE TABLE "o;wner" (id int, /* a ; b */ name text);

      INSERT INTO "o;wner" VALUES (1, 'a;b'), (2, $x$;$x$) ;;
      CREATE FUNCTION two() RETURNS int LANGUAGE sql BEGIN ATOMIC SELECT 1; SELECT 2; END;
      create unique index async on "o;wner" (id)
      -- the end`
    assert.deepStrictEqual(units(source), [
      ["ddl", 2, `CREATE TABLE "o;wner" (id int, /* a ; b */ name text)`],
      ["write", 4, `INSERT INTO "o;wner" VALUES (1, 'a;b'), (2, $x$;$x$)`],
      ["ddl", 5, "CREATE FUNCTION two() RETURNS int LANGUAGE sql BEGIN ATOMIC SELECT 1; SELECT 2; END"],
      ["ddl", 6, `create unique index async on "o;wner" (id)`]
    ])
    assert.deepStrictEqual(problems(source), [])
  })

  it.each([
    ["SELECT setval('s', 7)", "write"],
    ["WITH a AS (INSERT INTO t VALUES (1) RETURNING 1) SELECT * FROM a", "write"],
    ["ALTER TABLE ASYNC t VALIDATE CONSTRAINT c", "ddl"],
    ["AWS IAM GRANT app TO 'arn:aws:iam::1:role/app'", "ddl"],
    ["GRANT SELECT ON t TO app", "ddl"],
    ["ANALYZE t", "alone"],
    ["CALL sys.wait_for_job('x')", "alone"],
    ["CRATE TABLE t ()", "alone"]
  ])("runs %s as %s", (sql, kind) => {
    assert.deepStrictEqual(units(sql), [[kind, 1, sql]])
  })

  it("keeps together what stands between BEGIN and COMMIT", () => {
    const source =
      "BEGIN;\nSET LOCAL search_path TO a;\nUPDATE t SET n = 1;\nDELETE FROM u;\nEND;\nSTART TRANSACTION; CREATE TABLE v (); COMMIT"
    assert.deepStrictEqual(units(source), [
      ["write", 2, "SET LOCAL search_path TO a;\nUPDATE t SET n = 1;\nDELETE FROM u"],
      ["ddl", 6, "CREATE TABLE v ()"]
    ])
  })

  const refused: ReadonlyArray<readonly [source: string, line: number, detail: RegExp]> = [
    ["SELECT 1;\n  SELECT 'a", 2, /begins here and is not ended/],
    ["/* SELECT 1", 1, /begins here and is not ended/],
    ["SET search_path TO a", 1, /SET LOCAL between BEGIN and COMMIT/],
    ["SET LOCAL search_path TO a", 1, /put it between BEGIN and COMMIT/],
    ["BEGIN; UPDATE t SET n = 1", 1, /COMMIT is missing/],
    ["UPDATE t SET n = 1; COMMIT", 1, /no BEGIN/],
    ["BEGIN;\nBEGIN;\nCOMMIT", 2, /BEGIN of line 1/],
    ["BEGIN; UPDATE t SET n = 1;\nCREATE TABLE u ();\nCOMMIT", 2, /out of BEGIN and COMMIT/],
    ["BEGIN; ANALYZE t; COMMIT", 1, /out of BEGIN and COMMIT/],
    ["ROLLBACK", 1, /not rolled back/],
    ["BEGIN; SAVEPOINT a; COMMIT", 1, /no savepoints/],
    ["COPY t FROM STDIN", 1, /no data to copy/],
    ["VACUUM t", 1, /a session that the next statement does not have/]
  ]
  it.each(refused)("refuses %j", (source, line, detail) => {
    const found = problems(source)
    assert.strictEqual(found.length, 1)
    assert.strictEqual(found[0]![0], line)
    assert.match(String(found[0]![2]), detail)
  })

  it("is the same however it is laid out, and another when a letter of a string changes", () => {
    const canonical = (sql: string) => canonicalText(tokensOf(sql))
    assert.strictEqual(canonical("create TABLE a(b int)"), canonical("CREATE table A ( b INT ) -- c"))
    assert.notStrictEqual(canonical(`SELECT 'a'`), canonical(`SELECT 'A'`))
    assert.notStrictEqual(canonical(`SELECT "a"`), canonical(`SELECT "A"`))
    assert.notStrictEqual(canonical("SELECT 'a b'"), canonical("SELECT 'a  b'"))
  })
})

describe("what a statement leaves in the catalog", () => {
  const told = (sql: string): string => {
    const trace = traceOf(tokensOf(sql))
    if (trace._tag !== "object") return trace._tag
    const { object, present } = trace
    const { kind, name, ...rest } = { schema: undefined, table: undefined, ...object }
    return [
      present ? "has" : "lacks",
      kind,
      [rest.schema, rest.table, name].filter((part) => part !== undefined).join(".")
    ].join(" ")
  }
  it.each([
    ["CREATE TABLE owner (id int)", "has relation owner"],
    [`CREATE TABLE Shop."Owner" ()`, "has relation shop.Owner"],
    ["CREATE TABLE IF NOT EXISTS owner ()", "again"],
    ["CREATE OR REPLACE VIEW v AS SELECT 1", "again"],
    ["CREATE VIEW v AS SELECT 1", "has relation v"],
    ["CREATE RECURSIVE VIEW v (n) AS SELECT 1", "has relation v"],
    ["CREATE SEQUENCE s CACHE 1", "has relation s"],
    ["CREATE UNIQUE INDEX ASYNC i ON shop.owner (id)", "has index shop.i"],
    ["CREATE INDEX ASYNC IF NOT EXISTS i ON owner (id)", "has index i"],
    ["CREATE INDEX ASYNC ON owner (id)", "unknown"],
    ["CREATE SCHEMA shop", "has schema shop"],
    ["CREATE ROLE app WITH LOGIN", "has role app"],
    ["CREATE DOMAIN mail AS text", "has type mail"],
    ["CREATE FUNCTION f() RETURNS int LANGUAGE sql RETURN 1", "unknown"],
    ["DROP TABLE owner", "lacks relation owner"],
    ["DROP INDEX shop.i", "lacks relation shop.i"],
    ["DROP TABLE IF EXISTS owner", "again"],
    ["DROP SCHEMA shop CASCADE", "lacks schema shop"],
    ["ALTER TABLE owner ADD COLUMN city text", "has column owner.city"],
    ["ALTER TABLE ONLY shop.owner ADD city text, ADD zip text", "has column shop.owner.city"],
    ["ALTER TABLE owner ADD COLUMN IF NOT EXISTS city text", "again"],
    ["ALTER TABLE owner DROP COLUMN city", "lacks column owner.city"],
    ["ALTER TABLE owner DROP CONSTRAINT c", "lacks constraint owner.c"],
    ["ALTER TABLE owner ADD CONSTRAINT c CHECK (true) NOT VALID", "has constraint owner.c"],
    ["ALTER TABLE owner ADD CHECK (true) NOT VALID", "unknown"],
    ["ALTER TABLE ASYNC owner VALIDATE CONSTRAINT c", "has validated owner.c"],
    ["ALTER TABLE owner RENAME TO keeper", "has relation keeper"],
    ["ALTER TABLE shop.owner RENAME COLUMN a TO b", "has column shop.owner.b"],
    ["ALTER TABLE owner RENAME a TO b", "has column owner.b"],
    ["ALTER TABLE owner RENAME CONSTRAINT a TO b", "has constraint owner.b"],
    ["ALTER TABLE owner SET SCHEMA shop", "has relation shop.owner"],
    ["ALTER TABLE owner ALTER COLUMN a SET DEFAULT 1", "again"],
    ["ALTER TABLE owner ALTER COLUMN a DROP EXPRESSION", "unknown"],
    ["ALTER SEQUENCE s RESTART", "unknown"],
    ["ALTER VIEW shop.v RENAME TO w", "has relation shop.w"],
    ["ALTER SCHEMA a RENAME TO b", "has schema b"],
    ["GRANT SELECT ON owner TO app", "again"],
    ["COMMENT ON TABLE owner IS 'x'", "again"],
    ["CALL sys.wait_for_job('x')", "again"],
    ["CALL other('x')", "unknown"]
  ])("%s: %s", (sql, expected) => {
    assert.strictEqual(told(sql), expected)
  })
})
