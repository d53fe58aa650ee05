/** What every contender can do, so that all of them do the same work. */
import type { LocalAccess } from "effect-dsql/Local"

/**
 * What a caller does again and again, with the row that it is given. `point` selects that row by its primary key, `hundred`
 * the hundred from it on, and `transaction` reads it, writes it, does the same with the next one, and reads the first again.
 */
export type Job = "point" | "hundred" | "transaction"

export interface Options {
  readonly connections: number
  /** Whether AWS credentials come from the endpoint of a container, which the environment names. */
  readonly inContainer?: boolean
}

export interface Load {
  readonly job: Job
  readonly callers: number
  /** How long callers begin something new. */
  readonly milliseconds: number
  /** The row for a caller's next turn. */
  readonly rowFor: (caller: number) => number
}

export interface Client {
  /** Callers are what the contender's users write: fibers of one runtime, or async functions. Gives all latencies. */
  readonly repeat: (load: Load) => Promise<Array<number>>
  /** Reads rows as a stream. */
  readonly stream: (rows: number, onRow: () => void) => Promise<void>
  /** Uses as many connections at once as there may be. */
  readonly openAll: () => Promise<void>
  readonly close: () => Promise<void>
}

export type Open = (access: LocalAccess, options: Options) => Promise<Client>

export interface Contender {
  readonly name: string
  /** Whether it signs tokens itself, and so asks for credentials. The others get a token that never changes. */
  readonly signs: boolean
  readonly open: Open
  /** The program of its cold start, by its name in `bench/cold`. */
  readonly program: string | undefined
}

export const point = "SELECT id, name, n FROM item WHERE id = $1"
export const hundred = "SELECT id, name, n FROM item WHERE id >= $1 ORDER BY id LIMIT 100"
export const write = "UPDATE item SET n = n + 1 WHERE id = $1"
export const series = "SELECT i AS id, 'row ' || i AS name, i % 7 AS n FROM generate_series(1, $1::int) AS i"

/** How many rows a stream fetches at a time, where that can be said: what `@effect/sql-pg` and ours do. */
export const rowsPerFetch = 128

/** Has async functions do a job. */
export const repeatWith =
  (jobs: Readonly<Record<Job, (row: number) => Promise<unknown>>>): Client["repeat"] =>
  async ({ callers, job, milliseconds, rowFor }) => {
    const latencies: Array<number> = []
    const end = performance.now() + milliseconds
    const work = async (caller: number): Promise<void> => {
      for (let began = performance.now(); began < end;) {
        await jobs[job](rowFor(caller))
        const now = performance.now()
        latencies.push(now - began)
        began = now
      }
    }
    await Promise.all(Array.from({ length: callers }, (_, caller) => work(caller)))
    return latencies
  }
