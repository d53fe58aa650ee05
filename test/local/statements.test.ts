import * as fc from "effect/FastCheck"
import { afterAll, beforeAll, expect, it } from "vitest"
import { splitStatements } from "../../src/core/statements.js"
import { type Cluster, startCluster } from "../../src/local/cluster.js"
import { query, rawSession } from "./support.js"

let cluster: Cluster
beforeAll(async () => {
  cluster = await startCluster({ rules: "off" })
})
afterAll(() => cluster.stop())

/** Statements that hide what they hold from a hasty reader. */
const statement = fc.constantFrom(
  "",
  "SELECT 1",
  "SELECT ';', E'\\';', 'it''s;', ';\\', U&';\\0041;', B'01', X'1f', N';'",
  "SELECT ';'\n  ';' AS \";\", 1 AS U&\"a;\"",
  "SELECT ';'\n -- ';\n ';'",
  "SELECT $$;$$, $a$;$$;$a$, $ü$';$ü$",
  "SELECT 1 -- ; ' $$ /*\n",
  "SELECT 1 - -1, 1+-1, 2*/* ; */3, 1.e0, .5, 0x1F, 1_000",
  "/* ; /* ' */ ; */ SELECT 2 /* $$ */",
  "SELECT a$1 FROM (SELECT 1 AS a$1) AS t",
  "SELECT 1 AS end, 2 AS begin, 3 AS case",
  "SELECT (ARRAY[1,2,3])[1:2], '{}'::int[]",
  "BEGIN",
  "END",
  "CREATE OR REPLACE FUNCTION f(a int) RETURNS int BEGIN ATOMIC SELECT CASE a WHEN 1 THEN 2 END AS end; SELECT t.end FROM (SELECT 1 AS end) AS t; END",
  "CREATE OR REPLACE PROCEDURE p() LANGUAGE sql BEGIN ATOMIC; SELECT 1; END",
  "CREATE OR REPLACE FUNCTION g() RETURNS int LANGUAGE sql AS $$ SELECT 1; SELECT 2; $$",
  "CREATE OR REPLACE RULE r AS ON INSERT TO kept DO ALSO (SELECT 1; SELECT 2)"
)

it("statements are counted as PostgreSQL counts them", async () => {
  const { incoming, socket } = await rawSession(cluster)
  socket.write(query("CREATE TABLE kept (n int)"))
  await incoming.until("Z")
  await fc.assert(
    fc.asyncProperty(fc.array(statement, { minLength: 1, maxLength: 12 }), async (statements) => {
      const script = statements.join("\n;")
      socket.write(query(script))
      const answers = (await incoming.until("Z")).filter(({ type }) => type === "C" || type === "E")
      socket.write(query("ROLLBACK"))
      await incoming.until("Z")
      expect(answers.map(({ raw, type }) => (type === "E" ? raw.toString() : type))).toEqual(
        splitStatements(script).flatMap(({ tokens }) => (tokens.length === 0 ? [] : ["C"]))
      )
    }),
    { numRuns: 200 }
  )
  socket.destroy()
})
