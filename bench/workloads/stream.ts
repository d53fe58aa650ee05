import { connections, using, type Workload } from "../workload.js"

/** A client whose code is not compiled for good yet takes up to twice as long, the longer the more code it has. */
const warmUps = 5

/** What is added to the heap is looked at once in so many rows, right after the garbage was collected. */
const lookEvery = 10_000

export const stream: Workload = {
  name: "stream",
  title: "Stream of 100,000 rows",
  metrics: [
    { name: "perSecond", unit: "rows per second", better: "more" },
    { name: "heap", unit: "MiB of heap at most, above that before", better: "less" }
  ],
  circumstances: [{}],
  takesPart: () => true,
  runsIn: "process",
  measure: ({ open }, { access, pace }) =>
    using(open(access, { connections }), async (client) => {
      for (let time = 0; time < warmUps; time++) await client.stream(pace.streamedRows, () => {})
      const began = performance.now()
      await client.stream(pace.streamedRows, () => {})
      const elapsed = performance.now() - began
      global.gc?.()
      const before = process.memoryUsage().heapUsed
      let [most, seen] = [before, 0]
      await client.stream(pace.streamedRows, () => {
        if (++seen % lookEvery !== 0) return
        global.gc?.()
        most = Math.max(most, process.memoryUsage().heapUsed)
      })
      return { perSecond: (1000 * pace.streamedRows) / elapsed, heap: (most - before) / 2 ** 20 }
    })
}
