/** The same contention as in the simulation, for real: on a local cluster whose conflicts come at COMMIT, in real time. */
import type { LocalAccess } from "effect-dsql/Local"
import { seeded } from "../../test/support/random.js"
import { withCluster } from "../support/cluster.js"
import { describeMachine, type Machine } from "../support/machine.js"
import { median, quantile } from "../support/statistics.js"
import { type Contender, contenders, withClient } from "./contenders.js"

export interface Point {
  readonly workers: number
  readonly rows: number
}

/** Where the simulation says that AWS's connector gives up with its default of 3 retries, and where it does not. */
export const points: ReadonlyArray<Point> = [
  { workers: 4, rows: 1 },
  { workers: 16, rows: 1 },
  { workers: 64, rows: 1 },
  { workers: 4, rows: 1000 },
  { workers: 16, rows: 10 },
  { workers: 64, rows: 1000 }
]

/** What a contender came to at a point: medians of all rounds, and the sums of them where they are counts. */
export interface Measured extends Point {
  readonly contender: string
  readonly committed: number
  readonly givenUp: number
  readonly attemptsPerCommit: number
  /** Milliseconds of real time for a commit, all workers together. */
  readonly millisPerCommit: number
  /** Of committed transactions, in milliseconds. */
  readonly p50: number
  readonly p99: number
}

export interface Measurement {
  readonly machine: Machine
  readonly rounds: number
  /** How long workers begin new transactions in a round, in milliseconds. */
  readonly duration: number
  readonly results: ReadonlyArray<Measured>
}

interface Run {
  readonly committed: number
  readonly givenUp: number
  readonly attempts: number
  readonly elapsed: number
  readonly latencies: ReadonlyArray<number>
}

const run = async (
  { open }: Contender,
  access: LocalAccess,
  { rows, workers }: Point,
  duration: number,
  seed: number
): Promise<Run> => {
  await withClient(access, async (client) => {
    await client.query("DROP TABLE IF EXISTS counter")
    await client.query("CREATE TABLE counter (id int PRIMARY KEY, n int NOT NULL)")
    await client.query("INSERT INTO counter SELECT id, 0 FROM generate_series(0, $1::int - 1) AS id", [rows])
  })
  const client = await open(access, workers)
  const latencies: Array<number> = []
  let givenUp = 0
  let attempts = 0
  const began = performance.now()
  const work = async (worker: number): Promise<void> => {
    const random = seeded(seed * 1000 + worker)
    while (performance.now() - began < duration) {
      const asked = performance.now()
      const outcome = await client.increment(Math.floor(random() * rows), () => attempts++)
      if (outcome === "committed") latencies.push(performance.now() - asked)
      else givenUp++
    }
  }
  await Promise.all(Array.from({ length: workers }, (_, worker) => work(worker)))
  const elapsed = performance.now() - began
  await client.close()
  const counted = await withClient(access, async (client) => {
    const result = await client.query<{ n: number }>("SELECT sum(n)::int AS n FROM counter")
    return result.rows[0]!.n
  })
  if (counted !== latencies.length) throw new Error(`${latencies.length} committed, but ${counted} were counted`)
  return { committed: latencies.length, givenUp, attempts, elapsed, latencies }
}

const summarise = (contender: string, point: Point, runs: ReadonlyArray<Run>): Measured => {
  const sum = (of: (run: Run) => number): number => runs.reduce((total, run) => total + of(run), 0)
  const latencies = runs.flatMap((run) => run.latencies)
  return {
    ...point,
    contender,
    committed: sum((run) => run.committed),
    givenUp: sum((run) => run.givenUp),
    attemptsPerCommit: median(runs.map((run) => run.attempts / run.committed)),
    millisPerCommit: median(runs.map((run) => run.elapsed / run.committed)),
    p50: quantile(latencies, 0.5),
    p99: quantile(latencies, 0.99)
  }
}

/** Round after round all points, and at each the contenders in turn, in an order that turns round as well. */
export const measure = (rounds: number, duration: number): Promise<Measurement> =>
  withCluster({ conflicts: "service" }, async (access) => {
    const machine = describeMachine()
    const runs = new Map(contenders.map((contender) => [contender, points.map((): Array<Run> => [])]))
    // The first is not counted: code is compiled and caches are filled.
    for (let round = 0; round <= rounds; round++) {
      for (const [place, point] of points.entries()) {
        for (const contender of round % 2 === 0 ? contenders : contenders.toReversed()) {
          const one = await run(contender, access, point, round === 0 ? duration / 4 : duration, round)
          if (round > 0) runs.get(contender)![place]!.push(one)
          const { attempts, committed, givenUp } = one
          console.error(
            `round ${round}, ${point.workers} workers, ${point.rows} rows, ${contender.name}: ` +
              `${committed} committed, ${givenUp} given up, ${attempts} attempts`
          )
        }
      }
    }
    const results = points.flatMap((point, place) =>
      contenders.map((contender) => summarise(contender.name, point, runs.get(contender)![place]!))
    )
    return { machine, rounds, duration, results }
  })
