import { arch, availableParallelism, cpus, loadavg, release, totalmem, type } from "node:os"

/** What a measurement was made on. */
export interface Machine {
  readonly cpu: string
  readonly cores: number
  readonly memory: string
  readonly system: string
  readonly node: string
  /** How many processes wanted a core in the minute before: above `cores`, others were at work as well. */
  readonly load: number
}

export const describeMachine = (): Machine => ({
  cpu: cpus()[0]?.model.trim() ?? "unknown",
  cores: availableParallelism(),
  memory: `${Math.round(totalmem() / 2 ** 30)} GiB`,
  system: `${type()} ${release()} ${arch()}`,
  node: process.version,
  load: Math.round(loadavg()[0]! * 10) / 10
})

export const inWords = ({ cores, cpu, load, memory, node, system }: Machine): string =>
  `${cores} cores of ${cpu}, ${memory}, ${system}, Node ${node}, load ${load} at the start`
