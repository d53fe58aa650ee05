import { connections, repeated, using, type Workload } from "../workload.js"

export const idleMemory: Workload = {
  name: "idleMemory",
  title: "Memory of an idle client with ten connections",
  metrics: [
    { name: "heap", unit: "MiB of heap", better: "less" },
    { name: "resident", unit: "MiB resident", better: "less" }
  ],
  circumstances: [{}],
  takesPart: () => true,
  runsIn: "process",
  measure: ({ open }, { access, pace }) =>
    using(open(access, { connections }), async (client) => {
      await repeated(client, "point", { ...pace, duration: pace.warmUp })
      global.gc?.()
      const { heapUsed, rss } = process.memoryUsage()
      return { heap: heapUsed / 2 ** 20, resident: rss / 2 ** 20 }
    })
}
