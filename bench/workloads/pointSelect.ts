import { connections, repeated, throughput, using, type Workload } from "../workload.js"

export const pointSelect: Workload = {
  name: "pointSelect",
  title: "Point SELECT by primary key",
  metrics: throughput,
  circumstances: [{}, { network: 5 }],
  takesPart: () => true,
  runsIn: "process",
  measure: ({ open }, { access, pace }) =>
    using(open(access, { connections }), (client) => repeated(client, "point", pace))
}
