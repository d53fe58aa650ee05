import { connections, repeated, throughput, using, type Workload } from "../workload.js"

/** Only for those that sign tokens. All connections are open before it is measured; what is asked in that time counts. */
export const credentials: Workload = {
  name: "credentials",
  title: "Point SELECT with credentials of a container",
  metrics: [...throughput, { name: "asked", unit: "calls of the provider", better: "less" }],
  circumstances: [{ credentials: 0 }, { credentials: 20 }, { credentials: 200 }],
  takesPart: ({ signs }) => signs,
  runsIn: "process",
  measure: async ({ open }, { access, container, pace }) => {
    process.env["AWS_CONTAINER_CREDENTIALS_FULL_URI"] = container
    return using(open(access, { connections, inContainer: true }), async (client) => {
      const metrics = await repeated(client, "point", pace)
      return { ...metrics, asked: Number(await (await fetch(`${container}/asked`)).text()) }
    })
  }
}
