/** Measures one contender at one workload, and prints the metrics. Collects garbage on demand if it is allowed to. */
import { contenders } from "./contenders/all.js"
import type { Place, Workload } from "./workload.js"

const [workload, contender, place] = process.argv.slice(2) as [string, string, string]

// By its name, since what other workloads need would be held in memory as well.
const modules = (await import(`./workloads/${workload}.js`)) as Readonly<Record<string, Workload>>
const metrics = await modules[workload]!.measure(
  contenders.find(({ name }) => name === contender)!,
  JSON.parse(place) as Place
)
console.log(JSON.stringify(metrics))
