/** A bank whose fibers move money while everything goes wrong, and its books afterwards. */
import { SqlClient } from "@effect/sql"
import { Array, Clock, Effect, type Exit, Fiber, Option, Queue, Random } from "effect"
import { type DsqlErrors, DsqlTransaction } from "effect-dsql"
import { DsqlLocal, type LocalCluster } from "effect-dsql/Local"
import * as DsqlTesting from "effect-dsql/Testing"

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

/** What goes wrong: a fault that strikes whoever comes next, or something that is done at once, as the `n`th. */
type Mishap = (local: LocalCluster, sql: SqlClient.SqlClient, n: number) => Effect.Effect<unknown, unknown>

const dropOne: Mishap = (local) =>
  Effect.gen(function* () {
    const { id } = yield* Random.choice(yield* local.connections)
    yield* local.dropConnection(id)
  })

const mishaps: Readonly<Record<string, Mishap>> = {
  "a connection is dropped": dropOne,
  "a table is created": (_, sql, n) => sql`CREATE TABLE ${sql(`other_${n}`)} (id int PRIMARY KEY)`,
  "a column is altered": (_, sql, n) =>
    sql`ALTER TABLE account ALTER COLUMN cents SET DEFAULT ${sql.literal(String(n))}`,
  "a COMMIT conflicts": (local) => local.failNext("COMMIT", DsqlTesting.conflict()),
  "a COMMIT conflicts over the schema": (local) => local.failNext("COMMIT", DsqlTesting.conflict("Schema")),
  "a COMMIT meets a passing condition": (local) => local.failNext("COMMIT", DsqlTesting.unavailable()),
  "a COMMIT is lost before it is done": (local) => local.dropAtCommit("before"),
  "a COMMIT is lost under way": (local) => local.dropAtCommit("during"),
  "the answer to a COMMIT is lost": (local) => local.dropAtCommit("after"),
  "a statement conflicts over the schema": (local) => local.failNext("statement", DsqlTesting.conflict("Schema")),
  "a statement meets a passing condition": (local) => local.failNext("statement", DsqlTesting.unavailable()),
  "a statement is lost": (local) => local.failNext("statement", DsqlTesting.connectionLost()),
  "a BEGIN is lost": (local) => local.failNext("BEGIN", DsqlTesting.connectionLost()),
  "a ROLLBACK is lost": (local) => local.failNext("ROLLBACK", DsqlTesting.connectionLost()),
  "a login is refused": (local) => local.failNext("connect", DsqlTesting.connectionRefused("TooManyConnections")),
  "a login finds the cluster asleep": (local) =>
    local.failNext("connect", DsqlTesting.connectionRefused("ClusterWaking"))
}

export const kindsOfMishap = Object.keys(mishaps)

/** All kinds one after the other, in an order that is drawn anew each time, and a few attempts from one to the next. */
const misfortune = (attempts: Queue.Dequeue<void>, happened: Record<string, number>) =>
  Effect.gen(function* () {
    const local = yield* DsqlLocal
    const sql = yield* SqlClient.SqlClient
    for (let n = 0; ;) {
      for (const kind of yield* Random.shuffle(kindsOfMishap)) {
        yield* Queue.takeN(attempts, yield* Random.nextIntBetween(3, 12))
        // Who makes trouble may meet some.
        yield* Effect.catchAll(mishaps[kind]!(local, sql, n++), () => Effect.void)
        happened[kind] = (happened[kind] ?? 0) + 1
      }
    }
  }).pipe(Effect.provide(DsqlLocal.layerClient({ pool: { max: 1 } })))

export interface Asked {
  readonly transfer: Transfer
  readonly isVerified: boolean
  readonly exit: Exit.Exit<"moved" | "found moved", unknown>
}

/** Half of the fibers verify lost COMMITs, the others are told of them. Each goes on as long as `goesOn` says. */
export const business = (seed: number, goesOn: (transfers: number, milliseconds: number) => boolean) =>
  Effect.gen(function* () {
    const attempts = yield* Queue.unbounded<void>()
    const happened: Record<string, number> = {}
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
      yield* Effect.flatMap(DsqlLocal, ({ clearFaults }) => clearFaults)
      return { asked: asked.flat(), happened, trouble: ended, books: yield* readBooks }
    }).pipe(Effect.provide(DsqlLocal.layerClient({ pool: { max: 10 } })))
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
