import * as fc from "effect/FastCheck"
import { describe, expect, it, vi } from "vitest"
import { AnswerStream } from "../../src/local/answers.js"
import { type Batch, Batcher, clientMessageTypes, type Stage } from "../../src/local/batches.js"
import { MessageFramer } from "../../src/local/framing.js"
import { parseParameters, startupMessage } from "../../src/local/wire.js"
import { frame } from "./support.js"

/** Cuts bytes at the given places. */
const cut = (bytes: Buffer, places: ReadonlyArray<number>): Array<Buffer> => {
  const ends = [...places.map((place) => place % (bytes.length + 1)), bytes.length].sort((a, b) => a - b)
  return ends.map((end, index) => bytes.subarray(index === 0 ? 0 : ends[index - 1], end))
}

const messages = fc.array(
  fc.record({ type: fc.constantFrom(...clientMessageTypes), body: fc.uint8Array({ maxLength: 40 }) }),
  { maxLength: 20 }
)

const bytesOf = (list: ReadonlyArray<{ type: string; body: Uint8Array }>): Buffer =>
  Buffer.concat(list.map(({ type, body }) => frame(type, Buffer.from(body))))

const batchesOf = (chunks: ReadonlyArray<Buffer>, limit = 1_000): Array<Batch> => {
  const framer = new MessageFramer(clientMessageTypes, () => limit)
  const batcher = new Batcher(limit)
  return chunks.flatMap((chunk) => framer.push(chunk).flatMap((message) => batcher.push(message) ?? []))
}

const shape = (batches: ReadonlyArray<Batch>) =>
  batches.map(({ end, messages }) => [end, messages.map(({ raw, type }) => type + raw.toString("hex"))])

describe("MessageFramer", () => {
  it("gives the same messages however the bytes are split", () => {
    fc.assert(
      fc.property(messages, fc.array(fc.nat(1000), { maxLength: 30 }), (list, places) => {
        const framer = new MessageFramer(clientMessageTypes, () => 100)
        const found = cut(bytesOf(list), places).flatMap((chunk) => framer.push(chunk))
        expect(found.map(({ type }) => type)).toEqual(list.map(({ type }) => type))
        expect(Buffer.concat(found.map(({ raw }) => raw))).toEqual(bytesOf(list))
      })
    )
  })

  it("gives the same batches for every single split and byte by byte", () => {
    const bytes = Buffer.concat([
      frame("P", "s\0select 1\0\0\0"),
      frame("B", "\0s\0"),
      frame("E", "\0\0\0\0\0"),
      frame("S", ""),
      frame("Q", "select 2\0"),
      frame("d", "row"),
      frame("c", "")
    ])
    const expected = shape(batchesOf([bytes]))
    expect(expected.map(([end]) => end)).toEqual(["Sync", "Query", "Copy", "Copy"])
    for (let place = 0; place <= bytes.length; place++) {
      expect(shape(batchesOf([bytes.subarray(0, place), bytes.subarray(place)]))).toEqual(expected)
    }
    expect(shape(batchesOf([...bytes].map((byte) => Buffer.of(byte))))).toEqual(expected)
  })

  it("stops at a type that nobody sends, keeping what came before", () => {
    const framer = new MessageFramer(clientMessageTypes, () => 100)
    const good = frame("Q", "x\0")
    expect(framer.push(Buffer.concat([good, frame("!", ""), good]))).toHaveLength(1)
    expect(framer.problem).toEqual({ _tag: "InvalidType", type: "!".charCodeAt(0) })
    expect(framer.push(good)).toEqual([])
  })

  it("refuses a length by the header alone", () => {
    for (const length of [-1, 0, 3, 101]) {
      const header = Buffer.from("Q0000")
      header.writeInt32BE(length, 1)
      const framer = new MessageFramer(clientMessageTypes, () => 100)
      expect(framer.push(header)).toEqual([])
      expect(framer.problem).toEqual({ _tag: "InvalidLength", length })
    }
    const longest = frame("Q", "x".repeat(96))
    expect(new MessageFramer(clientMessageTypes, () => 100).push(longest)).toHaveLength(1)
  })
})

it.each([
  ["MessageFramer", () => new MessageFramer("D", () => 1 << 30)],
  [
    "AnswerStream",
    () => new AnswerStream([{ onBatch: (batch) => batch, answerTypes: "D", onAnswer: ({ raw }) => raw }])
  ]
] as const)("%s copies a long message in many chunks no more than twice", (_, make) => {
  const concat = vi.spyOn(Buffer, "concat")
  const stream = make()
  const bytes = frame("D", "x".repeat(100_000))
  concat.mockClear()
  const found = Array.from({ length: 1_000 }, (_, n) => bytes.subarray(n * 101, (n + 1) * 101)).flatMap(
    (chunk): ReadonlyArray<unknown> => stream.push(chunk)
  )
  const copied = concat.mock.results.reduce((sum, { value }) => sum + (value as Buffer).length, 0)
  concat.mockRestore()
  expect(found).toHaveLength(1)
  expect(copied).toBeLessThanOrEqual(2 * bytes.length)
})

