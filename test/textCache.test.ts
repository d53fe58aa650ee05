import { assert, describe, it } from "vitest"
import { TextCache } from "../src/local/statements/textCache.js"

const counting = () => {
  const found: Array<number> = []
  const cache = new TextCache((sql) => {
    found.push(sql.length)
    return sql.length === 3 ? undefined : sql.length
  })
  return { cache, found }
}

const text = (length: number, letter = "a"): string => letter.repeat(length)

describe("what was found in texts", () => {
  it("is remembered, also where it was nothing", () => {
    const { cache, found } = counting()
    for (const length of [3, 3, 10_000, 3, 10_000]) cache.read(text(length))
    assert.deepStrictEqual(found, [3, 10_000])
  })

  it("is remembered for 2,000 of them at the most", () => {
    const { cache, found } = counting()
    for (let n = 0; n < 5_000; n++) {
      cache.read(`SELECT ${n}`)
      assert.isAtMost(cache.size, 2_000)
    }
    cache.read("SELECT 4999")
    assert.lengthOf(found, 5_000)
  })

  it("is remembered of the last long one only, and of no longer one", () => {
    const { cache, found } = counting()
    for (const sql of [text(10_001), text(10_001), text(10_001, "b"), text(10_001)]) cache.read(sql)
    for (const sql of [text(500_001), text(500_001), text(10_001)]) cache.read(sql)
    assert.deepStrictEqual(found, [10_001, 10_001, 10_001, 500_001, 500_001])
    assert.strictEqual(cache.size, 0)
  })
})
