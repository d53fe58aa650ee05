import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { type Cluster, startCluster } from "../../src/local/cluster.js"
import { fatal } from "../../src/local/wire.js"
import {
  copyFail,
  describeStatement,
  everyCut,
  openDirectly,
  openThroughGateway,
  readable,
  sync,
  terminate
} from "./protocol.js"
import { endings, preparation, refusedLengths } from "./scripts.js"
import { query, withClient } from "./support.js"

let cluster: Cluster
let outspoken: Cluster
beforeAll(async () => {
  cluster = await startCluster()
  outspoken = await startCluster({ oversizedMessage: "error" })
  for (const each of [cluster, outspoken]) await withClient(each, (client) => client.query(preparation))
})
afterAll(() => Promise.all([cluster.stop(), outspoken.stop()]))

/** All that a session of its own answers. */
const answerTo = async (
  open: typeof openDirectly,
  chunks: ReadonlyArray<Buffer>,
  of = cluster
): Promise<Array<string>> => {
  const { session } = await open(of)
  await session.send(chunks)
  return readable(await session.rest())
}

const expectForEveryCut = async (bytes: Buffer, expected: ReadonlyArray<string>, of = cluster): Promise<void> => {
  const cuts = everyCut(bytes)
  // Some at the same time: each needs a login.
  const next = async (): Promise<void> => {
    for (let cut = cuts.pop(); cut !== undefined; cut = cuts.pop()) {
      expect(await answerTo(openThroughGateway, cut, of)).toEqual(expected)
    }
  }
  await Promise.all([next(), next(), next(), next()])
}

describe("a session ends as PostgreSQL ends it", () => {
  it.for(Object.entries(endings))("with %s, however the bytes are cut", async ([, script]) => {
    const bytes = Buffer.concat(script)
    await expectForEveryCut(bytes, await answerTo(openDirectly, [bytes]))
  })
})

describe("behind all that PostgreSQL answers to what came before, a length is refused", () => {
  const refusal = readable(fatal({ code: "08P01", message: "invalid message length" }))

  it.for(Object.entries(refusedLengths))("%s, however the bytes are cut", async ([, length]) => {
    const { before, header, inCopy, isOversized } = length
    const end = inCopy === true ? [copyFail("invalid message length"), terminate] : [terminate]
    const expected = await answerTo(openDirectly, [...before, ...end])
    const bytes = Buffer.concat([...before, header])
    await expectForEveryCut(bytes, isOversized === true ? expected : [...expected, ...refusal])
    // With words as well, where it is told to.
    if (isOversized === true) await expectForEveryCut(bytes, [...expected, ...refusal], outspoken)
  })

  it("but not up to the limits", async () => {
    const longest = [
      describeStatement("s".repeat(10_000 - 6)),
      query(`SELECT length('${"x".repeat(10 * 1024 * 1024 - 22)}')`)
    ]
    expect(longest.map((bytes) => bytes.length - 1)).toEqual([10_000, 10 * 1024 * 1024])
    const script = [Buffer.concat([longest[0]!, sync, longest[1]!, terminate])]
    const expected = await answerTo(openDirectly, script)
    expect(expected.at(-2)).toBe("C13 SELECT 1\0")
    expect(await answerTo(openThroughGateway, script)).toEqual(expected)
  })
})
