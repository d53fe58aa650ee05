import { assert, describe, it } from "vitest"
import { explainSql } from "../src/local/judging/explain.js"

const short = async (source: string) =>
  (await explainSql(source)).map(({ line, statement, verdict }) => [
    line,
    statement,
    verdict._tag === "Refused" ? verdict.refusal.rule.id : verdict._tag
  ])

describe("explainSql", () => {
  it("tells of each statement where it stands and what becomes of it", async () => {
    const source = `-- orders
CREATE TABLE orders (
  id serial -- no
);

SELECT 1; CREATE INDEX ASYNC ON orders (id);
ALTER STATISTICS s SET STATISTICS 5;
SELEC 1;
`
    assert.deepStrictEqual(await short(source), [
      [2, "CREATE TABLE orders ( id serial )", "serial"],
      [6, "SELECT 1", "Accepted"],
      [6, "CREATE INDEX ASYNC ON orders (id)", "Accepted"],
      [7, "ALTER STATISTICS s SET STATISTICS 5", "Unjudged"],
      [8, "SELEC 1", "Unreadable"]
    ])
  })

  it("follows transactions", async () => {
    const source =
      "BEGIN; DROP TABLE a; DROP TABLE b; COMMIT; DROP TABLE b; BEGIN; DELETE FROM c; GRANT a TO b; ROLLBACK"
    assert.deepStrictEqual(
      (await short(source)).map(([, , verdict]) => verdict),
      [
        "Accepted",
        "Accepted",
        "several-ddl",
        "Accepted",
        "Accepted",
        "Accepted",
        "Accepted",
        "ddl-with-dml",
        "Accepted"
      ]
    )
  })
})
