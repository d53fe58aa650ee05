import { using, type Workload } from "../workload.js"

const count = 200

export const openConnections: Workload = {
  name: "openConnections",
  title: `Opening ${count} connections`,
  metrics: [{ name: "milliseconds", unit: "ms", better: "less" }],
  circumstances: [{}],
  takesPart: () => true,
  runsIn: "process",
  measure: ({ open }, { access }) =>
    using(open(access, { connections: count }), async (client) => {
      const began = performance.now()
      await client.openAll()
      return { milliseconds: performance.now() - began }
    })
}
