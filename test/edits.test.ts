import { assert, describe, it } from "vitest"
import { applyEdits, placeBefore } from "../src/core/rules/edits.js"
import { loadParser } from "../src/local/judging/parser.js"
import { Judge, sentText } from "../src/local/judging/judge.js"

const judge = new Judge(await loadParser())

const sent = (sql: string): string | undefined => judge.judge(sql)?.map(sentText).join("")

describe("what PostgreSQL gets in the place of", () => {
  it.each([
    [
      "numeric in columns",
      "CREATE TABLE t (a numeric, b decimal NOT NULL)",
      "CREATE TABLE t (a numeric(18,6), b decimal(18,6) NOT NULL)"
    ],
    ["its qualified name", "CREATE TABLE t (a pg_catalog.numeric)", "CREATE TABLE t (a pg_catalog.numeric(18,6))"],
    [
      "a new column",
      'ALTER TABLE "é" ADD ü Numeric, ADD b dec',
      'ALTER TABLE "é" ADD ü Numeric(18,6), ADD b dec(18,6)'
    ],
    ["a domain", "CREATE DOMAIN d AS numeric CHECK (value > 0)", "CREATE DOMAIN d AS numeric(18,6) CHECK (value > 0)"],
    ["the second statement", "SELECT 1; CREATE TABLE t (a numeric)", "SELECT 1; CREATE TABLE t (a numeric(18,6))"],
    [
      "numeric with a size, and in casts",
      "CREATE TABLE t (a numeric(5), b int DEFAULT 1::numeric)",
      "CREATE TABLE t (a numeric(5), b int DEFAULT 1::numeric)"
    ]
  ])("%s", (_, sql, expected) => {
    const bytes = Buffer.from(sql).toString("latin1")
    assert.strictEqual(Buffer.from(sent(bytes)!, "latin1").toString(), expected)
  })

  it("what cannot be read is nothing", () => {
    assert.isUndefined(sent("SELEC 1"))
  })
})

describe("placeBefore", () => {
  it("is the inverse of what edits do to places", () => {
    const edits = [
      { at: 2, length: 0, text: "++" },
      { at: 4, length: 3, text: "-" }
    ]
    const text = "abcdefghi"
    const edited = applyEdits(text, edits)
    assert.strictEqual(edited, "ab++cd-hi")
    const places = [..."abcdhi"].map((letter) => placeBefore(edited.indexOf(letter), edits))
    assert.deepStrictEqual(
      places,
      [..."abcdhi"].map((letter) => text.indexOf(letter))
    )
  })
})

describe("what a judge remembers", () => {
  it("is bounded, whatever it is asked", () => {
    const judge = new Judge((sql) => ({ SelectStmt: { sql } }))
    const most = Math.max(
      ...Array.from({ length: 10_000 }, (_, number) => {
        judge.judge(`SELECT ${number}`)
        return judge.size
      })
    )
    assert.isAtMost(most, 2_000)
    judge.judge("SELECT 1")
    const before = judge.size
    judge.judge(`SELECT '${"x".repeat(20_000)}'`)
    assert.strictEqual(judge.size, before)
  })
})
