import { assert, describe, it } from "vitest"
import { plainText, spellingOf } from "../src/core/spellings.js"
import { splitStatements } from "../src/core/statements.js"

const only = (sql: string) => splitStatements(sql)[0]!

describe("spellingOf", () => {
  it.each([
    ["IndexAsync", "CREATE INDEX ASYNC i ON t (c)"],
    ["IndexAsync", "create unique index async on t (c)"],
    ["IndexAsync", "CREATE /* a */ INDEX -- b\n Async IF NOT EXISTS i ON t (c)"],
    ["AlterTableAsync", "ALTER TABLE ASYNC t VALIDATE CONSTRAINT c"],
    ["AlterTableAsync", 'alter table async "add" validate constraint c'],
    ["AlterTableAsync", "ALTER TABLE ASYNC IF EXISTS s.t VALIDATE CONSTRAINT c"],
    ["IamGrant", "AWS IAM GRANT r TO 'arn'"],
    ["IamRevoke", "aws iam\nrevoke r FROM 'arn'"]
  ])("finds %s in %s", (tag, sql) => {
    assert.strictEqual(spellingOf(only(sql))?._tag, tag)
  })

  it.each([
    'CREATE INDEX "async" ON t (c)',
    "CREATE INDEX async_i ON t (c)",
    "CREATE TABLE async (i int)",
    "ALTER TABLE async ADD COLUMN c int",
    "ALTER TABLE async.t DROP COLUMN c",
    "ALTER TABLE async VALIDATE CONSTRAINT c",
    'ALTER TABLE "async" RENAME TO t',
    "SELECT 'CREATE INDEX ASYNC i ON t (c)'",
    "-- CREATE INDEX ASYNC\nSELECT 1",
    "GRANT r TO s"
  ])("finds none in %s", (sql) => {
    assert.isUndefined(spellingOf(only(sql)))
  })
})

describe("plainText", () => {
  it("leaves the word out and everything else in its place", () => {
    const [, second] = splitStatements("SELECT 1; CREATE INDEX ASYNC i ON t (c);")
    assert.strictEqual(plainText(second!), " CREATE INDEX       i ON t (c);")
    assert.strictEqual(plainText(only("CREATE INDEX i ON t (c)")), "CREATE INDEX i ON t (c)")
  })

  it("has nothing for statements about IAM", () => {
    assert.isUndefined(plainText(only("AWS IAM GRANT r TO 'arn'")))
  })
})
