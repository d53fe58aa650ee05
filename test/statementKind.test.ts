import { assert, describe, it } from "vitest"
import { isSignificant, tokenize } from "../src/core/lexer.js"
import { shadowOf } from "../src/core/shadow.js"
import { calledNames, kindOf, type StatementKind, targetsOf } from "../src/core/statementKind.js"
import { splitStatements } from "../src/core/statements.js"

const tokensOf = (sql: string) => tokenize(sql).filter(isSignificant)

const kinds: Readonly<Record<StatementKind, ReadonlyArray<string>>> = {
  empty: ["", " -- nothing"],
  begin: ["BEGIN", "begin isolation level repeatable read", "START TRANSACTION READ ONLY"],
  commit: ["COMMIT", "commit work", "END", "COMMIT AND CHAIN"],
  rollback: ["ROLLBACK", "abort", "ROLLBACK AND CHAIN"],
  savepoint: ["SAVEPOINT a", "RELEASE a", "ROLLBACK TO a", "rollback work to savepoint a"],
  session: ["SET timezone = 'UTC'", "RESET ALL", "SHOW timezone", "DISCARD ALL", "PREPARE p AS SELECT 1", "VACUUM"],
  read: [
    "SELECT 1",
    "/* UPDATE */ select * from t where a = 'FOR UPDATE'",
    `SELECT "update", t.into, 1 AS into FROM "for" JOIN "update" u ON true`,
    "SELECT substring(a from 1 for 2) FROM t",
    "SELECT for_update FROM t",
    "(SELECT 1) UNION (SELECT 2)",
    "VALUES (1)",
    "TABLE t",
    "WITH a AS (SELECT 1) SELECT * FROM a",
    "WITH RECURSIVE a (n) AS (VALUES (1) UNION SELECT n + 1 FROM a) TABLE a",
    "EXPLAIN UPDATE t SET a = 1",
    "EXPLAIN (VERBOSE) DELETE FROM t",
    "EXPLAIN ANALYZE SELECT 1",
    "COPY t TO STDOUT",
    "COPY (SELECT a FROM t) TO STDOUT",
    "FETCH 1 FROM c"
  ],
  lock: [
    "SELECT * FROM t FOR UPDATE",
    "SELECT * FROM t for no key update",
    "SELECT * FROM t FOR SHARE NOWAIT",
    "SELECT * FROM t WHERE a = $1 FOR KEY SHARE OF t LIMIT 1",
    "SELECT * FROM (SELECT * FROM t FOR UPDATE) s",
    "WITH a AS (SELECT * FROM t FOR UPDATE) SELECT * FROM a",
    "EXPLAIN ANALYZE SELECT * FROM t FOR UPDATE"
  ],
  write: [
    "INSERT INTO t VALUES (1)",
    "update t set a = 1",
    "DELETE FROM t",
    "MERGE INTO t USING s ON true WHEN MATCHED THEN DELETE",
    "WITH a AS (SELECT 1) INSERT INTO t SELECT * FROM a",
    "WITH a AS MATERIALIZED (UPDATE t SET b = 1 RETURNING *) SELECT * FROM a",
    "WITH a AS (SELECT 1), b AS (DELETE FROM t RETURNING *) SELECT * FROM a, b",
    "EXPLAIN (ANALYZE, VERBOSE) UPDATE t SET a = 1",
    "EXPLAIN ANALYZE VERBOSE INSERT INTO t VALUES (1)",
    "COPY (UPDATE t SET a = 1 RETURNING a) TO STDOUT"
  ],
  copyIn: ["COPY t FROM STDIN", "COPY t (a, b) FROM STDIN (FORMAT csv)"],
  ddl: [
    "CREATE TABLE t (a int)",
    "ALTER TABLE t ADD COLUMN b int",
    "DROP TABLE t",
    "GRANT SELECT ON t TO r",
    "REVOKE ALL ON t FROM r",
    "TRUNCATE t",
    "COMMENT ON TABLE t IS 'x'",
    "SELECT * INTO s FROM t",
    "CREATE TABLE s AS SELECT * FROM t"
  ],
  unknown: ["CALL p()", "DO $$ $$", "EXECUTE s", "LOCK TABLE t", "COMMIT PREPARED 'a'", "nonsense", "1"]
}

describe("kindOf", () => {
  for (const [kind, statements] of Object.entries(kinds)) {
    it.each(statements)(`takes %j for ${kind}`, (sql) => {
      assert.strictEqual(kindOf(tokensOf(sql)), kind)
    })
  }
})

describe("calledNames", () => {
  it("are those in front of a parenthesis, with or without a schema", () => {
    const sql = `SELECT now(), S.Random (1), "Odd"(2), a FROM t WHERE b IN (1) AND c = '('`
    assert.deepStrictEqual([...calledNames(tokensOf(sql))], ["now", "random", "Odd", "in"])
  })
})

