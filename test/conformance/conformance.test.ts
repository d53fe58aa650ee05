import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { differences } from "./differences.js"
import { probes } from "./probes.js"
import { protocolsOf, Runner } from "./run.js"
import { localTarget, type OpenTarget } from "./targets.js"

let target: OpenTarget
let runner: Runner
beforeAll(async () => {
  target = await localTarget()
  runner = new Runner(target)
})
afterAll(() => target.close())

const cases = probes.flatMap((probe) => protocolsOf(probe).map((protocol) => [probe.id, protocol, probe] as const))

describe("the local cluster and the service", () => {
  it.each(cases.filter(([id]) => differences[id] === undefined))(
    "agree on %s over the %s protocol",
    async (...each) => {
      const [, protocol, probe] = each
      expect(await runner.run(probe, protocol)).toBeUndefined()
    }
  )

  it.each(cases.filter(([id]) => differences[id] !== undefined))(
    "differ on %s over the %s protocol",
    async (...each) => {
      const [, protocol, probe] = each
      expect(await runner.run(probe, protocol)).toBeTypeOf("string")
    }
  )

  it("have at least 236 of 242 recorded answers in common", () => {
    expect(probes.length).toBe(242)
    expect(Object.keys(differences).length).toBeLessThanOrEqual(6)
    const known = new Set(probes.map(({ id }) => id))
    expect(Object.keys(differences).filter((id) => !known.has(id))).toEqual([])
  })
})
