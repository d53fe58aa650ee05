import { connections, repeated, throughput, using, type Workload } from "../workload.js"

export const transaction: Workload = {
  name: "transaction",
  title: "Transaction of five statements",
  metrics: throughput,
  circumstances: [{}, { network: 5 }],
  takesPart: () => true,
  runsIn: "process",
  measure: ({ open }, { access, pace }) =>
    using(open(access, { connections }), (client) => repeated(client, "transaction", pace))
}