describe("Batcher", () => {
  it("keeps an open pipeline within its limit", () => {
    // With their overhead 4 to a limit of 1,000.
    const parse = frame("P", "x".repeat(125))
    const batches = batchesOf([Buffer.concat([...Array.from({ length: 10 }, () => parse), frame("S", "")])])

    expect(batches.map(({ end, messages }) => [end, messages.length])).toEqual([
      ["Limit", 4],
      ["Limit", 4],
      ["Sync", 3]
    ])
  })
})

describe("AnswerStream", () => {
  const upper = (types: string): Stage => ({
    onBatch: (batch) => batch,
    answerTypes: types,
    onAnswer: ({ raw, type }) => (type === "N" ? undefined : frame(type, raw.toString("latin1", 5).toUpperCase()))
  })
  const answers = fc.array(fc.record({ type: fc.constantFrom(..."CDENZ"), body: fc.uint8Array({ maxLength: 40 }) }), {
    maxLength: 20
  })
  const places = fc.array(fc.nat(1000), { maxLength: 30 })

  it("passes bytes on as they come while nobody wants to see them, but for parts of a header", () => {
    fc.assert(
      fc.property(answers, places, (list, places) => {
        const stream = new AnswerStream([upper("")])
        let [sent, received] = [0, 0]
        const whole = cut(bytesOf(list), places).flatMap((chunk) => {
          const slices = stream.push(chunk)
          sent += chunk.length
          received += slices.reduce((sum, { length }) => sum + length, 0)
          expect(sent - received).toBeLessThan(5)
          return slices
        })
        expect(Buffer.concat(whole)).toEqual(bytesOf(list))
      })
    )
  })

  it("changes whole messages of the types that are wanted, and no others, over every split", () => {
    fc.assert(
      fc.property(answers, places, (list, places) => {
        const stream = new AnswerStream([upper("EN")])
        const expected = list
          .filter(({ type }) => type !== "N")
          .map(({ body, type }) => {
            const text = Buffer.from(body).toString("latin1")
            return frame(type, type === "E" ? text.toUpperCase() : Buffer.from(body))
          })
        const chunks = cut(bytesOf(list), places).flatMap((chunk) => stream.push(chunk))
        expect(Buffer.concat(chunks)).toEqual(Buffer.concat(expected))
      })
    )
  })

  it("knows whether what went on ends between two messages", () => {
    fc.assert(
      fc.property(answers, places, (list, places) => {
        const boundaries = new Set([0])
        list.reduce((offset, { body }) => {
          boundaries.add(offset + 5 + body.length)
          return offset + 5 + body.length
        }, 0)
        const stream = new AnswerStream([])
        let offset = 0
        for (const chunk of cut(bytesOf(list), places)) {
          for (const slice of stream.push(chunk)) offset += slice.length
          expect(stream.isAtBoundary).toBe(boundaries.has(offset))
        }
      })
    )
  })

  it("asks the last stage first, and none behind one that lets nothing go on", () => {
    const seen: Array<string> = []
    const stage = (name: string, types: string, result: (raw: Buffer) => Buffer | undefined): Stage => ({
      onBatch: (batch) => batch,
      answerTypes: types,
      onAnswer: ({ raw, type }) => {
        seen.push(`${name}${type}${raw.toString("latin1", 5)}`)
        return result(raw)
      }
    })
    const stream = new AnswerStream([
      stage("first", "CE", (raw) => raw),
      stage("last", "CN", (raw) => (raw[0] === 0x4e ? undefined : frame("C", "new")))
    ])
    const out = stream.push(Buffer.concat([frame("C", "old"), frame("N", ""), frame("E", "")]))
    expect(seen).toEqual(["lastCold", "firstCnew", "lastN", "firstE"])
    expect(Buffer.concat(out)).toEqual(Buffer.concat([frame("C", "new"), frame("E", "")]))
  })
})

describe("parseParameters", () => {
  it("reads what startupMessage writes", () => {
    const pairs = [
      ["user", "admin"],
      ["options", ""],
      ["application_name", "näme"]
    ] as const
    expect(parseParameters(startupMessage(pairs).subarray(8))).toEqual(pairs)
    expect(parseParameters(Buffer.from("\0"))).toEqual([])
  })

  it("refuses what is not pairs", () => {
    for (const text of [
      "",
      "user",
      "user\0",
      "user\0admin",
      "user\0admin\0",
      "\0x\0\0",
      "user\0a\0b\0\0",
      "user\0a\0\0\0"
    ]) {
      expect([text, parseParameters(Buffer.from(text))]).toEqual([text, undefined])
    }
  })
})
