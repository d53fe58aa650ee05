/**
 * What Lambda does to a function: imports its module once, then hands it an event for each line of standard input, and
 * prints what it gives and how long it took. `thawed <milliseconds>` says that it was frozen for so long: its clock jumps, and
 * no timer has run.
 */
import { createInterface } from "node:readline"

let frozen = 0
const RealDate = Date
globalThis.Date = class extends RealDate {
  constructor(...args: Array<unknown>) {
    super(...((args.length === 0 ? [RealDate.now() + frozen] : args) as [number]))
  }
  static override now(): number {
    return RealDate.now() + frozen
  }
} as DateConstructor

const timed = async <A>(run: () => Promise<A>): Promise<readonly [result: A, milliseconds: string]> => {
  const began = performance.now()
  const result = await run()
  return [result, (performance.now() - began).toFixed(1)]
}

type Handler = (event: unknown) => Promise<unknown>

const [{ handler }, milliseconds] = await timed(async (): Promise<{ handler: Handler }> => import(process.argv[2]!))
console.log(`ready after ${milliseconds} ms`)
for await (const line of createInterface({ input: process.stdin })) {
  const [, thawed] = /^thawed (\d+)$/.exec(line) ?? []
  if (thawed !== undefined) {
    frozen += Number(thawed)
  } else {
    const [result, milliseconds] = await timed(() => handler(JSON.parse(line)))
    console.log(`${JSON.stringify(result)} after ${milliseconds} ms`)
  }
}
