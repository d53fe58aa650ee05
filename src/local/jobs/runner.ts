import { type LastingSession, openNotifiedSession } from "../internalSession.js"
import { literal } from "../quoting.js"
import type { SessionClock } from "../sessionClock.js"

export interface JobRunnerOptions {
  readonly socketPath: string
  readonly user: string
  readonly database: string
  readonly clock: SessionClock
  /** From the start of a job to its end, in milliseconds: one half submitted, the other processing. */
  readonly duration: number
  /** A job has changed the schema. */
  readonly onSchemaChange: () => void
}

/** Documented: how long `sys.jobs` shows what is finished, in milliseconds. */
const retention = 30 * 60_000

/** How long a job waits for a table that somebody writes to, and how long it leaves it alone then, in milliseconds. */
const lockTimeout = 50
const pause = 50

/** How many registered jobs are kept in mind. */
const startLimit = 1_000

interface Job {
  readonly id: string
  readonly status: string
  /** `undefined` where it is that of the database, which knows only the real time. */
  readonly start: number | undefined
  /** `undefined` before the first, and where its object was dropped. */
  readonly update: number | undefined
}

const jobsQuery = `SELECT job_id, s.status, CASE WHEN has_clusters_time THEN extract(epoch FROM s.start_time) * 1000 END,
    extract(epoch FROM s.update_time) * 1000
  FROM _dsql.job JOIN sys.jobs s USING (job_id) ORDER BY number`

/** Does the jobs that are committed, each at its time. Opens no session before there is one. */
export class JobRunner {
  readonly #options: JobRunnerOptions
  readonly #starts = new Map<string, number>()
  #session: Promise<LastingSession> | undefined
  #working: Promise<void> | undefined
  #isWoken = false
  #isClosed = false
  #cancelTimer = (): void => {}
  #retry: NodeJS.Timeout | undefined

  constructor(options: JobRunnerOptions) {
    this.#options = options
  }

  /** A job is registered; it counts once it is committed. */
  register(id: string): void {
    this.#starts.set(id, this.#options.clock.now())
    // Those that were rolled back are never asked for.
    for (const oldest of this.#starts.keys()) if (this.#starts.size > startLimit) this.#starts.delete(oldest)
    this.wake()
  }

  /** There may be something to do. */
  wake(): void {
    if (this.#isClosed) return
    this.#isWoken = true
    this.#working ??= this.#work().finally(() => (this.#working = undefined))
  }

  /** Resolves when all that is committed and due by now is done, or waits for somebody else. Never rejects. */
  async settled(): Promise<void> {
    if (this.#session !== undefined) this.wake()
    await this.#working
  }

  async close(): Promise<void> {
    this.#isClosed = true
    this.#cancelTimers()
    this.#leave()
    await this.#working
  }

  #cancelTimers(): void {
    this.#cancelTimer()
    clearTimeout(this.#retry)
  }

  #leave(): void {
    this.#session?.then(({ close }) => close()).catch(() => {})
    this.#session = undefined
  }

  async #work(): Promise<void> {
    while (this.#isWoken && !this.#isClosed) {
      this.#isWoken = false
      const wasOpen = this.#session !== undefined
      await this.#turn().catch(() => {
        this.#leave()
        // The database may have been made anew since. If there is none, whoever brings it back wakes us.
        this.#isWoken ||= wasOpen
      })
    }
  }

  async #turn(): Promise<void> {
    const { clock, database, socketPath, user } = this.#options
    this.#session ??= openNotifiedSession(socketPath, user, database, () => this.wake()).then(async (session) => {
      await session.run(`SET lock_timeout = ${lockTimeout}`)
      await session.run("LISTEN _dsql_job")
      return session
    })
    const session = await this.#session
    this.#cancelTimers()
    let next = Number.POSITIVE_INFINITY
    for (const [id, status, start, update] of await session.run(jobsQuery)) {
      const job: Job = {
        id: id ?? "",
        status: status ?? "",
        start: numberOf(start),
        update: numberOf(update)
      }
      next = Math.min(next, await this.#advance(session, job))
    }
    if (next < Number.POSITIVE_INFINITY && !this.#isClosed) this.#cancelTimer = clock.at(next, () => this.wake())
  }

  /** Brings a job as far as it is due. Gives when it will be due again. */
  async #advance(session: LastingSession, { id, start: stored, status, update }: Job): Promise<number> {
    const { clock, duration } = this.#options
    const now = clock.now()
    const job = literal(id)
    if (status === "completed" || status === "failed") {
      if (update === undefined) {
        // When its object was dropped is not known.
        await session.run(
          `UPDATE _dsql.job j SET (status, details, update_time) = (s.status, s.details, ${timestamp(now)})
            FROM sys.jobs s WHERE s.job_id = j.job_id AND j.job_id = ${job}`
        )
      }
      const end = (update ?? now) + retention
      if (end > now) return end
      for (const table of ["job", "job_without_object"]) {
        await session.run(`DELETE FROM _dsql.${table} WHERE job_id = ${job}`)
      }
      return Number.POSITIVE_INFINITY
    }
    // It may be seen here before it is registered.
    const start = stored ?? this.#starts.get(id) ?? now
    if (stored === undefined) {
      await session.run(
        `UPDATE _dsql.job SET start_time = ${timestamp(start)}, has_clusters_time = true WHERE job_id = ${job}`
      )
      this.#starts.delete(id)
    }
    const middle = start + duration / 2
    const end = start + duration
    if (now < middle) return middle
    if (status === "submitted") {
      await session.run(
        `UPDATE _dsql.job SET status = 'processing', update_time = ${timestamp(middle)} WHERE job_id = ${job} AND status = 'submitted'`
      )
    }
    if (now < end) return end
    const [row] = await session.run(`SELECT _dsql.run_job(${job}, ${timestamp(end)})`)
    if (row?.[0] !== "t") {
      clearTimeout(this.#retry)
      this.#retry = setTimeout(() => this.wake(), pause).unref()
      return Number.POSITIVE_INFINITY
    }
    this.#options.onSchemaChange()
    return this.#advance(session, { id, start, status: "completed", update: end })
  }
}

const numberOf = (value: string | null | undefined): number | undefined => (value == null ? undefined : Number(value))

const timestamp = (milliseconds: number): string => `to_timestamp(${milliseconds / 1000})`