describe("targetsOf", () => {
  const statements = [
    ["INSERT INTO a.t (b) VALUES (1)", ["t"], [], true],
    [`UPDATE ONLY "T" SET b = 1, "C" = d WHERE e = 1`, ["T"], ["b", "C"], false],
    ["UPDATE t SET (b, c) = (1, 2), d = DEFAULT", ["t"], ["b", "c", "d"], true],
    ["DELETE FROM t USING s", ["t"], [], false],
    ["MERGE INTO t USING s ON true WHEN MATCHED THEN UPDATE SET b = 1", ["t"], ["b"], true],
    ["WITH a AS (DELETE FROM t RETURNING *) INSERT INTO s SELECT * FROM a", ["t", "s"], [], true],
    ["INSERT INTO t VALUES (1) ON CONFLICT (a) DO UPDATE SET b = 1", ["t"], ["b"], true],
    ["SELECT * FROM t FOR UPDATE OF t", [], [], false]
  ] as const
  it.each(statements)("of %j are %j, with %j", (sql, names, columns, usesDefaults) => {
    assert.deepStrictEqual(targetsOf(tokensOf(sql)), { names: new Set(names), columns: new Set(columns), usesDefaults })
  })
})

describe("shadowOf", () => {
  const shadow = (sql: string) => shadowOf(splitStatements(sql).at(-1)!)

  const counts = [
    ["UPDATE t SET a = $1 WHERE id = $2", "UPDATE", "SELECT count(*) FROM t WHERE id = $2"],
    ["UPDATE ONLY s.t AS x SET a = 1;", "UPDATE", "SELECT count(*) FROM ONLY s.t AS x"],
    [
      "UPDATE t x SET a = b.c FROM b JOIN d ON (b.e = d.e) WHERE x.id = b.id",
      "UPDATE",
      "SELECT count(DISTINCT x.ctid) FROM t x, b JOIN d ON (b.e = d.e) WHERE x.id = b.id"
    ],
    [
      "UPDATE t SET a = b IS DISTINCT FROM c WHERE b IS DISTINCT FROM (SELECT 1 FROM s WHERE true)",
      "UPDATE",
      "SELECT count(*) FROM t WHERE b IS DISTINCT FROM (SELECT 1 FROM s WHERE true)"
    ],
    ["SELECT 1; DELETE FROM t WHERE id IN ($1, $2)", "DELETE", "SELECT count(*) FROM t WHERE id IN ($1, $2)"],
    ["DELETE FROM t", "DELETE", "SELECT count(*) FROM t"],
    [
      `DELETE FROM "t" USING s WHERE "t".a = s.a`,
      "DELETE",
      `SELECT count(DISTINCT "t".ctid) FROM "t", s WHERE "t".a = s.a`
    ]
  ] as const
  it.each(counts)("counts the rows of %j", (sql, verb, counting) => {
    assert.deepStrictEqual(shadow(sql), { _tag: "Count", verb, sql: counting })
  })

  const rows = [
    ["INSERT INTO t VALUES (1, (2))", 1],
    ["INSERT INTO t (a, b) VALUES ($1, $2), (DEFAULT, f(1, 2)) , (3, 4)", 3],
    ["INSERT INTO t DEFAULT VALUES", 1]
  ] as const
  it.each(rows)("knows the rows of %j", (sql, rows) => {
    assert.deepStrictEqual(shadow(sql), { _tag: "Rows", rows })
  })

  const queries = [
    ["SELECT a FROM t WHERE id = $1 FOR UPDATE", "SELECT a FROM t WHERE id = $1           "],
    [
      "SELECT a FROM t FOR NO KEY UPDATE OF t, s.u SKIP LOCKED LIMIT 1;",
      "SELECT a FROM t                                         LIMIT 1;"
    ],
    [
      "SELECT a FROM (TABLE t FOR SHARE NOWAIT) s FOR KEY SHARE",
      "SELECT a FROM (TABLE t                 ) s              "
    ]
  ] as const
  it.each(queries)("takes the locks from %j", (sql, unlocked) => {
    assert.deepStrictEqual(shadow(sql), { _tag: "Query", sql: unlocked })
  })

  it.each([
    "UPDATE t SET a = 1 RETURNING a",
    "DELETE FROM t WHERE CURRENT OF c",
    "INSERT INTO t SELECT 1",
    "INSERT INTO t SELECT * FROM (VALUES (1)) s",
    "INSERT INTO t VALUES (1) ON CONFLICT DO NOTHING",
    "INSERT INTO t VALUES (1) RETURNING a",
    "WITH a AS (SELECT 1) UPDATE t SET a = 1",
    "EXPLAIN ANALYZE SELECT 1 FROM t FOR UPDATE",
    "SELECT 1",
    "MERGE INTO t USING s ON true WHEN MATCHED THEN DELETE"
  ])("there is none of %j", (sql) => {
    assert.isUndefined(shadow(sql))
  })
})
