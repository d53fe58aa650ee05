/** What every client of ours can do, in promises, so that one suite is for all of them. */
import type { DsqlErrors } from "effect-dsql"
import { DsqlErrors as Errors } from "effect-dsql"
import type { DsqlLocal } from "effect-dsql/Local"
import type { Options } from "effect-dsql/pg"
import { type Context, Redacted } from "effect"
import { assert } from "vitest"

export type Rows = ReadonlyArray<Readonly<Record<string, unknown>>>

/** Runs a statement, with parameters `$1` and so on. */
export type Query = (text: string, values?: ReadonlyArray<string | number>) => Promise<Rows>

export interface TransactionOptions {
  readonly times?: number
  readonly verify?: () => Promise<{ readonly result: string } | undefined>
}

/** An open pool; every error that it rejects with is one of ours. */
export interface Client {
  readonly query: Query
  /** Runs `body` again after a conflict. */
  readonly transaction: <A>(body: (query: Query) => Promise<A>, options?: TransactionOptions) => Promise<A | string>
  readonly end: () => Promise<void>
  /** What a program has in its hands, and may print. */
  readonly visible: ReadonlyArray<unknown>
}

export interface Driver {
  readonly name: string
  readonly open: (options: Options) => Promise<Client>
}

export type Local = Context.Tag.Service<DsqlLocal>

/** What the adapters take to get to a cluster. */
export const optionsFor = ({ credentials, options }: Local): Options => ({
  ...options,
  credentials: {
    accessKeyId: credentials.accessKeyId,
    secretAccessKey: Redacted.value(credentials.secretAccessKey)
  }
})

/** The cluster that a suite runs on. */
export interface Surroundings {
  readonly local: () => Local
  readonly options: () => Options
  /** Resolves when no socket is open that a client has opened. */
  readonly quiet: () => Promise<void>
}

/** The error of ours that a promise rejects with. */
export const failure = async (promise: Promise<unknown>): Promise<DsqlErrors.DsqlError> => {
  const error: unknown = await promise.then(
    (value) => assert.fail(`it gave ${String(value)}`),
    (error: unknown) => error
  )
  assert(Errors.isDsqlError(error), String(error))
  return error
}

/** Opens a client for the time of a test. */
export const using = async <A>(driver: Driver, options: Options, f: (client: Client) => Promise<A>): Promise<A> => {
  const client = await driver.open(options)
  try {
    return await f(client)
  } finally {
    await client.end()
  }
}

/** Resolves for all when so many have come. */
export const meeting = (count: number): (() => Promise<void>) => {
  let missing = count
  let open = () => {}
  const all = new Promise<void>((resolve) => (open = resolve))
  return () => {
    if (--missing === 0) open()
    return all
  }
}
