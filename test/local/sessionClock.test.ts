import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { type Cluster, startCluster } from "../../src/local/cluster.js"
import { SessionClock } from "../../src/local/sessionClock.js"
import { connect } from "./support.js"

const minute = 60_000

describe("a session clock", () => {
  it("does what is due when it is moved, each at its time", () => {
    const clock = new SessionClock(() => 0)
    const done: Array<[string, number]> = []
    const note = (name: string) => (): void => void done.push([name, clock.now()])
    clock.at(2 * minute, note("second"))
    clock.after(minute, note("first"))
    clock.after(3 * minute, note("third"))
    clock.advance(minute - 1)
    expect(done).toEqual([])
    clock.advance(minute + 1)
    expect(done).toEqual([
      ["first", minute],
      ["second", 2 * minute]
    ])
    expect(clock.now()).toBe(2 * minute)
    clock.close()
  })

  it("does what is asked for on the way, if that is due as well", () => {
    const clock = new SessionClock(() => 0)
    const done: Array<number> = []
    const again = (): void => {
      done.push(clock.now())
      clock.after(minute, again)
    }
    clock.after(minute, again)
    clock.advance(3.5 * minute)
    expect(done).toEqual([minute, 2 * minute, 3 * minute])
    clock.close()
  })

  it("runs with the real time otherwise", async () => {
    const clock = new SessionClock()
    const before = Date.now()
    clock.advance(minute)
    await new Promise<void>((resolve) => clock.after(20, resolve))
    expect(clock.now()).toBeGreaterThanOrEqual(before + minute)
    clock.close()
  })

  it("does nothing that was called off, and nothing after its end", () => {
    const clock = new SessionClock(() => 0)
    const done: Array<string> = []
    clock.after(minute, () => done.push("called off"))()
    clock.after(minute, () => done.push("kept"))
    clock.advance(minute)
    clock.after(minute, () => done.push("ended"))
    clock.close()
    clock.after(minute, () => done.push("late"))
    clock.advance(minute)
    expect(done).toEqual(["kept"])
  })

  it("does not go back", () => {
    const clock = new SessionClock(() => 0)
    expect(() => clock.advance(-1)).toThrow(RangeError)
    expect(() => clock.advance(Number.NaN)).toThrow(RangeError)
    expect(() => clock.advance(Infinity)).toThrow(RangeError)
  })
})

describe("the session clock of a cluster", () => {
  let cluster: Cluster
  beforeAll(async () => {
    cluster = await startCluster()
  })
  afterAll(() => cluster.stop())

  it("tells when clients logged in, and is not that of tokens", async () => {
    const first = await connect(cluster)
    cluster.sessionClock.advance(30 * minute)
    const second = await connect(cluster)
    const [one, two] = cluster.connections()
    expect(two!.since.getTime() - one!.since.getTime()).toBeGreaterThanOrEqual(30 * minute)
    await Promise.all([first.end(), second.end()])
  })
})
