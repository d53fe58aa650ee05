import { using, type Workload } from "../workload.js"

const count = 200
const warmUp = 50

export const openConnections: Workload = {
  name: "openConnections",
  title: `Opening ${count} connections`,
  metrics: [{ name: "milliseconds", unit: "ms", better: "less" }],
  circumstances: [{}],
  takesPart: () => true,
  runsIn: "process",
  measure: async ({ open }, { access }) => {
    // What is loaded and compiled with the first ones is a matter of cold starts.
    await using(open(access, { connections: warmUp }), (client) => client.openAll())
    return using(open(access, { connections: count }), async (client) => {
      const began = performance.now()
      await client.openAll()
      return { milliseconds: performance.now() - began }
    })
  }
}
