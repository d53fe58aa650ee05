/** A bank whose fibers move money while everything goes wrong, and its books afterwards. */
import { SqlClient } from "@effect/sql"
import { Array, Clock, Effect, type Exit, Fiber, Option, Queue, Random } from "effect"
import { type DsqlErrors, DsqlTransaction } from "effect-dsql"
import { DsqlLocal, type LocalCluster } from "effect-dsql/Local"

export const accounts = 50
export const fibers = 16
const balance = 1_000

const open = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  yield* sql`CREATE TABLE account (id int PRIMARY KEY, cents int NOT NULL)`
  yield* sql`CREATE TABLE transfer (key text PRIMARY KEY, source int NOT NULL, target int NOT NULL, cents int NOT NULL)`
  yield* sql`INSERT INTO account SELECT id, ${balance}::int FROM generate_series(1, ${accounts}::int) AS id`
})

type Transfer = Readonly<Record<"source" | "target" | "cents", number>> & { readonly key: string }

const drawTransfer = (key: string): Effect.Effect<Transfer> =>
  Effect.gen(function* () {
    const source = yield* Random.nextIntBetween(1, accounts + 1)
    const further = yield* Random.nextIntBetween(1, accounts)
    return { key, source, target: ((source - 1 + further) % accounts) + 1, cents: yield* Random.nextIntBetween(1, 100) }
  })

/** Reads both balances and writes them back: what another has written in between would be lost. */
const move = (transfer: Transfer) =>
  Effect.gen(function* () {
    const { cents, source, target } = transfer
    const sql = yield* SqlClient.SqlClient
    const rows = yield* sql<{ id: number; cents: number }>`
      SELECT id, cents FROM account WHERE ${sql.in("id", [source, target])}`
    const of = (wanted: number) => rows.find(({ id }) => id === wanted)!.cents
    yield* sql`UPDATE account SET cents = ${of(source) - cents} WHERE id = ${source}`
    yield* sql`UPDATE account SET cents = ${of(target) + cents} WHERE id = ${target}`
    yield* sql`INSERT INTO transfer ${sql.insert(transfer)}`
    return "moved" as const
  })

/** A lost COMMIT may take effect after it was looked for; then the key stops the second one. */
const wasDone = (error: DsqlErrors.DsqlError | { readonly _tag: "SqlError" }): boolean =>
  error._tag === "DsqlConstraintError" && error.reason === "Unique" && error.constraint === "transfer_pkey"

const verified = ({ key }: Transfer, moving: ReturnType<typeof move>) => {
  const verify = Effect.flatMap(SqlClient.SqlClient, (sql) =>
    Effect.map(sql`SELECT key FROM transfer WHERE key = ${key}`, (rows) =>
      Option.as(Array.head(rows), "found moved" as const)
    )
  )
  return moving.pipe(
    DsqlTransaction.withRetry({ verify }),
    Effect.catchIf(wasDone, () => Effect.succeed("found moved" as const))
  )
}

/** What goes wrong, each with how often it did. */
export type Mishaps = Record<string, number>

/** Gives what has gone wrong, if anything has. */
type Mishap = (local: LocalCluster, sql: SqlClient.SqlClient, n: number) => Effect.Effect<string | undefined, unknown>

const dropOne: Mishap = (local) =>
  Effect.gen(function* () {
    const open = (yield* local.connections).filter(({ applicationName }) => applicationName.startsWith("bank:"))
    if (open.length === 0) return undefined
    const { id } = open[yield* Random.nextIntBetween(0, open.length)]!
    return (yield* local.dropConnection(id)) ? "a connection dropped" : undefined
  })

const changeSchema: Mishap = (_, sql, n) =>
  Effect.as(sql`CREATE TABLE ${sql(`other_${n}`)} (id int PRIMARY KEY)`, "a table created")

const changeAccount: Mishap = (_, sql, n) =>
  Effect.as(sql`ALTER TABLE account ALTER COLUMN cents SET DEFAULT ${sql.literal(String(n))}`, "a column altered")

const mishaps: ReadonlyArray<Mishap> = [dropOne, dropOne, changeSchema, changeAccount]

/** One after a few attempts each, as long as it is not interrupted. */
const misfortune = (attempts: Queue.Dequeue<void>, happened: Mishaps) =>
  Effect.gen(function* () {
    const local = yield* DsqlLocal
    const sql = yield* SqlClient.SqlClient
    for (let n = 0; ; n++) {
      const pause = yield* Random.nextIntBetween(5, 20)
      yield* Queue.takeN(attempts, pause)
      const mishap = mishaps[yield* Random.nextIntBetween(0, mishaps.length)]!
      const what = yield* DsqlTransaction.retryStatement(mishap(local, sql, n))
      if (what !== undefined) happened[what] = (happened[what] ?? 0) + 1
    }
  }).pipe(Effect.provide(DsqlLocal.layerClient({ pool: { max: 1 }, applicationName: "trouble" })))

export interface Asked {
  readonly transfer: Transfer
  readonly isVerified: boolean
  readonly exit: Exit.Exit<"moved" | "found moved", unknown>
}

/** Half of the fibers verify lost COMMITs, the others are told of them. Each goes on as long as `goesOn` says. */
export const business = (seed: number, goesOn: (transfers: number, milliseconds: number) => boolean) =>
  Effect.gen(function* () {
    const attempts = yield* Queue.unbounded<void>()
    const happened: Mishaps = {}
    const began = yield* Clock.currentTimeMillis
    const cashier = (fiber: number) =>
      Effect.gen(function* () {
        const isVerified = fiber % 2 === 0
        const asked: Array<Asked> = []
        while (goesOn(asked.length, (yield* Clock.currentTimeMillis) - began)) {
          const transfer = yield* drawTransfer(`${fiber}-${asked.length}`)
          const moving = Effect.zipRight(Queue.offer(attempts, undefined), move(transfer))
          const attempt = isVerified ? verified(transfer, moving) : DsqlTransaction.withRetry(moving)
          asked.push({ transfer, isVerified, exit: yield* Effect.exit(attempt) })
        }
        return asked
      }).pipe(Effect.withRandom(Random.make(`${seed} ${fiber}`)))
    return yield* Effect.gen(function* () {
      yield* open
      const trouble = yield* Effect.fork(
        Effect.withRandom(misfortune(attempts, happened), Random.make(`${seed} trouble`))
      )
      const asked = yield* Effect.forEach(
        Array.makeBy(fibers, (fiber) => fiber),
        cashier,
        { concurrency: "unbounded" }
      )
      const ended = yield* Fiber.interrupt(trouble)
      return { asked: asked.flat(), happened, trouble: ended, books: yield* readBooks }
    }).pipe(Effect.provide(DsqlLocal.layerClient({ pool: { max: 10 }, applicationName: "bank" })))
  })

/** The keys of what was moved, all the money, and the accounts that do not agree with what was moved. */
const readBooks = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  const transfers = yield* sql<Transfer>`SELECT key, source, target, cents FROM transfer`
  const balances = yield* sql<{ id: number; cents: number }>`SELECT id, cents FROM account`
  const moved = (id: number) =>
    transfers.reduce(
      (sum, { cents, source, target }) => sum + (target === id ? cents : 0) - (source === id ? cents : 0),
      0
    )
  return {
    transfers,
    total: balances.reduce((sum, { cents }) => sum + cents, 0),
    wrong: balances.filter(({ cents, id }) => cents !== balance + moved(id))
  }
})

export const allTheMoney = accounts * balance
