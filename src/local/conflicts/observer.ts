import { type InternalSession, openInternalSession, type Row } from "../internalSession.js"

type Session = InternalSession & { readonly close: () => void }

/** PostgreSQL cannot be asked. */
export class ObserverError extends Error {}

/** Looks from outside at what sessions do: a session of PostgreSQL's superuser that is opened when it is first needed. */
export class Observer {
  readonly #open: () => Promise<Session>
  #session: Promise<Session> | undefined
  #last: Promise<unknown> = Promise.resolve()

  constructor(socketPath: string, user: string, database: string) {
    this.#open = () => openInternalSession(socketPath, user, database)
  }

  /** One query at a time. Rejects with `ObserverError` if there is no PostgreSQL; the next one tries anew. */
  query(sql: string): Promise<ReadonlyArray<Row>> {
    const answer = this.#last.then(() => this.#run(sql))
    this.#last = answer.catch(() => {})
    return answer
  }

  close(): void {
    this.#session?.then(({ close }) => close()).catch(() => {})
    this.#session = undefined
  }

  async #run(sql: string): Promise<ReadonlyArray<Row>> {
    const wasOpen = this.#session !== undefined
    try {
      this.#session ??= this.#open()
      return await (await this.#session).run(sql)
    } catch (error) {
      this.close()
      // PostgreSQL may have been started anew since, or the database made anew.
      if (wasOpen) return this.#run(sql)
      throw new ObserverError(String(error))
    }
  }
}
