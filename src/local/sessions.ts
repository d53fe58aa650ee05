/** A client that is logged in. */
export interface SessionInfo {
  /** The process id of its backend: what `pg_backend_pid()` gives in it. */
  readonly id: number
  readonly user: string
  /** As given at login. */
  readonly applicationName: string
  /** When it logged in. */
  readonly since: Date
}

interface Closable {
  readonly once: (event: "close", listener: () => void) => unknown
  readonly destroy: () => unknown
}

/** The clients that are logged in now. */
export class Sessions {
  readonly #open = new Map<SessionInfo, Closable>()
  #count = 0

  /** How many have logged in so far. */
  get logins(): number {
    return this.#count
  }

  add(info: SessionInfo, client: Closable): void {
    this.#count++
    this.#open.set(info, client)
    client.once("close", () => this.#open.delete(info))
  }

  list(): Array<SessionInfo> {
    return [...this.#open.keys()]
  }

  /** Closes those that are chosen, abruptly; gives how many they are. */
  drop(isChosen: (info: SessionInfo) => boolean): number {
    const chosen = [...this.#open].filter(([info]) => isChosen(info))
    for (const [, client] of chosen) client.destroy()
    return chosen.length
  }
}
