import { connections, repeated, throughput, using, type Workload } from "../workload.js"

export const hundredRows: Workload = {
  name: "hundredRows",
  title: "SELECT of 100 rows",
  metrics: throughput,
  circumstances: [{}],
  takesPart: () => true,
  runsIn: "process",
  measure: ({ open }, { access, pace }) =>
    using(open(access, { connections }), (client) => repeated(client, "hundred", pace))
}
