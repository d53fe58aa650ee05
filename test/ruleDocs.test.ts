import { readFileSync } from "node:fs"
import { assert, describe, it } from "vitest"
import { file, ruleDocs } from "../scripts/rule-docs.js"
import { rules } from "../src/core/rules/judge.js"

describe("the rules", () => {
  it("are in their document as they are; npm run docs:rules writes it", async () => {
    assert.strictEqual(readFileSync(file, "utf8"), await ruleDocs())
  })

  it("have an id each", () => {
    assert.strictEqual(new Set(rules.map(({ id }) => id)).size, rules.length)
  })
})
